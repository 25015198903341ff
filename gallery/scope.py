"""The gallery that an operation is about: found by tenant and name, locked to be changed."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from gallery import ledger
from gallery.keys import new_id
from gallery.store import Transaction, insert_missing
from gallery.tables import changes, galleries, policy_of, spaces
from voxgraph.errors import Conflict, InvalidOptions, NotFound
from voxgraph.results import GalleryPolicy, Space

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
KEPT_CHANGES = 10_000
"""Revisions of which is remembered who changed; a cache that is older reads everything again."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A gallery as a transaction found it."""

    id: str
    tenant: str
    name: str
    policy: GalleryPolicy
    revision: int
    created_at: datetime


def find(transaction: Transaction, tenant: str, name: str, *, to_change: bool = False) -> Scope:
    """Return a gallery.

    Args:
        to_change: Whether to let no other transaction change anything of the gallery meanwhile.

    Raises:
        NotFound: The tenant has none of this name.
    """
    query = sa.select(galleries).where(galleries.c.tenant_id == tenant, galleries.c.name == name)
    # PostgreSQL refuses to compare with text that has a zero.
    is_name = NAME.fullmatch(name) is not None
    row = transaction.execute(query.with_for_update() if to_change else query).first() if is_name else None
    if row is None:
        raise NotFound("There is no gallery of this name.")
    return _scope(row)


def by_id(transaction: Transaction, gallery_id: str, *, to_change: bool = False) -> Scope | None:
    """Return the gallery with an id, or None."""
    query = sa.select(galleries).where(galleries.c.id == gallery_id)
    row = transaction.execute(query.with_for_update() if to_change else query).first()
    return None if row is None else _scope(row)


def of_tenant(transaction: Transaction, tenant: str, after: str, limit: int) -> list[Scope]:
    """Return at most `limit` galleries of a tenant behind the name `after`, by name."""
    query = sa.select(galleries).where(galleries.c.tenant_id == tenant, galleries.c.name > after)
    return [_scope(row) for row in transaction.execute(query.order_by(galleries.c.name).limit(limit))]


def every(transaction: Transaction, *, to_change: bool = False) -> list[Scope]:
    """Return the galleries of all tenants."""
    query = sa.select(galleries).order_by(galleries.c.id)
    return [_scope(row) for row in transaction.execute(query.with_for_update() if to_change else query)]


def create(transaction: Transaction, tenant: str, name: str, policy: GalleryPolicy, actor: str) -> Scope:
    """Make a gallery, or return the one that has the name and the same policy."""
    if not NAME.fullmatch(name) or name in (".", ".."):
        # Clients resolve the dots of a URL, so that nobody could ask about such a gallery.
        raise InvalidOptions("The name of a gallery is 1 to 64 of A-Z a-z 0-9 . _ -, and not . or ..")
    if not 1 <= len(tenant) <= 128:
        raise InvalidOptions("The name of a tenant has 1 to 128 characters.")
    row = {
        "id": new_id("gal"), "tenant_id": tenant, "name": name, "policy": asdict(policy), "revision": 1,
        "created_at": transaction.now,
    }  # fmt: skip
    is_new = insert_missing(transaction.connection, galleries, row)
    found = find(transaction, tenant, name)
    if found.policy != policy:
        raise Conflict("There is a gallery of this name with another policy.")
    if is_new:
        details = {"consent_required": policy.require_consent}
        ledger.append(transaction, tenant, actor, "gallery.create", found.id, details)
    return found


def update(transaction: Transaction, scope: Scope, policy: GalleryPolicy, actor: str) -> None:
    """Replace the policy."""
    transaction.execute(galleries.update().where(galleries.c.id == scope.id).values(policy=asdict(policy)))
    before, after = asdict(scope.policy), asdict(policy)
    details = {name: value for name, value in after.items() if value != before[name]}
    ledger.append(transaction, scope.tenant, actor, "gallery.update", scope.id, details)
    changed(transaction, scope, ())


def changed(transaction: Transaction, scope: Scope, speaker_ids: Iterable[str]) -> None:
    """Give the gallery its next revision and remember which speakers differ in it."""
    raised = galleries.update().where(galleries.c.id == scope.id).values(revision=galleries.c.revision + 1)
    revision = transaction.execute(raised.returning(galleries.c.revision)).scalar_one()
    rows = [
        {"gallery_id": scope.id, "revision": revision, "speaker_id": speaker_id} for speaker_id in speaker_ids
    ]
    if rows:
        transaction.connection.execute(changes.insert(), rows)
    transaction.execute(
        changes.delete().where(
            changes.c.gallery_id == scope.id, changes.c.revision <= revision - KEPT_CHANGES
        )
    )


def space_ids(transaction: Transaction) -> dict[Space, int]:
    """Return all spaces that the store has ever held."""
    rows = transaction.execute(sa.select(spaces))
    return {Space(row.model, row.revision, row.dim): row.id for row in rows}


def _scope(row: sa.Row[tuple[object, ...]]) -> Scope:
    return Scope(row.id, row.tenant_id, row.name, policy_of(row.policy), row.revision, row.created_at)

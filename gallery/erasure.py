"""Erasures: what is removed, in which order, and the receipt.

First the list of erasures says what will be gone, then one transaction removes it and writes ledger and
receipt, then the data key is destroyed. Whatever happens in between, `gallery.restoring` completes it.
"""

from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from gallery import ledger, references
from gallery.data_keys import chunks
from gallery.erasure_list import Kind, Targets
from gallery.keys import new_id
from gallery.scope import Scope
from gallery.speakers import Row
from gallery.store import Transaction
from gallery.tables import consents, decisions, erasures, galleries, opt_outs, refs, speakers, vectors
from voxgraph.results import ErasureReceipt


def of_speaker(
    transaction: Transaction, scope: Scope, kind: Kind, row: Row | None, subject: str, actor: str
) -> Targets:
    """Say what is erased of a speaker, who need not be there.

    Args:
        kind: ``withdrawal`` and ``expiry`` leave the speaker, who then must have a new key.
        subject: Keyed hash of the external id.
    """
    speaker_ids = () if row is None or kind in ("withdrawal", "expiry") else (row.id, *row.merged["speakers"])
    return Targets(
        new_id("era"), kind, scope.tenant, scope.id, subject, transaction.now, actor,
        speaker_ids=speaker_ids,
        reference_ids=() if row is None else tuple(references.ids_of(transaction, row.id)),
        key_ids=() if row is None else (row.key_id, *row.merged["keys"]),
    )  # fmt: skip


def of_reference(transaction: Transaction, scope: Scope, row: Row, reference_id: str, actor: str) -> Targets:
    """Say what is erased with one reference: its vectors, while the speaker stays."""
    return Targets(
        new_id("era"), "reference", scope.tenant, scope.id, row.subject, transaction.now, actor,
        reference_ids=(reference_id,),
    )  # fmt: skip


def of_gallery(transaction: Transaction, scope: Scope, actor: str) -> Targets:
    """Say what is erased with a gallery: everybody's key, and whatever else follows from its id."""
    rows = transaction.execute(
        sa.select(speakers.c.key_id, speakers.c.merged).where(speakers.c.gallery_id == scope.id)
    )
    key_ids = tuple(key_id for row in rows for key_id in (row.key_id, *row.merged["keys"]))
    return Targets(
        new_id("era"), "gallery", scope.tenant, scope.id, "", transaction.now, actor, key_ids=key_ids
    )


def opt_in(transaction: Transaction, scope: Scope, subject: str, actor: str) -> None:
    """Let a person be enrolled again who opted out. The list says so, lest a restore forget it."""
    what = Targets(new_id("era"), "opt_in", scope.tenant, scope.id, subject, transaction.now, actor)
    _list(transaction, what)
    allow(transaction, what)


def carry_out(transaction: Transaction, what: Targets) -> ErasureReceipt:
    """Remove everything that an erasure is about, and sign a receipt for it."""
    _list(transaction, what)
    return remove(transaction, what, f"erase.{what.kind}")


def _list(transaction: Transaction, what: Targets) -> None:
    if transaction.store.erasures is not None:
        transaction.store.erasures.append(what)


def remove(transaction: Transaction, what: Targets, action: str) -> ErasureReceipt:
    """Remove what is there of the targets, and sign a receipt; `action` is what the ledger calls it."""
    removed = {"references": 0, "vectors": 0, "decisions": 0}
    for some in chunks(what.reference_ids):
        removed["vectors"] += _delete(transaction, vectors, vectors.c.reference_id.in_(some))
        removed["references"] += _delete(transaction, refs, refs.c.id.in_(some))
    for some in chunks(what.speaker_ids):
        removed["decisions"] += _delete(transaction, decisions, decisions.c.speaker_id.in_(some))
        _delete(transaction, consents, consents.c.speaker_id.in_(some))
        _delete(transaction, speakers, speakers.c.id.in_(some))
    if what.kind == "gallery":
        mine = sa.select(refs.c.id).where(refs.c.gallery_id == what.gallery_id)
        removed["vectors"] += _delete(transaction, vectors, vectors.c.reference_id.in_(mine))
        removed["references"] += _delete(transaction, refs, refs.c.gallery_id == what.gallery_id)
        removed["decisions"] += _delete(transaction, decisions, decisions.c.gallery_id == what.gallery_id)
        # The rest follows by its foreign keys.
        _delete(transaction, galleries, galleries.c.id == what.gallery_id)
    if what.kind == "opt_out":
        _refuse(transaction, what)
    transaction.doomed_keys += what.key_ids
    return _signed(transaction, what, removed, action)


def _delete(transaction: Transaction, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return transaction.execute(table.delete().where(condition)).rowcount


def _refuse(transaction: Transaction, what: Targets) -> None:
    """Remember the keyed hash of a person who opted out, if the gallery is there."""
    _delete(transaction, opt_outs, _is_subject(what))
    gallery = sa.select(galleries.c.id).where(galleries.c.id == what.gallery_id)
    if transaction.execute(gallery).first() is not None:
        transaction.execute(
            opt_outs.insert().values(gallery_id=what.gallery_id, subject=what.subject, at=transaction.now)
        )


def allow(transaction: Transaction, what: Targets) -> None:
    """Forget that a person opted out."""
    _delete(transaction, opt_outs, _is_subject(what))
    details = {"erasure_id": what.erasure_id, "subject_hmac": what.subject}
    entry = ledger.append(transaction, what.tenant, what.actor, "speaker.opt_in", what.gallery_id, details)
    _keep(transaction, what, None, entry.seq)


def _is_subject(what: Targets) -> sa.ColumnElement[bool]:
    return sa.and_(opt_outs.c.gallery_id == what.gallery_id, opt_outs.c.subject == what.subject)


def _signed(transaction: Transaction, what: Targets, removed: dict[str, int], action: str) -> ErasureReceipt:
    details = {"erasure_id": what.erasure_id, "subject_hmac": what.subject, "removed": removed}
    about = what.speaker_ids[0] if what.speaker_ids else what.gallery_id
    entry = ledger.append(transaction, what.tenant, what.actor, action, about, details)
    receipt = ledger.signed(
        transaction,
        {
            "erasure_id": what.erasure_id, "kind": what.kind, "subject_hmac": what.subject,
            "removed": removed, "completed_at": transaction.now, "ledger_seq": entry.seq,
            "ledger_hash": entry.hash,
        },
    )  # fmt: skip
    _keep(transaction, what, receipt, entry.seq)
    return receipt


def _keep(transaction: Transaction, what: Targets, receipt: ErasureReceipt | None, seq: int) -> None:
    kept = receipt and {**asdict(receipt), "completed_at": receipt.completed_at.isoformat()}
    transaction.execute(
        erasures.insert().values(
            id=what.erasure_id, tenant_id=what.tenant, targets=what.to_json(), receipt=kept, ledger_seq=seq
        )
    )


def receipts(
    transaction: Transaction, tenant: str, after: int = 0, limit: int | None = None
) -> list[ErasureReceipt]:
    """Return receipts of a tenant with a ``ledger_seq`` above `after`, the oldest first."""
    query = (
        sa.select(erasures.c.receipt)
        .where(
            erasures.c.tenant_id == tenant, erasures.c.ledger_seq > after,
            erasures.c.receipt.is_not(sa.null()),
        )
        .order_by(erasures.c.ledger_seq).limit(limit)
    )  # fmt: skip
    return [
        ErasureReceipt(**{**each, "completed_at": datetime.fromisoformat(each["completed_at"])})
        for each in transaction.execute(query).scalars()
    ]

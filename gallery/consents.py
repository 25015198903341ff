"""What the speakers agreed to. The record is sealed with the speaker's key; only its times are readable."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gallery import ledger
from gallery.data_keys import chunks
from gallery.keys import DataKey
from gallery.scope import Scope
from gallery.store import Transaction
from gallery.tables import consents
from voxgraph.errors import ConsentMissing, InvalidOptions
from voxgraph.results import Consent

AHEAD = timedelta(days=1)
"""How far a clock, or a wrong time zone, may be ahead."""


def is_in_force(consent: Consent | None, now: datetime) -> bool:
    """Return whether there is a consent that has not expired."""
    return consent is not None and (consent.expires_at is None or consent.expires_at > now)


def check_given(consent: Consent | None, now: datetime) -> None:
    """Raise `InvalidOptions` if a consent has expired, or is of a later day than today is anywhere."""
    if consent is None:
        return
    if not is_in_force(consent, now):
        raise InvalidOptions("The consent has expired already.")
    if consent.given_at > now + AHEAD:
        raise InvalidOptions("The consent is of a time that has not come yet.")


def to_json(consent: Consent) -> dict[str, Any]:
    """Return a consent as JSON."""
    fields = asdict(consent)
    for name in ("given_at", "expires_at"):
        if fields[name] is not None:
            fields[name] = fields[name].astimezone(UTC).isoformat()
    return {**fields, "purposes": list(consent.purposes)}


def from_json(fields: Mapping[str, Any]) -> Consent:
    """Return the consent that `to_json` gave."""
    times = {
        name: datetime.fromisoformat(fields[name]) if fields[name] else None
        for name in ("given_at", "expires_at")
    }
    return Consent(**{**fields, **times, "purposes": tuple(fields["purposes"])})


def put(
    transaction: Transaction, scope: Scope, speaker_id: str, key: DataKey, consent: Consent, actor: str
) -> None:
    """Keep a consent in place of the present one."""
    sealed = key.seal(json.dumps(to_json(consent)).encode(), f"{speaker_id}:consent")
    transaction.execute(consents.delete().where(consents.c.speaker_id == speaker_id))
    transaction.execute(
        consents.insert().values(
            speaker_id=speaker_id, tenant_id=scope.tenant, record=sealed, given_at=consent.given_at,
            expires_at=consent.expires_at,
        )
    )  # fmt: skip
    details = {
        "purposes": list(consent.purposes),
        "expires_at": consent.expires_at.astimezone(UTC).isoformat() if consent.expires_at else None,
        "notice_sha256": consent.notice_sha256,
    }
    ledger.append(transaction, scope.tenant, actor, "consent.give", speaker_id, details)


def open_all(transaction: Transaction, keys: Mapping[str, DataKey]) -> dict[str, Consent]:
    """Return the consents of speakers, by their id.

    Args:
        keys: Data key of each speaker, by id.
    """
    found = {}
    for some in chunks(keys):
        for row in transaction.execute(sa.select(consents).where(consents.c.speaker_id.in_(some))):
            content = keys[row.speaker_id].open(row.record, f"{row.speaker_id}:consent")
            found[row.speaker_id] = from_json(json.loads(content))
    return found


def seal_again(transaction: Transaction, speaker_id: str, old_key: DataKey, new_key: DataKey) -> None:
    """Seal the consent of a speaker, if there is one, with another key."""
    row = transaction.execute(sa.select(consents).where(consents.c.speaker_id == speaker_id)).first()
    if row is not None:
        belonging = f"{speaker_id}:consent"
        sealed = new_key.seal(old_key.open(row.record, belonging), belonging)
        transaction.execute(
            consents.update().where(consents.c.speaker_id == speaker_id).values(record=sealed)
        )


def expiry(transaction: Transaction, speaker_id: str) -> datetime | None:
    """Return when the consent of a speaker ends; None: never, or there is none."""
    query = sa.select(consents.c.expires_at).where(consents.c.speaker_id == speaker_id)
    end: datetime | None = transaction.execute(query).scalar()
    return end


def in_common(first: Consent, second: Consent) -> Consent:
    """Return the consent for what came from two speakers: what both agreed to, as long as both do.

    Raises:
        ConsentMissing: They agreed to different purposes.
    """
    purposes = tuple(purpose for purpose in first.purposes if purpose in second.purposes)
    if not purposes:
        raise ConsentMissing("The two speakers agreed to no purpose in common.")
    ends = [end for end in (first.expires_at, second.expires_at) if end is not None]
    return Consent(
        purposes, first.given_at, min(ends, default=None),
        first.notice_uri, first.notice_sha256, first.evidence_uri,
    )  # fmt: skip

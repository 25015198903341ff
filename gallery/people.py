"""What is done to a speaker as a whole: put, patch, merge, withdraw, opt out, erase, export."""

import base64
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gallery import consents, erasure, journal, ledger, references, speakers
from gallery.erasure_list import Targets
from gallery.scope import Scope, changed
from gallery.speakers import Profile, Row
from gallery.store import Transaction
from gallery.tables import consents as consent_rows
from gallery.tables import speakers as speaker_rows
from voxgraph.errors import Conflict, ConsentMissing, InvalidOptions, SpeakerOptedOut
from voxgraph.results import Consent, ErasureReceipt

CHANGEABLE = ("external_id", "display_name", "metadata", "consent")


def put(
    transaction: Transaction, scope: Scope, profile: Profile, consent: Consent | None, actor: str
) -> tuple[Row, bool]:
    """Create a speaker or replace what is kept of one; return the row and whether it is new."""
    consents.check_given(consent, transaction.now)
    row = speakers.find(transaction, scope, profile.external_id)
    if row is None:
        return speakers.insert(transaction, scope, profile, consent, actor), True
    return speakers.replace(transaction, scope, row, profile, consent, actor), False


def patch(
    transaction: Transaction, scope: Scope, external_id: str, changes: Mapping[str, Any], actor: str
) -> Row:
    """Change some fields of a speaker."""
    if unknown := [name for name in changes if name not in CHANGEABLE]:
        raise InvalidOptions(f"A speaker has no field {unknown[0]!r} that can be changed.")
    row = speakers.get(transaction, scope, external_id)
    fields = {name: value for name, value in changes.items() if name != "consent"}
    before = Profile.open(transaction.store.key(row.key_id), row)
    profile = replace(before, **fields).checked() if fields else before
    if profile.external_id != external_id:
        if speakers.find(transaction, scope, profile.external_id) is not None:
            raise Conflict("Another speaker of the gallery has this id.")
        if speakers.has_opted_out(transaction, scope, profile.external_id):
            raise SpeakerOptedOut("The person with this id asked never to be enrolled in the gallery.")
    consent = changes.get("consent")
    consents.check_given(consent, transaction.now)
    return speakers.replace(transaction, scope, row, profile, consent, actor)


def merge(transaction: Transaction, scope: Scope, into: str, source: str, actor: str) -> Row:
    """Move the references of one speaker to another one, and remove the first."""
    if into == source:
        raise Conflict("A speaker cannot be merged with itself.")
    kept, gone = speakers.get(transaction, scope, into), speakers.get(transaction, scope, source)
    if kept.reference_count + gone.reference_count > scope.policy.max_references:
        raise Conflict(f"Together they have more than {scope.policy.max_references} references.")
    _merge_consents(transaction, scope, kept, gone, actor)
    references.move(transaction, gone, kept)
    references.count(transaction, kept.id)
    merged = {
        "speakers": [*kept.merged["speakers"], gone.id, *gone.merged["speakers"]],
        "keys": [*kept.merged["keys"], gone.key_id, *gone.merged["keys"]],
    }
    enrolled = max((at for at in (kept.enrolled_at, gone.enrolled_at) if at is not None), default=None)
    transaction.execute(
        speaker_rows.update().where(speaker_rows.c.id == kept.id).values(merged=merged, enrolled_at=enrolled)
    )
    journal.pass_on(transaction, gone.id, kept.id)
    transaction.execute(speaker_rows.delete().where(speaker_rows.c.id == gone.id))
    changed(transaction, scope, [gone.id])
    ledger.append(transaction, scope.tenant, actor, "speaker.merge", kept.id, {"source": gone.id})
    speakers.touch(transaction, scope, kept.id)
    return speakers.by_id(transaction, kept.id)


def _merge_consents(transaction: Transaction, scope: Scope, kept: Row, gone: Row, actor: str) -> None:
    keys = {row.id: transaction.store.key(row.key_id) for row in (kept, gone)}
    found = consents.open_all(transaction, keys)
    first, second = found.get(kept.id), found.get(gone.id)
    if first is not None and second is not None:
        common = consents.in_common(first, second)
        if not consents.is_in_force(common, transaction.now):
            raise ConsentMissing("The consent of one of the speakers has expired.")
        consents.put(transaction, scope, kept.id, keys[kept.id], common, actor)
    elif scope.policy.require_consent or first is not second:
        raise ConsentMissing("Only one of the speakers has a consent.")


def erase(transaction: Transaction, scope: Scope, external_id: str, actor: str) -> ErasureReceipt:
    """Erase a speaker."""
    row = speakers.get(transaction, scope, external_id)
    what = erasure.of_speaker(transaction, scope, "speaker", row, row.subject, actor)
    receipt = erasure.carry_out(transaction, what)
    changed(transaction, scope, what.speaker_ids)
    return receipt


def opt_out(transaction: Transaction, scope: Scope, external_id: str, actor: str) -> ErasureReceipt:
    """Erase a speaker, who need not be there, and refuse to enrol the external id."""
    Profile(external_id, None, {}).checked()  # An id that no speaker can have is refused.
    row = speakers.find(transaction, scope, external_id)
    known = speakers.opted_out_as(transaction, scope, external_id)
    subject = next(iter(known), speakers.subject(transaction, scope, external_id))
    what = erasure.of_speaker(transaction, scope, "opt_out", row, subject, actor)
    receipt = erasure.carry_out(transaction, what)
    changed(transaction, scope, what.speaker_ids)
    return receipt


def withdraw(transaction: Transaction, scope: Scope, row: Row, actor: str) -> ErasureReceipt:
    """Erase references and consent of a speaker; the profile stays, sealed with a new key."""
    what = erasure.of_speaker(transaction, scope, "withdrawal", row, row.subject, actor)
    transaction.execute(consent_rows.delete().where(consent_rows.c.speaker_id == row.id))
    return _without_voice(transaction, scope, row, what)


def expire(transaction: Transaction, scope: Scope, row: Row) -> ErasureReceipt:
    """Erase the references of a speaker who has expired; profile and consent stay, sealed with a new key."""
    what = erasure.of_speaker(transaction, scope, "expiry", row, row.subject, "sweep")
    return _without_voice(transaction, scope, row, what)


def _without_voice(transaction: Transaction, scope: Scope, row: Row, what: Targets) -> ErasureReceipt:
    old_key = transaction.store.key(row.key_id)
    key_id, key = transaction.store.keys.make()
    transaction.execute(
        speaker_rows.update().where(speaker_rows.c.id == row.id).values(
            key_id=key_id, profile=Profile.open(old_key, row).seal(key, row.id)
        )
    )  # fmt: skip
    consents.seal_again(transaction, row.id, old_key, key)
    receipt = erasure.carry_out(transaction, what)
    references.count(transaction, row.id)
    changed(transaction, scope, [row.id])
    _raise_version(transaction, row)
    return receipt


def _raise_version(transaction: Transaction, row: Row) -> None:
    """Mark a change that leaves the time of expiry as it is."""
    transaction.execute(
        speaker_rows.update().where(speaker_rows.c.id == row.id).values(
            version=row.version + 1, updated_at=transaction.now
        )
    )  # fmt: skip


def remove_reference(
    transaction: Transaction, scope: Scope, external_id: str, reference_id: str, actor: str
) -> ErasureReceipt:
    """Erase one reference."""
    row = speakers.get(transaction, scope, external_id)
    references.info(transaction, row.id, reference_id)
    what = erasure.of_reference(transaction, scope, row, reference_id, actor)
    receipt = erasure.carry_out(transaction, what)
    references.count(transaction, row.id)
    speakers.touch(transaction, scope, row.id)
    return receipt


def export(
    transaction: Transaction, scope: Scope, external_id: str, vectors: bool, actor: str
) -> dict[str, Any]:
    """Return everything that is kept of a speaker as JSON."""
    row = speakers.get(transaction, scope, external_id)
    info = speakers.info(transaction, scope, row)
    answer = {
        "speaker": {**_jsonable(asdict(info)), "consent": info.consent and consents.to_json(info.consent)},
        "references": [_jsonable(asdict(each)) for each in references.infos(transaction, row.id)],
        "decisions": journal.of_speaker(transaction, row.id),
    }
    if vectors:
        keys = transaction.store.keys.get([row.key_id])
        answer["vectors"] = [
            {
                "reference": kept.reference_id, "space": asdict(kept.space),
                "float32": base64.b64encode(kept.vector.tobytes()).decode(),
            }
            for kept in references.opened(transaction, [row], keys)
        ]  # fmt: skip
    ledger.append(transaction, scope.tenant, actor, "speaker.export", row.id, {"vectors": vectors})
    return answer


def _jsonable(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()
    }


def expired(transaction: Transaction, scope: Scope) -> list[Row]:
    """Return the speakers who have expired and still have references."""
    query = sa.select(speaker_rows).where(
        speaker_rows.c.gallery_id == scope.id, speaker_rows.c.expires_at <= transaction.now,
        speaker_rows.c.reference_count > 0,
    )  # fmt: skip
    return list(transaction.execute(query))

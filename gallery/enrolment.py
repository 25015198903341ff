"""Enrolment: gates outside of the transaction, and inside of it whether the speaker is still the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gallery import consents, ledger, references, speakers
from gallery.gates import Checked, check_agreement, check_duplicates, check_enrolment
from gallery.references import KeptVector
from gallery.scope import Scope, find
from gallery.speakers import Row
from gallery.store import Store, Transaction
from gallery.voices import VoiceCache, Voices
from voxgraph.errors import Conflict, ConsentMissing, Erased, NotFound
from voxgraph.results import Enrolment, Observation, Reason

TRIES = 5
"""How often a recording is checked again because the speaker has changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is enrolled: see `Galleries.enrol`."""

    tenant: str
    gallery: str
    speaker: str
    observation: Observation
    expecting: str | None
    origin: str
    actor: str


def enrol(store: Store, cache: VoiceCache, request: Request) -> Enrolment:
    """Add a reference if the gates let it pass; see `Galleries.enrol`."""
    expecting = request.expecting
    for _ in range(TRIES):
        with store.read() as transaction:
            scope, row = _speaker(transaction, request, expecting)
            expecting = row.id
            voices = cache.get(transaction, scope)
            others = list(references.opened(transaction, [row], store.keys.get([row.key_id])))
            info = speakers.info(transaction, scope, row)
        checked = _checked(scope, row, others, voices, request.observation)
        if checked.reasons:
            return Enrolment(info, None, checked.reasons, checked.warnings)
        with store.write() as transaction:
            scope, now = _speaker(transaction, request, expecting, to_change=True)
            if now.version != row.version:
                continue
            return _insert(transaction, scope, now, request, checked)
    raise Conflict("The speaker is being changed by others all the time; try again.")


def _speaker(
    transaction: Transaction, request: Request, expecting: str | None, *, to_change: bool = False
) -> tuple[Scope, Row]:
    """Return gallery and speaker if the speaker may be enrolled, and is the one who is expected."""
    try:
        scope = find(transaction, request.tenant, request.gallery, to_change=to_change)
        row = speakers.get(transaction, scope, request.speaker)
    except NotFound:
        if expecting is None:
            raise
        raise _erased() from None
    if expecting is not None and row.id != expecting:
        raise _erased()
    if scope.policy.require_consent and not _has_consent(transaction, row):
        raise ConsentMissing("The speaker has no consent that is in force.")
    return scope, row


def _erased() -> Erased:
    return Erased("The speaker was erased while the recording was heard; nothing of it was stored.")


def _has_consent(transaction: Transaction, row: Row) -> bool:
    found = consents.open_all(transaction, {row.id: transaction.store.key(row.key_id)})
    return consents.is_in_force(found.get(row.id), transaction.now)


def _insert(
    transaction: Transaction, scope: Scope, row: Row, request: Request, checked: Checked
) -> Enrolment:
    reference_id = references.insert(
        transaction, scope, row, request.observation, request.origin, request.actor
    )
    details = {"reference": reference_id, "consent_required": scope.policy.require_consent}
    ledger.append(transaction, scope.tenant, request.actor, "reference.add", row.id, details)
    speakers.touch(transaction, scope, row.id)
    info = speakers.info(transaction, scope, speakers.by_id(transaction, row.id))
    return Enrolment(info, references.info(transaction, row.id, reference_id), warnings=checked.warnings)


def _checked(
    scope: Scope, row: Row, others: Sequence[KeptVector], voices: Voices, observation: Observation
) -> Checked:
    """Run all gates on a recording."""
    checked = check_enrolment(observation.evidence, scope.policy)
    if row.reference_count >= scope.policy.max_references:
        text = f"The speaker has {row.reference_count} references, and may have no more."
        limit = float(scope.policy.max_references)
        checked += Checked((Reason("too_many_references", text, float(row.reference_count), limit),))
    checked += _agreement(observation, others, voices)
    names = {
        name: None
        for sample in observation.samples
        for name in voices.comparison.duplicates(sample, observation.evidence.speech_s, row.id)
    }
    return checked + check_duplicates([voices.speakers[name].external_id for name in names], scope.policy)


def _agreement(observation: Observation, others: Sequence[KeptVector], voices: Voices) -> Checked:
    """Check the recording against the speaker's other references, in the first space where it disagrees."""
    for sample in observation.samples:
        same = [kept for kept in others if kept.space == sample.space]
        checked = check_agreement(
            np.asarray(sample.vector, np.float32), observation.evidence.speech_s,
            [kept.vector for kept in same], sum(kept.speech_s for kept in same),
            voices.comparison.calibration(sample.space),
        )  # fmt: skip
        if checked.reasons:
            return checked
    return Checked()

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
from voxgraph.results import Enrolment, Evidence, Observation, Reason, ReferenceInfo, VoiceSample

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
    content: bytes | None
    actor: str


def enrol(store: Store, cache: VoiceCache, request: Request) -> Enrolment:
    """Add a reference if it is new and the gates let it pass; see `Galleries.enrol`."""
    expecting = request.expecting
    for _ in range(TRIES):
        with store.read() as transaction:
            scope, row = _speaker(transaction, request, expecting)
            expecting = row.id
            known = _known(transaction, row, request)
            if known is not None and not _missing(known, request.observation):
                return _again(transaction, scope, row, known)
            voices = cache.get(transaction, scope)
            others = list(references.opened(transaction, [row], store.keys.get([row.key_id])))
            info = speakers.info(transaction, scope, row)
        checked = _checked(scope, row, others, voices, request.observation)
        if known is None:
            checked += _count(scope, row)
        if checked.reasons:
            return Enrolment(info, None, checked.reasons, checked.warnings)
        with store.write() as transaction:
            scope, now = _speaker(transaction, request, expecting, to_change=True)
            if now.version != row.version:
                continue
            if known is not None:
                return _complete(transaction, scope, now, request, known)
            return _insert(transaction, scope, now, request, checked)
    raise Conflict("The speaker is being changed by others all the time; try again.")


def enrolled(
    store: Store, tenant: str, gallery: str, speaker: str, content: bytes, expecting: str | None
) -> Enrolment | None:
    """Return the answer to an enrolment that was done already; see `Galleries.enrolled`."""
    request = Request(tenant, gallery, speaker, Observation((), Evidence(0.0)), expecting, "", content, "")
    with store.read() as transaction:
        scope, row = _speaker(transaction, request, expecting)
        known = _known(transaction, row, request)
        return None if known is None else _again(transaction, scope, row, known)


def _known(transaction: Transaction, row: Row, request: Request) -> ReferenceInfo | None:
    """Return the reference that the same recording is already, if it is one."""
    return None if request.content is None else references.of_content(transaction, row, request.content)


def _missing(known: ReferenceInfo, observation: Observation) -> list[VoiceSample]:
    """Return the samples in spaces of which the reference has no vector: the encoder is newer than it."""
    return [sample for sample in observation.samples if sample.space not in known.spaces]


def _again(transaction: Transaction, scope: Scope, row: Row, known: ReferenceInfo) -> Enrolment:
    return Enrolment(speakers.info(transaction, scope, row), known, repeated=True)


def _complete(
    transaction: Transaction, scope: Scope, row: Row, request: Request, known: ReferenceInfo
) -> Enrolment:
    """Add the vectors of newer encoders to the reference, whose speech must not count twice."""
    references.add_vectors(transaction, row, known.id, _missing(known, request.observation))
    ledger.append(
        transaction, scope.tenant, request.actor, "reference.complete", row.id, {"reference": known.id}
    )
    speakers.touch(transaction, scope, row.id)
    now = references.info(transaction, row.id, known.id)
    return _again(transaction, scope, speakers.by_id(transaction, row.id), now)


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
        transaction, scope, row, request.observation, request.origin, request.actor, request.content
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
    checked += _agreement(observation, others, voices)
    names = {
        found.name: None
        for sample in observation.samples
        for found in voices.comparison.duplicates(sample, observation.evidence.speech_s, row.id)
    }
    return checked + check_duplicates([voices.speakers[name].external_id for name in names], scope.policy)


def _count(scope: Scope, row: Row) -> Checked:
    """Check that the speaker may have one more reference."""
    if row.reference_count < scope.policy.max_references:
        return Checked()
    text = f"The speaker has {row.reference_count} references, and may have no more."
    limit = float(scope.policy.max_references)
    return Checked((Reason("too_many_references", text, float(row.reference_count), limit),))


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

"""Verification and identification: who may be compared, the comparison, and what is said about it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gallery import journal, references, speakers
from gallery.comparison import Outcome
from gallery.scope import find
from gallery.store import Store
from gallery.voices import VoiceCache, Voices
from voxgraph.errors import Conflict, InvalidOptions
from voxgraph.results import (
    Candidate,
    Decision,
    Duplicate,
    Evidence,
    Observation,
    OperatingPoint,
    VoiceDecision,
    VoiceSample,
)

MOST_CANDIDATES = 20
MOST_OBSERVATIONS = 64
MOST_COMPARED = 5_000
"""Profiles of which each can be compared with each other; more take minutes."""


@dataclass(frozen=True, slots=True)
class Question:
    """What verifications and identifications have in common: see `Galleries.identify`."""

    tenant: str
    gallery: str
    operating_point: OperatingPoint | None
    purpose: str | None
    actor: str


def verify(
    store: Store, cache: VoiceCache, question: Question, speaker: str, observation: Observation
) -> VoiceDecision:
    """Decide whether a recording is of one speaker; see `Galleries.verify`."""
    observation = references.checked(observation)
    with store.read() as transaction:
        scope = find(transaction, question.tenant, question.gallery)
        voices, now = cache.get(transaction, scope), transaction.now
        row = speakers.find(transaction, scope, speaker)
        speaker_id = row.id if row is not None and row.id in voices.speakers else None
        refusal: Decision | None
        if row is None or speaker_id is None:
            has_opted_out = speakers.has_opted_out(transaction, scope, speaker)
            refusal = Decision.OPTED_OUT if has_opted_out else Decision.NOT_ENROLLED
        else:
            refusal = _refusal(
                voices, speaker_id, speakers.info(transaction, scope, row).state, question.purpose
            )
    point = question.operating_point or scope.policy.operating_point
    if refusal is not None or speaker_id is None:
        decision = VoiceDecision(
            refusal or Decision.NOT_ENROLLED, operating_point=point, evidence=observation.evidence
        )
    else:
        left_out = voices.left_out(now, question.purpose)
        outcome = voices.comparison.verify(observation, speaker_id, point, left_out)
        decision = _decision(outcome, voices, observation.evidence, point)
    name = voices.speakers[speaker_id].display_name if speaker_id else None
    decision = replace(decision, speaker=speaker, display_name=name, label=observation.label)
    return _noted(store, question, "verify", [(decision, speaker_id)])[0]


def identify(
    store: Store,
    cache: VoiceCache,
    question: Question,
    observations: Sequence[Observation],
    top_n: int,
    exclusive: bool,
) -> tuple[VoiceDecision, ...]:
    """Decide who each voice is, if anybody; see `Galleries.identify`."""
    if not 1 <= top_n <= MOST_CANDIDATES:
        raise InvalidOptions(f"top_n is 1 to {MOST_CANDIDATES}.")
    if not 1 <= len(observations) <= MOST_OBSERVATIONS:
        raise InvalidOptions(f"1 to {MOST_OBSERVATIONS} voices can be identified together.")
    observations = [references.checked(observation) for observation in observations]
    with store.read() as transaction:
        scope = find(transaction, question.tenant, question.gallery)
        voices = cache.get(transaction, scope)
    point = question.operating_point or scope.policy.operating_point
    left_out = voices.left_out(transaction.now, question.purpose)
    outcomes = voices.comparison.identify(observations, point, top_n, exclusive=exclusive, without=left_out)
    made = []
    for observation, outcome in zip(observations, outcomes, strict=True):
        name = outcome.verdict.name
        decision = replace(_decision(outcome, voices, observation.evidence, point), label=observation.label)
        if name is not None:
            voice = voices.speakers[name]
            decision = replace(decision, speaker=voice.external_id, display_name=voice.display_name)
        made.append((decision, name))
    return tuple(_noted(store, question, "identify", made))


def duplicates(voices: Voices) -> tuple[Duplicate, ...]:
    """Return pairs of speakers who are probably one; see `Galleries.duplicates`."""
    comparison = voices.comparison
    found: dict[tuple[str, str], Duplicate] = {}
    if sum(len(matrix) for matrix in comparison.matrices.values()) > MOST_COMPARED:
        raise Conflict(f"Only {MOST_COMPARED} profiles can be compared with each other.")
    for space, matrix in comparison.matrices.items():
        for name in matrix.names:
            profile = matrix.profile(name)
            sample = VoiceSample(space, profile.rows[0])
            for other in comparison.duplicates(sample, profile.speech_s, name):
                first, second = sorted(voices.speakers[each].external_id for each in (name, other.name))
                found.setdefault((first, second), Duplicate((first, second), other.llr, other.score))
    return tuple(sorted(found.values(), key=lambda each: (-(each.score or 0.0), each.speakers)))


def _refusal(voices: Voices, speaker_id: str, state: str, purpose: str | None) -> Decision | None:
    """Return why a speaker who is there must not be compared, or None."""
    if state in ("expired", "enrolling"):
        return Decision(state)
    if not voices.speakers[speaker_id].agrees(voices.policy, purpose):
        return Decision.PURPOSE_NOT_CONSENTED
    return Decision.MODEL_MISMATCH if state == "stale" else None


def _decision(outcome: Outcome, voices: Voices, evidence: Evidence, point: OperatingPoint) -> VoiceDecision:
    verdict = outcome.verdict
    candidates = tuple(
        Candidate(
            voices.speakers[scored.name].external_id, voices.speakers[scored.name].display_name,
            llr=scored.llr, score=scored.score, probability=scored.probability,
        )
        for scored in verdict.candidates
    )  # fmt: skip
    best = verdict.best
    return VoiceDecision(
        verdict.decision, candidates=candidates, llr=best.llr if best else None, margin=verdict.margin,
        probability=best.probability if best else None, threshold=verdict.threshold, operating_point=point,
        evidence=evidence, space=outcome.space, calibrated=verdict.calibrated,
        not_compared=tuple(voices.speakers[name].external_id for name in outcome.not_compared),
    )  # fmt: skip


def _noted(
    store: Store, question: Question, kind: str, made: list[tuple[VoiceDecision, str | None]]
) -> list[VoiceDecision]:
    """Write journal and ledger; return the decisions with their ids."""
    with store.write() as transaction:
        scope = find(transaction, question.tenant, question.gallery, to_change=True)
        # Of somebody who was erased meanwhile, the journal must not learn again.
        there = speakers.existing(transaction, [speaker_id for _, speaker_id in made if speaker_id])
        present = [(decision, speaker_id if speaker_id in there else None) for decision, speaker_id in made]
        ids = journal.write(transaction, scope, kind, present, question.purpose, question.actor)
    return [
        replace(decision, decision_id=decision_id)
        for decision_id, (decision, _) in zip(ids, made, strict=True)
    ]

"""Bodies of decisions about voices; `voxgraph.results.gallery` has the fields' meaning."""

from typing import Any, Self

from pydantic import ConfigDict

from deployments.api.schemas.common import TimingInfo, example
from deployments.api.schemas.galleries import EVIDENCE, SPACE, EvidenceAnswer, Record, SpaceAnswer
from deployments.api.schemas.quality import EXAMPLE as QUALITY
from deployments.api.schemas.quality import Noted
from voxgraph.results import Decision, OperatingPoint, VoiceDecision

DIGITS = 6
"""Decimals of ratios and probabilities."""
_CANDIDATE = {
    "external_id": "customer-17", "display_name": "Anna", "llr": 9.21, "score": 0.71, "probability": 0.998,
}  # fmt: skip
EXAMPLE: dict[str, Any] = {
    "decision": "match", "speaker": "customer-17", "display_name": "Anna", "candidates": [_CANDIDATE],
    "llr": 9.21, "margin": 8.4, "probability": 0.998, "threshold": 0.95, "operating_point": "balanced",
    "evidence": EVIDENCE, "space": SPACE, "calibrated": False, "not_compared": [],
    "decision_id": "dec_0192f1c5", "label": None,
}  # fmt: skip


class CandidateAnswer(Record):
    """A speaker who was compared with the voice."""

    external_id: str
    display_name: str | None
    llr: float | None
    """Natural logarithm of the likelihood ratio of this speaker against another one; null without a
    calibration, and for a key without the scope ``scores``."""
    score: float | None
    """Cosine similarity, -1..1; null for a key without the scope ``scores``."""
    probability: float | None
    """Among all speakers of the gallery and nobody of it, 0..1; null without a calibration."""


class DecisionAnswer(Record):
    """What was decided about a voice. Whatever is not ``match`` names nobody."""

    model_config = ConfigDict(from_attributes=True) | example(**EXAMPLE)

    decision: Decision
    speaker: str | None
    """External id."""
    display_name: str | None
    candidates: list[CandidateAnswer]
    """The best first."""
    llr: float | None
    margin: float | None
    probability: float | None
    threshold: float | None
    """What decides: a log-likelihood ratio in a verification, a probability in an identification, or a cosine
    if not `calibrated`."""
    operating_point: OperatingPoint
    evidence: EvidenceAnswer | None
    space: SpaceAnswer | None
    calibrated: bool
    """Whether log-likelihood ratios decided; otherwise a cosine and a margin, which rather name nobody."""
    not_compared: list[str]
    """External ids of speakers without a vector in that space."""
    decision_id: str | None
    label: str | None
    """Label of the diarized speaker."""

    @classmethod
    def from_result(cls, found: VoiceDecision, **others: Any) -> Self:
        """Build the answer; `others` are further fields."""
        answer = cls(**DecisionAnswer.model_validate(found).__dict__, **others)
        for each in (answer, *answer.candidates):
            for name in ("llr", "margin", "probability", "threshold", "score"):
                if (value := getattr(each, name, None)) is not None:
                    setattr(each, name, round(value, DIGITS))
        return answer


class NotedDecisionAnswer(DecisionAnswer, TimingInfo, Noted):
    """What was decided about the voice in a recording."""

    model_config = ConfigDict(from_attributes=True) | example(
        **EXAMPLE, quality=QUALITY, processing_time=0.21, audio_duration=9.1
    )

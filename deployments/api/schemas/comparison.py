"""Response bodies of the endpoints that compare two voices."""

from typing import Any, Self

from deployments.api.schemas.common import ProcessingInfo, example
from deployments.api.schemas.health import SpeakerCalibrationAnswer
from deployments.api.schemas.quality import EXAMPLE, Noted, QualityAnswer
from voxgraph.calibration import SAME_SPEAKER_PRIOR
from voxgraph.similarity import VoiceComparison

_EXAMPLE: dict[str, Any] = {
    "similarity_score": 0.71, "same_speaker": True, "threshold": 0.25, "calibrated": True, "llr": 5.91,
    "probability": 0.9973, "prior": SAME_SPEAKER_PRIOR, "calibrated_threshold": 0.41,
    "calibration": {"slope": 19.72, "intercept": -8.09},
    "model": "iic/speech_campplus_sv_zh_en_16k-common_advanced", "revision": "starter-0123456789ab",
    "processing_time": 0.08, "audio_duration": 6.4, "model_device": "cpu",
}  # fmt: skip


class ComparisonAnswer(ProcessingInfo):
    """The similarity of two voices, and whether they are the same speaker."""

    similarity_score: float
    """Cosine similarity, -1..1."""
    same_speaker: bool
    """Whether `similarity_score` is above `threshold`."""
    threshold: float
    calibrated: bool
    """Whether the encoder's similarities were calibrated on labelled speech; if not, `llr`, `probability` and
    `calibrated_threshold` are null."""
    llr: float | None
    """Natural logarithm of the likelihood ratio of one speaker against two."""
    probability: float | None
    """Probability of one speaker, 0..1, with the prior `prior`."""
    prior: float
    """Probability of one speaker that is assumed before the recordings are heard."""
    calibrated_threshold: float | None
    """Similarity at which `llr` is 0."""
    calibration: SpeakerCalibrationAnswer | None = None
    """The line that gives `llr`, or null with it."""
    model: str
    revision: str

    @classmethod
    def from_result(cls, result: VoiceComparison, **others: Any) -> Self:
        """Build the answer; `others` are further fields."""
        return cls(
            similarity_score=result.similarity,
            same_speaker=result.same_speaker,
            threshold=result.threshold,
            calibrated=result.calibration is not None,
            llr=result.llr,
            probability=result.probability,
            prior=SAME_SPEAKER_PRIOR,
            calibrated_threshold=None if result.calibration is None else result.calibration.threshold,
            calibration=None
            if result.calibration is None
            else SpeakerCalibrationAnswer.model_validate(result.calibration),
            model=result.model,
            revision=result.revision,
            **others,
        )


class StoredComparisonAnswer(ComparisonAnswer, Noted):
    """The similarity of the voice in a recording and a stored one."""

    model_config = example(**_EXAMPLE, quality=EXAMPLE)


class PairComparisonAnswer(ComparisonAnswer):
    """The similarity of the voices in two recordings."""

    model_config = example(**_EXAMPLE, quality1=EXAMPLE, quality2=EXAMPLE)

    quality1: QualityAnswer
    """Notes about ``file1``."""
    quality2: QualityAnswer
    """Notes about ``file2``."""

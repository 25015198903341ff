"""The answer that compares two recordings."""

from deployments.api.schemas.answers import Measured, example
from voxgraph.similarity import VoiceComparison


class ComparisonAnswer(Measured):
    """Whether two recordings are of one speaker."""

    model_config = example(
        similarity_score=0.71, same_speaker=True, threshold=0.25, model="speechbrain/spkrec-ecapa-voxceleb",
        revision="demo", processing_time=0.08, audio_duration=6.4, model_device="cpu",
    )  # fmt: skip

    similarity_score: float
    """Cosine, -1..1."""
    same_speaker: bool
    """Whether it is above `threshold`."""
    threshold: float
    model: str
    revision: str

    @classmethod
    def from_result(cls, result: VoiceComparison, measured: Measured) -> "ComparisonAnswer":
        """Make the answer with how it was measured."""
        return cls(
            similarity_score=result.similarity,
            same_speaker=result.same_speaker,
            threshold=result.threshold,
            model=result.model,
            revision=result.revision,
            **measured.model_dump(),
        )

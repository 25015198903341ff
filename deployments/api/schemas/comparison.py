"""Response body of the endpoints that compare two recordings."""

from deployments.api.schemas.answers import ProcessingInfo, example
from voxgraph.similarity import VoiceComparison


class ComparisonAnswer(ProcessingInfo):
    """The similarity of two voices, and whether they are the same speaker."""

    model_config = example(
        similarity_score=0.71, same_speaker=True, threshold=0.25, model="speechbrain/spkrec-ecapa-voxceleb",
        revision="eac27266f68caa806381260bd44ace38b136c76a", processing_time=0.08, audio_duration=6.4,
        model_device="cpu",
    )  # fmt: skip

    similarity_score: float
    """Cosine similarity, -1..1."""
    same_speaker: bool
    """Whether `similarity_score` is above `threshold`."""
    threshold: float
    model: str
    revision: str

    @classmethod
    def from_result(cls, result: VoiceComparison, info: ProcessingInfo) -> "ComparisonAnswer":
        """Build the answer."""
        return cls(
            similarity_score=result.similarity,
            same_speaker=result.same_speaker,
            threshold=result.threshold,
            model=result.model,
            revision=result.revision,
            **info.model_dump(),
        )

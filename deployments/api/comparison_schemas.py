"""The answers that compare two voices."""

from deployments.api.schemas import Measured, example
from pipelines.results import Embedding
from pipelines.similarity import cosine


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
    def of(
        cls, first: Embedding, second: Embedding, threshold: float, measured: Measured
    ) -> "ComparisonAnswer":
        """From two embeddings of one space; raises as `pipelines.similarity.cosine`."""
        score = cosine(first, second)
        return cls(
            similarity_score=score,
            same_speaker=score > threshold,
            threshold=threshold,
            model=first.model,
            revision=first.revision,
            **measured.model_dump(),
        )

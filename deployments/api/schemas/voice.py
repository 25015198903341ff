"""The response bodies of an embedded voice."""

from typing import Any, Self

from pydantic import BaseModel

from deployments.api.schemas.common import ProcessingInfo, example
from deployments.api.schemas.quality import EXAMPLE, Noted
from voxgraph.results import SpeakerResult


class VoiceAnswer(BaseModel):
    """The embedding of a voice, and the language that selected its encoder."""

    success: bool = True
    embedding: list[float]
    embedding_size: int
    language: str | None = None
    """Null if the request named the encoder: then no language was detected."""
    language_name: str | None = None
    """English name of the language, or null with it."""
    confidence: float | None = None
    """Probability of the language, 0..1, or null with it."""
    model: str
    revision: str

    @classmethod
    def from_result(cls, result: SpeakerResult, **others: Any) -> Self:
        """Build the answer with the vector as the encoder returned it, not scaled; `others` are further
        fields."""
        language = result.language
        return cls(
            embedding=result.embedding.vector.tolist(),
            embedding_size=len(result.embedding.vector),
            language=None if language is None else language.language,
            language_name=None if language is None else language.name,
            confidence=None if language is None else language.confidence,
            model=result.embedding.model,
            revision=result.embedding.revision,
            **others,
        )


class NotedVoiceAnswer(VoiceAnswer, Noted):
    """The embedding of the voice in a recording."""

    model_config = example(
        success=True, embedding=[0.013, -0.042], embedding_size=192, language="en", language_name="English",
        confidence=0.97, model="speechbrain/spkrec-ecapa-voxceleb",
        revision="eac27266f68caa806381260bd44ace38b136c76a", quality=EXAMPLE,
    )  # fmt: skip


class EmbeddingAnswer(ProcessingInfo, Noted):
    """The embedding of a voice."""

    model_config = example(
        embedding=[0.013, -0.042], normalized=True, revision="eac27266f68caa806381260bd44ace38b136c76a",
        model="speechbrain/spkrec-ecapa-voxceleb", language="en", processing_time=0.05, audio_duration=3.2,
        model_device="cpu", quality=EXAMPLE,
    )  # fmt: skip

    embedding: list[float]
    normalized: bool
    model: str
    revision: str
    language: str | None = None
    """Null if the request named the encoder: then no language was detected."""

    @classmethod
    def from_result(cls, result: SpeakerResult, normalize: bool, **others: Any) -> "EmbeddingAnswer":
        """Build the answer; `normalize` scales the vector to length 1; `others` are further fields."""
        embedding = result.embedding.normalized() if normalize else result.embedding
        return cls(
            embedding=embedding.vector.tolist(),
            normalized=normalize,
            model=embedding.model,
            revision=embedding.revision,
            language=None if result.language is None else result.language.language,
            **others,
        )

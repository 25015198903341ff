"""The response body of a detected language."""

from typing import Any, Self

from pydantic import BaseModel

from deployments.api.schemas.common import example
from deployments.api.schemas.quality import EXAMPLE, Noted
from voxgraph.results import LanguageResult


class LanguageAnswer(BaseModel):
    """The spoken language."""

    success: bool = True
    language: str
    name: str
    confidence: float
    probabilities: dict[str, float]
    """The most probable languages."""
    calibrated: bool
    """Whether the probabilities were calibrated on labelled speech."""
    uncertain: bool
    """Whether the answer is less certain than its probability says; `warning` has the reason."""
    warning: str | None = None

    @classmethod
    def from_result(cls, result: LanguageResult, **others: Any) -> Self:
        """Build the answer with the `TOP_LANGUAGES` most probable languages; `others` are further fields."""
        return cls(
            language=result.language,
            name=result.name,
            confidence=result.confidence,
            probabilities=result.top(),
            calibrated=result.calibrated,
            uncertain=result.warning is not None,
            warning=result.warning,
            **others,
        )


class NotedLanguageAnswer(LanguageAnswer, Noted):
    """The language that is spoken in a recording."""

    model_config = example(
        success=True, language="en", name="English", confidence=0.97, probabilities={"en": 0.97, "cy": 0.01},
        calibrated=True, uncertain=False, warning=None, quality=EXAMPLE,
    )  # fmt: skip

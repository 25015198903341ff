"""The response bodies of an identified accent."""

from typing import Any, Self

from pydantic import BaseModel

from deployments.api.schemas.common import example
from deployments.api.schemas.quality import EXAMPLE, Noted
from voxgraph.results import AccentResult


class UsConfidenceAnswer(BaseModel):
    """Confidence that the accent is American, in percent; 0.0 if another accent is more probable."""

    model_config = example(us_confidence=85.67)

    us_confidence: float

    @classmethod
    def from_result(cls, result: AccentResult, digits: int) -> "UsConfidenceAnswer":
        """Build the answer; `digits` is the number of decimals of the percentage."""
        return cls(us_confidence=round(100 * result.us_confidence, digits))


class AccentAnswer(UsConfidenceAnswer):
    """The most probable accent and the probability of every accent."""

    accent: str
    confidence: float
    probabilities: dict[str, float]
    calibrated: bool
    """Whether the probabilities were fitted on labelled real speech."""

    @classmethod
    def from_result(cls, result: AccentResult, digits: int, **others: Any) -> Self:
        """Build the answer with the probability of every accent; `others` are further fields."""
        return cls(
            us_confidence=round(100 * result.us_confidence, digits),
            accent=result.accent,
            confidence=result.confidence,
            probabilities=result.probabilities,
            calibrated=result.calibrated,
            **others,
        )


class NotedAccentAnswer(AccentAnswer, Noted):
    """The accent in a recording."""

    model_config = example(
        us_confidence=85.67, accent="us", confidence=0.8567, probabilities={"us": 0.8567, "canada": 0.1},
        calibrated=False, quality=EXAMPLE,
    )  # fmt: skip

"""The accent of an English speaker."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

US_ACCENT = "us"
"""Label of American English in the accent checkpoints."""


@dataclass(frozen=True, slots=True)
class AccentResult:
    """The accent of an English speaker."""

    accent: str
    """The most probable label of the checkpoint, e.g. ``us``, ``england``."""
    confidence: float
    """Probability of `accent`, 0..1."""
    us_confidence: float
    """Probability of ``us`` if that is the accent, else 0.0."""
    probabilities: dict[str, float]
    """Probability of every accent; they sum to 1."""
    calibrated: bool = False
    """Whether the probabilities were fitted on labelled real speech; otherwise they only rank accents."""
    speech_s: float | None = None
    """Seconds of speech in the recording; 0.0: none; None: nobody looked for it, or it cannot be told."""

    @classmethod
    def from_probabilities(
        cls, labels: Sequence[str], probabilities: Sequence[float], calibrated: bool = False
    ) -> "AccentResult":
        """Take the most probable of a checkpoint's labels; there is one probability per label."""
        by_label = dict(zip(labels, probabilities, strict=True))
        accent = max(by_label, key=by_label.__getitem__)
        confidence = by_label[accent]
        us_confidence = confidence if accent == US_ACCENT else 0.0
        return cls(accent, confidence, us_confidence, by_label, calibrated)

    def heard(self, speech_s: float | None) -> "AccentResult":
        """Add the seconds of speech."""
        return replace(self, speech_s=speech_s)

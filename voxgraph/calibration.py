"""Calibration of the cosine similarity of two voices: what it says about whether they are one speaker."""

import math
from dataclasses import dataclass

SAME_SPEAKER_PRIOR = 0.5
"""Probability, before the recordings are heard, that they are of one speaker. Nobody can know it for all
callers; a caller with another prior adds the logarithm of its odds to the log-likelihood ratio."""


@dataclass(frozen=True, slots=True)
class SpeakerCalibration:
    """Logistic calibration of one embedding space, fitted on pairs of labelled real recordings."""

    slope: float
    """Change of the log-likelihood ratio, in nats, from a cosine of 0 to one of 1; positive."""
    intercept: float
    """Log-likelihood ratio of a cosine of 0, in nats."""

    @property
    def threshold(self) -> float:
        """Cosine at which both answers are equally likely: the log-likelihood ratio is 0 there."""
        return -self.intercept / self.slope

    def llr(self, similarity: float) -> float:
        """Return the natural logarithm of the likelihood ratio of one speaker against two.

        Args:
            similarity: Cosine of two embeddings of the space, -1..1.
        """
        return self.slope * similarity + self.intercept


def posterior(llr: float, prior: float = SAME_SPEAKER_PRIOR) -> float:
    """Return the probability, 0..1, that two recordings are of one speaker.

    Args:
        llr: Result of `SpeakerCalibration.llr`.
        prior: Probability before the recordings are heard, 0..1 exclusive.
    """
    # tanh, unlike exp, does not overflow.
    return 0.5 + 0.5 * math.tanh((llr + math.log(prior / (1.0 - prior))) / 2)

"""Similarity of two voices, computed from their embeddings."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxgraph.calibration import SpeakerCalibration, posterior
from voxgraph.errors import InvalidEmbedding, SpaceMismatch
from voxgraph.results import Embedding

EMBEDDING_DIM = 192
"""Length of a vector of either encoder."""
DEFAULT_THRESHOLD = 0.25
"""Cosine similarity above which two recordings count as one speaker; SpeechBrain's default
(speechbrain/inference/speaker.py, SpeakerRecognition.verify_batch, 1.1.2)."""


def cosine(a: Embedding, b: Embedding) -> float:
    """Return the cosine similarity of two embeddings, -1..1; 1 is the same direction.

    Raises:
        SpaceMismatch: The vectors come from different encoders or revisions.
        InvalidEmbedding: A vector is not of shape (192,), is zero, or has NaN or infinite numbers.
    """
    if (a.model, a.revision) != (b.model, b.revision):
        raise SpaceMismatch(
            f"{a.model} at {a.revision} and {b.model} at {b.revision} are different spaces: "
            "embed both recordings with one encoder."
        )
    return float(np.clip(_unit_vector(a) @ _unit_vector(b), -1.0, 1.0))


def _unit_vector(embedding: Embedding) -> npt.NDArray[np.float64]:
    """Scale a vector to length 1, in float64: there no finite float32 overflows or underflows."""
    vector = np.asarray(embedding.vector, np.float64)
    if vector.shape != (EMBEDDING_DIM,):
        raise InvalidEmbedding(f"An embedding has shape {vector.shape}; it must be ({EMBEDDING_DIM},).")
    if not np.isfinite(vector).all():
        raise InvalidEmbedding("An embedding has NaN or infinite numbers.")
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        raise InvalidEmbedding("An embedding of zeros has no direction.")
    return vector / length


@dataclass(frozen=True, slots=True)
class VoiceComparison:
    """Decision whether two recordings are of one speaker."""

    similarity: float
    """Cosine of the two embeddings, -1..1."""
    same_speaker: bool
    """Whether the similarity is above the threshold."""
    threshold: float
    model: str
    """Encoder of both embeddings."""
    revision: str
    calibration: SpeakerCalibration | None = None
    """Calibration of the encoder; None if it has none."""

    @property
    def llr(self) -> float | None:
        """Natural logarithm of the likelihood ratio of one speaker against two; None if not calibrated."""
        return None if self.calibration is None else self.calibration.llr(self.similarity)

    @property
    def probability(self) -> float | None:
        """Probability of one speaker with a prior of `SAME_SPEAKER_PRIOR`; None if not calibrated."""
        return None if self.llr is None else posterior(self.llr)


def compare(
    first: Embedding,
    second: Embedding,
    threshold: float | None = DEFAULT_THRESHOLD,
    calibration: SpeakerCalibration | None = None,
) -> VoiceComparison:
    """Compare two embeddings of one encoder.

    Args:
        first: Embedding of one recording.
        second: Embedding of the other.
        threshold: Cosine above which the answer is one speaker. None: that of the calibration, or
            `DEFAULT_THRESHOLD` without one.
        calibration: `ModelInfo.same_speaker` of the encoder.

    Raises:
        SpaceMismatch, InvalidEmbedding: As `cosine` does.
    """
    if threshold is None:
        threshold = DEFAULT_THRESHOLD if calibration is None else calibration.threshold
    similarity = cosine(first, second)
    is_same = similarity > threshold
    return VoiceComparison(similarity, is_same, threshold, first.model, first.revision, calibration)

"""Tell American English from other accents with a head on Whisper's encoder."""

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.whisper_head import WhisperHead, head_architecture
from voxgraph.results import AccentResult


class WhisperAccentClassifier(WhisperHead[AccentResult]):
    """Classifies clips as American or other; the probability is calibrated on real speech.

    Args:
        checkpoint: The located starter of `ModelKey.ACCENT_XLSR` or `ModelKey.ACCENT_ECAPA`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the encoder.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine is not available.
    """

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        super().__init__(checkpoint, device, options)
        self._labels = head_architecture(checkpoint).labels
        self.info = checkpoint.info(device, self.parameter_count, self._labels, self.choice)

    def answer(self, probability: float) -> AccentResult:
        """Return the answer about a recording from the probability that its accent is American."""
        pair = (probability, 1 - probability)
        return AccentResult.from_probabilities(self._labels, pair, calibrated=True)

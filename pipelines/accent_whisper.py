"""Tell American English from other accents with a head on Whisper's encoder."""

from collections.abc import Sequence

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.whisper_head import WhisperHead, head_architecture
from pipelines.whisper_windows import MIN_SAMPLES
from voxgraph.results import AccentResult, Waveform


class WhisperAccentClassifier:
    """Classifies clips as American or other; the probability is calibrated on real speech.

    Args:
        checkpoint: The located starter of `ModelKey.ACCENT_XLSR` or `ModelKey.ACCENT_ECAPA`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the encoder.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine is not available.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._labels = head_architecture(checkpoint).labels
        self._head = WhisperHead(checkpoint, device, options)
        self.info = checkpoint.info(device, self._head.parameter_count, self._labels, self._head.choice)

    def __call__(self, waveforms: Sequence[Waveform]) -> list[AccentResult]:
        """Classify each clip; the result is the same alone and in any batch.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        pairs = [(chance, 1 - chance) for chance in self._head.probabilities(waveforms)]
        return [AccentResult.from_probabilities(self._labels, pair, calibrated=True) for pair in pairs]

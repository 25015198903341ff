"""Detect generated speech with a head on the first layers of Whisper's encoder."""

from collections.abc import Mapping, Sequence
from typing import Any

from config.settings import EngineOptions
from pipelines.calibrations import number
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.whisper_checkpoint import CONFIG
from pipelines.whisper_head import WhisperHead, head_architecture
from pipelines.whisper_windows import MIN_SAMPLES
from voxgraph.errors import CheckpointError
from voxgraph.results import DeepfakeScore, OperatingPoints, Waveform


class WhisperDeepfakeDetector:
    """Scores the probability that each chunk of a batch is generated.

    Args:
        checkpoint: The located starter of `ModelKey.DEEPFAKE`; its ``config.json`` has the operating points.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the encoder.

    Raises:
        CheckpointError: The tensors do not fit the architecture, the configuration has no operating points,
            or the engine is not available.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._head = WhisperHead(checkpoint, device, options)
        self._points = read_points(self._head.config)
        labels = head_architecture(checkpoint).labels
        self.info = checkpoint.info(device, self._head.parameter_count, labels, self._head.choice)

    def __call__(self, waveforms: Sequence[Waveform]) -> list[DeepfakeScore]:
        """Score each chunk; the result is the same alone and in any batch.

        Raises:
            AudioTooShort: A chunk has fewer than `min_samples` samples.
        """
        return [
            DeepfakeScore(ai_generated=chance, real=1 - chance, points=self._points)
            for chance in self._head.probabilities(waveforms)
        ]


def read_points(config: Mapping[str, Any]) -> OperatingPoints:
    """Return the operating points of a head's ``config.json``.

    Raises:
        CheckpointError: They are missing or not in order between 0 and 1.
    """
    found = config.get("operating_points")
    if not isinstance(found, dict):
        raise CheckpointError(f"{CONFIG} has no object operating_points.")
    high, low = (number(found, name, file=CONFIG) for name in ("ai_generated", "no_sign_found"))
    if not 0 <= low <= high <= 1:
        raise CheckpointError(f"{CONFIG} has no operating points in order between 0 and 1.")
    return OperatingPoints(high, low, fitted=True)

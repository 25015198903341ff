"""Detect generated speech with a head on the first layers of Whisper's encoder."""

from collections.abc import Mapping
from typing import Any

from config.settings import EngineOptions
from pipelines.calibrations import number
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.whisper_checkpoint import CONFIG
from pipelines.whisper_head import WhisperHead, head_architecture
from voxgraph.errors import CheckpointError
from voxgraph.results import DeepfakeScore, OperatingPoints


class WhisperDeepfakeDetector(WhisperHead[DeepfakeScore]):
    """Scores the probability that each chunk of a batch is generated.

    Args:
        checkpoint: The located starter of `ModelKey.DEEPFAKE`; its ``config.json`` has the operating points.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the encoder.

    Raises:
        CheckpointError: The tensors do not fit the architecture, the configuration has no operating points,
            or the engine is not available.
    """

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        super().__init__(checkpoint, device, options)
        self._points = read_points(self.config)
        labels = head_architecture(checkpoint).labels
        self.info = checkpoint.info(device, self.parameter_count, labels, self.choice)

    def answer(self, probability: float) -> DeepfakeScore:
        """Return the score of a chunk from the probability that it is generated."""
        return DeepfakeScore(ai_generated=probability, real=1 - probability, points=self._points)


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

"""The deepfake detector as a deployment."""

from typing import TYPE_CHECKING

from config.settings import EngineOptions
from deployments.replica import Pipeline, WaveformReplica
from pipelines.results import DeepfakeScore, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint


class Deepfake(WaveformReplica[DeepfakeScore]):
    """Adds to `pipelines.deepfake`: a replica's device, batching, health."""

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Waveform, DeepfakeScore]:
        """Load the wav2vec 2.0 sequence classifier."""
        from pipelines.deepfake import DeepfakeDetector

        return DeepfakeDetector(checkpoint, device, engine)

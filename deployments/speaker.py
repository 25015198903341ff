"""A speaker encoder as a deployment."""

from typing import TYPE_CHECKING

from config.settings import EngineOptions
from deployments.replica import Pipeline, WaveformReplica
from pipelines.results import Embedding, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint


class Speaker(WaveformReplica[Embedding]):
    """Adds to `pipelines.speaker`: a replica's device, batching, health."""

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Waveform, Embedding]:
        """Load the encoder of the checkpoint."""
        from pipelines.speaker import SpeakerEncoder

        return SpeakerEncoder(checkpoint, device, engine)

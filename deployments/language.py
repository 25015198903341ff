"""The language model as a deployment."""

from typing import TYPE_CHECKING

from config.settings import EngineOptions
from deployments.replica import Pipeline, WaveformReplica
from pipelines.results import LanguageResult, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint


class Language(WaveformReplica[LanguageResult]):
    """Adds to `pipelines.language`: a replica's device, batching, health."""

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Waveform, LanguageResult]:
        """Load the VoxLingua107 classifier."""
        from pipelines.language import LanguageIdentifier

        return LanguageIdentifier(checkpoint, device, engine)

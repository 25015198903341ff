"""The two accent models as deployments."""

from typing import TYPE_CHECKING

from config.settings import EngineOptions
from deployments.replica import Pipeline, WaveformReplica
from pipelines.results import AccentResult, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint


class AccentXlsr(WaveformReplica[AccentResult]):
    """Adds to `pipelines.accent_xlsr`: a replica's device, batching, health."""

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Waveform, AccentResult]:
        """Load the wav2vec 2.0 classifier."""
        from pipelines.accent_xlsr import XlsrAccentClassifier

        return XlsrAccentClassifier(checkpoint, device, engine)


class AccentEcapa(WaveformReplica[AccentResult]):
    """Adds to `pipelines.accent`: a replica's device, batching, health."""

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Waveform, AccentResult]:
        """Load the ECAPA classifier."""
        from pipelines.accent import EcapaAccentClassifier

        return EcapaAccentClassifier(checkpoint, device, engine)

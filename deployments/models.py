"""Deployment of the models that take one recording and nothing else."""

from typing import TYPE_CHECKING, Any

from config.settings import EngineOptions
from deployments.loading import load_pipeline
from deployments.replica.model_replica import Pipeline, WaveformReplica
from voxgraph.results import Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint


class WaveformModel(WaveformReplica[Any]):
    """Serves a pipeline of `deployments.loading`; the base class adds device, batcher, health and metrics."""

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Waveform, Any]:
        """Import the pipeline, and thereby torch, and load the checkpoint."""
        return load_pipeline(self._model, checkpoint, device, engine)

"""A voice as a vector: the two ECAPA speaker encoders. Which one a recording takes: `pipelines.routing`."""

from collections.abc import Sequence

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.ecapa import MIN_SAMPLES, Ecapa
from voxgraph.results import Embedding, Waveform


class SpeakerEncoder:
    """Answers clips with embeddings of its own space.

    Args:
        checkpoint: Of `ModelKey.SPEAKER_VOXCELEB` or `ModelKey.SPEAKER_CNCELEB`.
        device: ``cpu`` or ``cuda:0``.
        options: What the network runs on.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine cannot be had.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._network = Ecapa(checkpoint, device, options)
        self.info = checkpoint.info(device, self._network.parameter_count, choice=self._network.choice)

    def __call__(self, waveforms: Sequence[Waveform]) -> list[Embedding]:
        """Embed each clip, whatever the others are: (192,) float32, not normalised.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        vectors = self._network.embed(waveforms).cpu().numpy()
        # A copy each: a row of the batch would keep the whole batch alive and travel with it.
        return [Embedding(vector.copy(), self.info.hub_id, self.info.revision) for vector in vectors]

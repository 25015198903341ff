"""Embed voices with one of the two ECAPA speaker encoders. `pipelines.routing` chooses the encoder."""

from collections.abc import Sequence

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.ecapa import MIN_SAMPLES, Ecapa
from voxgraph.results import Embedding, Waveform


class SpeakerEncoder:
    """Embed clips in the space of one encoder; embeddings of two encoders cannot be compared.

    Args:
        checkpoint: The located `ModelKey.SPEAKER_VOXCELEB` or `ModelKey.SPEAKER_CNCELEB`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine is unavailable.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._network = Ecapa(checkpoint, device, options)
        self.info = checkpoint.info(device, self._network.parameter_count, choice=self._network.choice)

    def __call__(self, waveforms: Sequence[Waveform]) -> list[Embedding]:
        """Embed each clip as a (192,) float32 vector, not normalized; the rest of the batch has no effect.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        vectors = self._network.embed(waveforms).cpu().numpy()
        # Copy each row: a view would keep the whole batch alive and pickle all of it.
        return [Embedding(vector.copy(), self.info.hub_id, self.info.revision) for vector in vectors]

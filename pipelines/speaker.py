"""Embed voices with one of the two ECAPA speaker encoders. `pipelines.routing` chooses the encoder."""

from collections.abc import Sequence

from torch import Tensor

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.ecapa import MAX_INPUT_SAMPLES, MIN_SAMPLES, Ecapa
from pipelines.samples import Samples
from pipelines.windowing import MeanOfWindows
from voxgraph.results import Embedding, Waveform


class SpeakerEncoder(MeanOfWindows[Embedding]):
    """Embed clips in the space of one encoder; embeddings of two encoders cannot be compared.

    Args:
        checkpoint: The located `ModelKey.SPEAKER_VOXCELEB` or `ModelKey.SPEAKER_CNCELEB`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine is unavailable.
    """

    min_samples, longest = MIN_SAMPLES, MAX_INPUT_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._network = Ecapa(checkpoint, device, options)
        self.info = checkpoint.info(device, self._network.parameter_count, choice=self._network.choice)

    def rows(self, clips: Sequence[Waveform]) -> Tensor:
        """Embed clips: (clips, 192), float32, not normalized."""
        return self._network.embed(clips)

    def result(self, row: Tensor, samples: Samples) -> Embedding:
        """Return the embedding of a recording."""
        # A row without a copy would keep the whole batch in memory, and be pickled with it.
        return Embedding(row.numpy().copy(), self.info.hub_id, self.info.revision)

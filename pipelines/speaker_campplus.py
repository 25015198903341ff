"""Speaker embeddings with CAM++, in place of either ECAPA encoder of `pipelines.speaker`."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from config.settings import EngineOptions
from pipelines.calibrations import speaker_calibration
from pipelines.campplus import LONGEST_SAMPLES, MIN_SAMPLES, CamPlusPlus
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.samples import Samples
from pipelines.windowing import MeanOfWindows
from voxgraph.results import Embedding, Waveform


class CamPlusPlusEncoder(MeanOfWindows[Embedding]):
    """Embeds clips into one space, whichever of the two encoders it replaces.

    Args:
        checkpoint: The starter checkpoint of `ModelKey.SPEAKER_VOXCELEB` or `ModelKey.SPEAKER_CNCELEB`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network.

    Raises:
        CheckpointError: The tensors do not fit the architecture, the calibration cannot be read, or the
            engine is not available.
    """

    min_samples, longest = MIN_SAMPLES, LONGEST_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._network = CamPlusPlus(checkpoint, device, options)
        info = checkpoint.info(device, self._network.parameter_count, choice=self._network.choice)
        self.info = replace(info, same_speaker=speaker_calibration(checkpoint))

    def rows(self, clips: Sequence[Waveform]) -> Tensor:
        """Embed clips: (clips, 192), float32, not normalized."""
        return self._network.embed(clips)

    def result(self, row: Tensor, samples: Samples) -> Embedding:
        """Return the embedding of a recording."""
        # A row without a copy would keep the whole batch in memory, and be pickled with it.
        return Embedding(row.numpy().copy(), self.info.hub_id, self.info.revision)

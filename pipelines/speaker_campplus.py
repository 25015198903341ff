"""Speaker embeddings with CAM++, in place of either ECAPA encoder of `pipelines.speaker`."""

from collections.abc import Sequence
from dataclasses import replace

from config.settings import EngineOptions
from pipelines.calibrations import speaker_calibration
from pipelines.campplus import MIN_SAMPLES, CamPlusPlus
from pipelines.checkpoints import LocatedCheckpoint
from voxgraph.results import Embedding, Waveform


class CamPlusPlusEncoder:
    """Embeds clips into one space, whichever of the two encoders it replaces.

    Args:
        checkpoint: The starter checkpoint of `ModelKey.SPEAKER_VOXCELEB` or `ModelKey.SPEAKER_CNCELEB`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network.

    Raises:
        CheckpointError: The tensors do not fit the architecture, the calibration cannot be read, or the
            engine is not available.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._network = CamPlusPlus(checkpoint, device, options)
        info = checkpoint.info(device, self._network.parameter_count, choice=self._network.choice)
        self.info = replace(info, same_speaker=speaker_calibration(checkpoint))

    def __call__(self, waveforms: Sequence[Waveform]) -> list[Embedding]:
        """Embed each clip: (192,) float32, not normalised, the same alone and in any batch.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        vectors = self._network.embed(waveforms).cpu().numpy()
        # A row without a copy would keep the whole batch in memory, and be pickled with it.
        return [Embedding(vector.copy(), self.info.hub_id, self.info.revision) for vector in vectors]

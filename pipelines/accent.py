"""Which accent of English is heard: CommonAccent ECAPA. Its XLSR sibling: `pipelines.accent_xlsr`."""

from collections.abc import Sequence

from config.settings import EngineOptions
from pipelines.accent_result import accent_result
from pipelines.checkpoints import LocatedCheckpoint, load_labels
from pipelines.ecapa import MIN_SAMPLES, Ecapa
from voxgraph.results import AccentResult, Waveform

MARGIN_LOSS_SCALE = 30.0
"""Scale of the additive angular margin loss that the checkpoint was trained with
(JuanPZuluaga/accent-recog-slt2022, hparams/inference_ecapa_tdnn.yaml): its scores are cosines."""


class EcapaAccentClassifier:
    """Answers clips with accents.

    Args:
        checkpoint: Of `ModelKey.ACCENT_ECAPA`.
        device: ``cpu`` or ``cuda:0``.
        options: What the network runs on.

    Raises:
        CheckpointError: The tensors or labels do not fit the architecture, or the engine cannot be had.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._network = Ecapa(checkpoint, device, options)
        self._labels = load_labels(checkpoint.file("accent_encoder.txt"), self._network.n_labels)
        self.info = checkpoint.info(
            device, self._network.parameter_count, self._labels, choice=self._network.choice
        )

    def __call__(self, waveforms: Sequence[Waveform]) -> list[AccentResult]:
        """Identify the accent of each clip, whatever the others are.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        probabilities = (MARGIN_LOSS_SCALE * self._network.classify(waveforms)).softmax(dim=-1)
        return [accent_result(self._labels, row) for row in probabilities.cpu().tolist()]

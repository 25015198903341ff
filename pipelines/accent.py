"""Classify the accent of English with CommonAccent ECAPA. Its XLSR sibling: `pipelines.accent_xlsr`."""

from collections.abc import Sequence

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint, load_labels
from pipelines.ecapa import MIN_SAMPLES, Ecapa
from voxgraph.results import AccentResult, Waveform

MARGIN_LOSS_SCALE = 30.0
"""Scale of the additive angular margin loss that the checkpoint was trained with; its scores are cosines
(JuanPZuluaga/accent-recog-slt2022, hparams/inference_ecapa_tdnn.yaml)."""


class EcapaAccentClassifier:
    """Classify the accent of each clip of a batch.

    Args:
        checkpoint: The located `ModelKey.ACCENT_ECAPA`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network.

    Raises:
        CheckpointError: The tensors or labels do not fit the architecture, or the engine is unavailable.
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
        """Classify each clip; the result does not depend on the rest of the batch.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        probabilities = (MARGIN_LOSS_SCALE * self._network.classify(waveforms)).softmax(dim=-1)
        return [AccentResult.from_probabilities(self._labels, row) for row in probabilities.cpu().tolist()]

"""Classify the accent of English with CommonAccent ECAPA. Its XLSR sibling: `pipelines.accent_xlsr`."""

from collections.abc import Sequence

from torch import Tensor

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint, load_labels
from pipelines.ecapa import MAX_INPUT_SAMPLES, MIN_SAMPLES, Ecapa
from pipelines.samples import Samples
from pipelines.windowing import MeanOfWindows
from voxgraph.results import AccentResult, Waveform

MARGIN_LOSS_SCALE = 30.0
"""Scale of the additive angular margin loss that the checkpoint was trained with; its scores are cosines
(JuanPZuluaga/accent-recog-slt2022, hparams/inference_ecapa_tdnn.yaml)."""


class EcapaAccentClassifier(MeanOfWindows[AccentResult]):
    """Classify the accent of each clip of a batch, from the mean embedding of its windows.

    Args:
        checkpoint: The located `ModelKey.ACCENT_ECAPA`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network.

    Raises:
        CheckpointError: The tensors or labels do not fit the architecture, or the engine is unavailable.
    """

    min_samples, longest = MIN_SAMPLES, MAX_INPUT_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._network = Ecapa(checkpoint, device, options)
        self._labels = load_labels(checkpoint.file("accent_encoder.txt"), self._network.n_labels)
        self.info = checkpoint.info(
            device, self._network.parameter_count, self._labels, choice=self._network.choice
        )

    def rows(self, clips: Sequence[Waveform]) -> Tensor:
        """Embed clips."""
        return self._network.embed(clips)

    def result(self, row: Tensor, samples: Samples) -> AccentResult:
        """Return the answer about a recording from its embedding."""
        probabilities = (MARGIN_LOSS_SCALE * self._network.classify(row)).softmax(dim=-1)
        return AccentResult.from_probabilities(self._labels, probabilities.tolist())

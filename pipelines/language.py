"""Identify the spoken language with the VoxLingua107 ECAPA model."""

from collections.abc import Sequence

from config.settings import EngineOptions
from pipelines.allow_list import language_names
from pipelines.checkpoints import LocatedCheckpoint, load_labels
from pipelines.ecapa import MIN_SAMPLES, Ecapa
from pipelines.speech_windows import shortness
from voxgraph.results import LanguageResult, Waveform


class LanguageIdentifier:
    """Identify the language of each clip of a batch.

    Args:
        checkpoint: The located `ModelKey.LANGUAGE`.
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
        labels = load_labels(checkpoint.file("label_encoder.txt"), self._network.n_labels)
        self._names = language_names(labels)
        self.info = checkpoint.info(
            device, self._network.parameter_count, labels, choice=self._network.choice
        )

    def __call__(self, waveforms: Sequence[Waveform]) -> list[LanguageResult]:
        """Classify each clip; the result does not depend on the rest of the batch.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        # The head returns log-posteriors.
        rows = self._network.classify(waveforms).exp().cpu().tolist()
        return [self._result(row, clip) for row, clip in zip(rows, waveforms, strict=True)]

    def _result(self, posteriors: list[float], waveform: Waveform) -> LanguageResult:
        by_code = dict(zip(self._names, posteriors, strict=True))
        return LanguageResult("", "", 0.0, by_code, warning=shortness(waveform)).decided(self._names)

"""Identify the spoken language with the VoxLingua107 ECAPA model."""

from collections.abc import Sequence

from torch import Tensor

from config.settings import EngineOptions
from pipelines.allow_list import language_names
from pipelines.checkpoints import LocatedCheckpoint, load_labels
from pipelines.ecapa import MAX_INPUT_SAMPLES, MIN_SAMPLES, Ecapa
from pipelines.samples import Samples
from pipelines.speech_windows import speech_seconds
from pipelines.windowing import MeanOfWindows
from voxgraph.results import LanguageResult, Waveform, shortness


class LanguageIdentifier(MeanOfWindows[LanguageResult]):
    """Identify the language of each clip of a batch, from the mean embedding of its windows.

    Args:
        checkpoint: The located `ModelKey.LANGUAGE`.
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
        labels = load_labels(checkpoint.file("label_encoder.txt"), self._network.n_labels)
        self._names = language_names(labels)
        self.info = checkpoint.info(
            device, self._network.parameter_count, labels, choice=self._network.choice
        )

    def rows(self, clips: Sequence[Waveform]) -> Tensor:
        """Embed clips."""
        return self._network.embed(clips)

    def result(self, row: Tensor, samples: Samples) -> LanguageResult:
        """Return the answer about a recording from its embedding."""
        # The head returns log-posteriors.
        posteriors = self._network.classify(row).exp().tolist()
        by_code = dict(zip(self._names, posteriors, strict=True))
        warning = shortness(speech_seconds(samples))
        return LanguageResult("", "", 0.0, by_code, warning=warning).decided(self._names)

"""Language identification with Whisper: the probabilities of the language tokens, and no transcription."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.engines.run import on_engine
from pipelines.engines.select import Network, choose
from pipelines.language_calibration import language_calibration
from pipelines.pieces import Piecewise
from pipelines.samples import Samples
from pipelines.speech_windows import speech_seconds
from pipelines.vendored.process import full_float32
from pipelines.whisper_checkpoint import load_whisper, whisper_architecture
from pipelines.whisper_features import HOP_SAMPLES, log_mel, mel_filters
from pipelines.whisper_languages import LANGUAGES, service_languages
from pipelines.whisper_windows import (
    MIN_SAMPLES,
    STATE_SAMPLES,
    Windows,
    cut_windows,
    in_batches,
)
from voxgraph.results import SAMPLE_RATE_HZ, LanguageResult, Waveform, shortness

WINDOW_S = 10
"""Length of a window; a shorter clip is padded with silence. On 150 short clips in 36 languages, 10 s was as
accurate as 15 s (0.787 both), at less than a third of the cost of the published 30 s."""
WINDOW_SAMPLES = WINDOW_S * SAMPLE_RATE_HZ
MAX_MOVED_SAMPLES = WINDOW_SAMPLES // 2
"""Longest clip that is heard at two places of the window. What the network makes of a word depends on its
place; the mean of both had 6 to 23 % less negative log-likelihood on letters and single words."""
MAX_WINDOWS = 3
"""Most windows of a recording that the network hears. On 217 recordings in 19 languages, the accuracy was
0.959 with the first 10 s alone and 0.963 with up to three windows."""


class WhisperLanguageIdentifier(Piecewise[Windows, Tensor, LanguageResult]):
    """Identifies the language of clips, or answers ``unknown``.

    For clips longer than `WINDOW_S`, the log-probabilities of up to `MAX_WINDOWS` windows are averaged; for
    clips of at most `MAX_MOVED_SAMPLES`, those of the clip at the start of a window and in its middle.

    Args:
        checkpoint: A Whisper checkpoint of `ModelKey.LANGUAGE`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network. The front end, one part in a hundred of the work,
            always runs on torch in float32.

    Raises:
        CheckpointError: The tensors do not fit the architecture, the calibration cannot be read, or the
            engine is not available.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        architecture = whisper_architecture(checkpoint)
        self._device = torch.device(device)
        network = load_whisper(checkpoint).to(self._device)
        self._filters = mel_filters(architecture.n_mels).to(self._device)
        self._names = dict(service_languages(architecture.n_labels))
        self._calibration = language_calibration(checkpoint, [*self._names])
        choice = choose(options, device, Network.WHISPER, checkpoint.size)
        shape = (architecture.n_mels, WINDOW_SAMPLES // HOP_SAMPLES)
        self._run = on_engine(
            network, choice, (torch.zeros(2, *shape),), ((-1, *shape),), checkpoint.identity
        )
        parameters = sum(parameter.numel() for parameter in network.parameters())
        labels = LANGUAGES[: architecture.n_labels]
        self.info = checkpoint.info(device, parameters, labels, choice=choice)

    def cut(self, samples: Samples) -> list[Windows]:
        """Return what the network hears of a recording."""
        return whisper_windows(samples)

    def seconds_of(self, piece: Windows) -> float:
        """Return the seconds of a recording in some windows."""
        return piece.seconds

    def run(self, pieces: Sequence[Windows]) -> list[Tensor]:
        """Return the rows of each piece as in `log_probabilities`, float32, on the CPU."""
        return in_batches(self._of_windows, pieces, shares=False)

    def join(self, samples: Samples, outputs: Sequence[Tensor]) -> LanguageResult:
        """Return the answer about a recording."""
        return self._result(_mean(outputs), samples)

    def log_probabilities(self, waveforms: Sequence[Waveform]) -> Tensor:
        """Return what an answer is made of: the network's log-probabilities, before any calibration.

        Args:
            waveforms: As for a call.

        Returns:
            (clips, n_labels + 1), float64, on the CPU: for each clip the means over its windows, of each
            language and then of nospeech. In one window, the probabilities of these columns sum to 1. If the
            checkpoint tells speech from other sounds, the logit of speech is one more column.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        cuts = [self.cut(waveform) for waveform in waveforms]
        return torch.stack([_mean(self.run(pieces)) for pieces in cuts])

    @full_float32()
    @torch.inference_mode()
    def _of_windows(self, windows: Tensor) -> Tensor:
        """Return the rows of windows as in `log_probabilities`, float32, on the CPU."""
        logits = self._run(log_mel(windows.to(self._device), self._filters)).cpu()
        tokens = len(self._names) + 1
        return torch.cat((logits[:, :tokens].log_softmax(dim=1), logits[:, tokens:]), dim=1)

    def _result(self, log_probabilities: Tensor, samples: Samples) -> LanguageResult:
        """Return the answer about a clip, from its row of `log_probabilities`."""
        languages, (_, *rest) = log_probabilities[: len(self._names)], log_probabilities[len(self._names) :]
        speech = float(rest[0]) if rest else None
        seconds = len(samples) / SAMPLE_RATE_HZ
        probabilities = self._calibration.probabilities(languages, seconds)
        result = LanguageResult(
            "",
            "",
            0.0,
            dict(zip(self._names, probabilities, strict=True)),
            calibrated=self._calibration.is_fitted,
            warning=shortness(speech_seconds(samples)),
            is_heard=self._calibration.is_heard(languages, speech),
            is_speech=None if speech is None else speech > 0,
            min_confidence=self._calibration.min_confidence,
        )
        return result.decided(self._names)


def _mean(rows: Sequence[Tensor]) -> Tensor:
    """Return the mean over all windows of a recording, float64."""
    return torch.cat([*rows]).double().mean(dim=0)


def whisper_windows(samples: Samples) -> list[Windows]:
    """Return what the network hears of a recording, each (windows, `WINDOW_SAMPLES`)."""
    windows = cut_windows(samples, WINDOW_SAMPLES, MAX_WINDOWS)
    if len(samples) > MAX_MOVED_SAMPLES:
        return windows
    (start,) = windows
    # Half a state beside the middle, so that the states do not meet the clip at the same samples.
    states = (WINDOW_SAMPLES - len(samples)) // 2 // STATE_SAMPLES
    moved = np.roll(start.samples, states * STATE_SAMPLES + STATE_SAMPLES // 2, axis=1)
    return [replace(start, samples=np.concatenate((start.samples, moved)))]

"""Language identification with Whisper: the probabilities of the language tokens, and no transcription."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from config.settings import EngineOptions
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.engines.run import on_engine
from pipelines.engines.select import Network, choose
from pipelines.speech_windows import speech_windows
from pipelines.vendored.process import full_float32
from pipelines.whisper_checkpoint import load_whisper, whisper_architecture
from pipelines.whisper_features import HOP_SAMPLES, N_FFT, log_mel, mel_filters
from pipelines.whisper_languages import LANGUAGES, service_languages
from voxgraph.errors import AudioTooShort
from voxgraph.results import SAMPLE_RATE_HZ, UNKNOWN_LANGUAGE, LanguageResult, Waveform

MIN_SAMPLES = N_FFT
"""Length of one frame of the spectrogram."""
WINDOW_S = 10
"""Length of a window; a shorter clip is padded with silence. On 150 short clips in 36 languages, 10 s was as
accurate as 15 s (0.787 both), at less than a third of the cost of the published 30 s."""
WINDOW_SAMPLES = WINDOW_S * SAMPLE_RATE_HZ
MAX_WINDOWS = 3
"""Most windows of a recording that the network hears. On 217 recordings in 19 languages, the accuracy was
0.959 with the first 10 s alone and 0.963 with up to three windows."""
MAX_BATCH_WINDOWS = 8
"""Most windows in one forward pass."""
MAX_ENTROPY_NATS = 1.4
"""Entropy above which the language is unknown. Noise, music, silence and beeps had 1.47 to 2.64 (23 clips),
sentences 0.00 to 1.30 (30 clips), and speech in a language that Whisper does not have 2.89. Single words are
often above it, too; the card of the starter checkpoint has the shares."""


class WhisperLanguageIdentifier:
    """Identifies the language of clips, or answers ``unknown``.

    Args:
        checkpoint: A Whisper checkpoint of `ModelKey.LANGUAGE`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network. The front end, one part in a hundred of the work,
            always runs on torch in float32.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine is not available.
    """

    min_samples = MIN_SAMPLES

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        architecture = whisper_architecture(checkpoint)
        self._device = torch.device(device)
        network = load_whisper(checkpoint).to(self._device)
        self._filters = mel_filters(architecture.n_mels).to(self._device)
        self._languages = service_languages(architecture.n_labels)
        choice = choose(options, device, Network.WHISPER, checkpoint.size)
        shape = (architecture.n_mels, WINDOW_SAMPLES // HOP_SAMPLES)
        self._run = on_engine(
            network, choice, (torch.zeros(2, *shape),), ((-1, *shape),), checkpoint.identity
        )
        parameters = sum(parameter.numel() for parameter in network.parameters())
        labels = LANGUAGES[: architecture.n_labels]
        self.info = checkpoint.info(device, parameters, labels, choice=choice)

    def __call__(self, waveforms: Sequence[Waveform]) -> list[LanguageResult]:
        """Identify the language of each clip; the result is the same alone and in any batch.

        Args:
            waveforms: Each float32, (samples,), 16 kHz mono. For clips longer than `WINDOW_S`, the
                log-probabilities of up to `MAX_WINDOWS` windows are averaged.

        Raises:
            AudioTooShort: A clip has fewer than `min_samples` samples.
        """
        windows = [_windows(waveform) for waveform in waveforms]
        rows = self._log_probabilities([window for own in windows for window in own])
        clips = torch.split(rows.double(), [len(own) for own in windows])
        return [self._result(own.mean(dim=0).softmax(dim=0).tolist()) for own in clips]

    @full_float32()
    @torch.inference_mode()
    def _log_probabilities(self, windows: Sequence[Waveform]) -> Tensor:
        """Return log-probabilities of the languages in each window, (windows, n_labels), on the CPU."""
        rows = []
        for first in range(0, len(windows), MAX_BATCH_WINDOWS):
            batch = torch.from_numpy(np.stack(windows[first : first + MAX_BATCH_WINDOWS])).to(self._device)
            logits = self._run(log_mel(batch, self._filters))
            # The last column is nospeech.
            rows.append(logits[:, :-1].log_softmax(dim=1).cpu())
        return torch.cat(rows)

    def _result(self, probabilities: list[float]) -> LanguageResult:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        pairs = zip(self._languages, probabilities, strict=True)
        by_code = {code: probability for (code, _), probability in pairs}
        if entropy(probabilities) > MAX_ENTROPY_NATS:
            return LanguageResult(UNKNOWN_LANGUAGE, UNKNOWN_LANGUAGE, 1.0 - probabilities[best], by_code)
        return LanguageResult(*self._languages[best], probabilities[best], by_code)


def entropy(probabilities: Sequence[float]) -> float:
    """Return the Shannon entropy in nats: 0 for certainty, ``log(n)`` for n equal probabilities."""
    return -math.fsum(share * math.log(share) for share in probabilities if share > 0)


def _windows(waveform: Waveform) -> list[Waveform]:
    """Return the windows of a clip, padded with silence to `WINDOW_SAMPLES`.

    A clip beyond full scale, such as integers stored as float, is scaled to it, because Whisper was
    trained on nothing beyond.
    """
    if len(waveform) < MIN_SAMPLES:
        raise AudioTooShort(f"{len(waveform)} samples; Whisper needs {MIN_SAMPLES} (0.025 s).")
    peak = max(1.0, float(np.abs(waveform).max()))
    found = []
    for start, end in speech_windows(waveform, WINDOW_SAMPLES, MAX_WINDOWS):
        window = np.zeros(WINDOW_SAMPLES, np.float32)
        window[: end - start] = waveform[start:end] / peak
        found.append(window)
    return found

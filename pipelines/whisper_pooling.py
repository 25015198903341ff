"""Statistics over time of the first layers of Whisper's encoder: the input of the starter's small heads."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines.speech_windows import speech_windows
from pipelines.whisper_features import HOP_SAMPLES, N_FFT
from pipelines.whisper_network import WhisperEncoder
from voxgraph.errors import AudioTooShort
from voxgraph.results import Waveform

MIN_SAMPLES = N_FFT
"""Length of one frame of the spectrogram."""
STATE_SAMPLES = 2 * HOP_SAMPLES
"""Samples for each state of the encoder: 20 ms."""
MIN_VARIANCE = 1e-10
"""Smallest variance whose root is taken."""


class PooledEncoder(nn.Module):
    """The mean and the standard deviation over time of the states of some layers.

    Args:
        encoder: Whisper's encoder; layers after the last that is asked are never computed.
        layers: Numbers of the layers, the first is 1, in ascending order.
    """

    def __init__(self, encoder: WhisperEncoder, layers: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.layers = encoder, tuple(layers)

    def forward(self, features: Tensor, shares: Tensor) -> Tensor:
        """Compute the statistics of each window.

        Args:
            features: Log-mel energies, (batch, n_mels, frames).
            shares: Weight of each state, (batch, frames / 2), which sum to 1 in each window: equal ones where
                the clip is, and 0 where silence follows it.

        Returns:
            (batch, layers, 2 * hidden): means, then deviations.
        """
        states = self.encoder.activations(features, self.layers[-1])
        return torch.stack([pooled(states[number - 1], shares) for number in self.layers], dim=1)


def pooled(states: Tensor, shares: Tensor) -> Tensor:
    """Return the weighted mean and standard deviation over time, (batch, 2 * hidden).

    Args:
        states: (batch, time, hidden).
        shares: (batch, time), which sum to 1 over time.
    """
    weights = shares[:, None]
    mean = weights @ states
    variance = (weights @ (states - mean).square())[:, 0]
    return torch.cat((mean[:, 0], variance.clamp(min=MIN_VARIANCE).sqrt()), dim=1)


def padded_windows(
    clip: Waveform, window: int, count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the windows of a clip that probably contain speech, padded with silence.

    A clip beyond full scale, such as integers stored as float, is scaled to it, because Whisper was
    trained on nothing beyond.

    Args:
        clip: (samples,), float32, 16 kHz.
        window: Length of a window in samples, whole seconds.
        count: Most windows.

    Returns:
        The windows, (windows, `window`), and the shares of `PooledEncoder`, (windows, `window` / 320).

    Raises:
        AudioTooShort: The clip has fewer than `MIN_SAMPLES` samples.
    """
    if len(clip) < MIN_SAMPLES:
        raise AudioTooShort(f"{len(clip)} samples; Whisper needs {MIN_SAMPLES} (0.025 s).")
    peak = max(1.0, float(np.abs(clip).max()))
    spans = speech_windows(clip, window, count)
    windows = np.zeros((len(spans), window), np.float32)
    shares = np.zeros((len(spans), window // STATE_SAMPLES), np.float32)
    for row, (start, end) in enumerate(spans):
        windows[row, : end - start] = clip[start:end] / peak
        states = max(1, (end - start) // STATE_SAMPLES)
        shares[row, :states] = 1 / states
    return windows, shares

"""The windows of a clip that Whisper's encoder hears, and the batches in which it hears them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.speech_windows import speech_windows
from pipelines.whisper_features import HOP_SAMPLES, N_FFT
from voxgraph.errors import AudioTooShort
from voxgraph.results import Waveform

MIN_SAMPLES = N_FFT
"""Length of one frame of the spectrogram."""
STATE_SAMPLES = 2 * HOP_SAMPLES
"""Samples for each state of the encoder: 20 ms."""
MAX_BATCH_WINDOWS = 8
"""Most windows in one forward pass."""


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
        The windows, (windows, `window`), and the weights of their states, (windows, `window` / 320): equal
        ones where the clip is, which sum to 1, and 0 where silence follows.

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


def in_batches(run: Callable[..., Tensor], *inputs: npt.NDArray[np.float32]) -> Tensor:
    """Join what a network answers to at most `MAX_BATCH_WINDOWS` windows at a time.

    Args:
        run: From tensors of some windows to a tensor with a row for each.
        inputs: Arguments of `run` for all windows, (windows, ...).
    """
    batches = [torch.split(torch.from_numpy(rows), MAX_BATCH_WINDOWS) for rows in inputs]
    return torch.cat([run(*batch) for batch in zip(*batches, strict=True)])

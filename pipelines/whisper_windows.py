"""The windows of a clip that Whisper's encoder hears, and the batches in which it hears them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.samples import Samples, blocks_of, from_pcm16
from pipelines.speech_windows import speech_windows
from pipelines.whisper_features import HOP_SAMPLES, N_FFT
from voxgraph.errors import AudioTooShort
from voxgraph.results import SAMPLE_RATE_HZ

MIN_SAMPLES = N_FFT
"""Length of one frame of the spectrogram."""
STATE_SAMPLES = 2 * HOP_SAMPLES
"""Samples for each state of the encoder: 20 ms."""
MAX_BATCH_WINDOWS = 8
"""Most windows in one forward pass."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Windows of a recording that the encoder hears in one forward pass."""

    samples: npt.NDArray[np.float32]
    """(windows, samples)."""
    shares: npt.NDArray[np.float32]
    """Weight of each state, (windows, states)."""
    seconds: float
    """Seconds of the recording in them."""


def cut_windows(clip: Samples, window: int, count: int) -> list[Windows]:
    """Return the `padded_windows` of a recording, each by itself."""
    samples, shares = padded_windows(clip, window, count)
    seconds = min(len(clip), window) / SAMPLE_RATE_HZ
    return [Windows(samples[row : row + 1], shares[row : row + 1], seconds) for row in range(len(samples))]


def padded_windows(
    clip: Samples, window: int, count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the windows of a clip that probably contain speech, padded with silence.

    A clip beyond full scale, such as integers stored as float, is scaled to it, because Whisper was
    trained on nothing beyond.

    Args:
        clip: (samples,), float32 or int16, 16 kHz.
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
    peak = max(1.0, *(float(np.abs(block).max()) for block in blocks_of(clip)))
    spans = speech_windows(clip, window, count)
    windows = np.zeros((len(spans), window), np.float32)
    shares = np.zeros((len(spans), window // STATE_SAMPLES), np.float32)
    for row, (start, end) in enumerate(spans):
        windows[row, : end - start] = from_pcm16(clip[start:end]) / peak
        states = max(1, (end - start) // STATE_SAMPLES)
        shares[row, :states] = 1 / states
    return windows, shares


def in_batches(run: Callable[..., Tensor], pieces: Sequence[Windows], *, shares: bool = True) -> list[Tensor]:
    """Run a network on at most `MAX_BATCH_WINDOWS` windows at a time.

    Args:
        run: From the samples of some windows, (windows, samples), to a tensor with a row for each.
        pieces: What it runs on.
        shares: Whether `run` takes the weights of the states, (windows, states), as well.

    Returns:
        The rows of each piece, (windows, ...).
    """
    inputs = [np.concatenate([piece.samples for piece in pieces])]
    if shares:
        inputs.append(np.concatenate([piece.shares for piece in pieces]))
    batches = [torch.split(torch.from_numpy(rows), MAX_BATCH_WINDOWS) for rows in inputs]
    rows = torch.cat([run(*batch) for batch in zip(*batches, strict=True)])
    return list(torch.split(rows, [len(piece.samples) for piece in pieces]))

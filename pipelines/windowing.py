"""Run recordings that are too long for one forward pass as windows and average the outputs.

The memory of a network grows with the input length, that of attention with its square: an hour in one pass
would take tens of gigabytes. Shorter recordings are not cut.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.chunking import spans
from voxgraph.results import Waveform

MAX_BATCH_WINDOWS = 4
"""Maximum number of windows of one recording in a forward pass."""


def mean_over_windows(
    run: Callable[[Sequence[Waveform]], Tensor], clips: Sequence[Waveform], max_samples: int
) -> Tensor:
    """Run the clips in one batch, except those longer than `max_samples`: average these over windows.

    Args:
        run: Maps clips to rows, (clips, ...).
        clips: Each float32, (samples,).
        max_samples: Longest input of `run`. A longer clip is cut into adjacent windows of this length, the
            last aligned to its end, and its row is the mean of theirs.

    Returns:
        One row per clip, in the order of the clips.
    """
    rows: list[Tensor | None] = [None] * len(clips)
    short = [index for index, clip in enumerate(clips) if len(clip) <= max_samples]
    if short:
        for index, row in zip(short, run([clips[index] for index in short]), strict=True):
            rows[index] = row
    for index, clip in enumerate(clips):
        if len(clip) > max_samples:
            rows[index] = _long_clip_mean(run, clip, max_samples)
    return torch.stack([row for row in rows if row is not None])


def _long_clip_mean(run: Callable[[Sequence[Waveform]], Tensor], clip: Waveform, max_samples: int) -> Tensor:
    windows = spans(len(clip), max_samples, max_samples)
    groups = [
        windows[first : first + MAX_BATCH_WINDOWS] for first in range(0, len(windows), MAX_BATCH_WINDOWS)
    ]
    outputs = [run([clip[start:end] for start, end in group]) for group in groups]
    return torch.cat(outputs).mean(dim=0)

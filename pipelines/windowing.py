"""A recording too long for one forward pass, as windows whose answers are averaged.

Memory of a network grows with the length of its input, that of attention with its square: an hour in one
pass would take tens of gigabytes. Short recordings are answered as ever.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.chunking import spans
from voxgraph.results import Waveform

TOGETHER = 4
"""Windows of one recording in a forward pass."""


def averaged(
    run: Callable[[Sequence[Waveform]], Tensor], clips: Sequence[Waveform], max_samples: int
) -> Tensor:
    """Run clips together, those that are too long as windows by themselves.

    Args:
        run: From clips to rows, (clips, ...).
        clips: Each float32, (samples,).
        max_samples: Longest input of `run`. A longer clip is cut in windows of this length, side by side,
            the last aligned to its end, and its row is the mean of theirs.

    Returns:
        A row of each clip, in their order.
    """
    rows: list[Tensor | None] = [None] * len(clips)
    short = [index for index, clip in enumerate(clips) if len(clip) <= max_samples]
    if short:
        for index, row in zip(short, run([clips[index] for index in short]), strict=True):
            rows[index] = row
    for index, clip in enumerate(clips):
        if len(clip) > max_samples:
            rows[index] = _mean_over_windows(run, clip, max_samples)
    return torch.stack([row for row in rows if row is not None])


def _mean_over_windows(
    run: Callable[[Sequence[Waveform]], Tensor], clip: Waveform, max_samples: int
) -> Tensor:
    windows = spans(len(clip), max_samples, max_samples)
    groups = [windows[first : first + TOGETHER] for first in range(0, len(windows), TOGETHER)]
    answers = [run([clip[start:end] for start, end in group]) for group in groups]
    return torch.cat(answers).mean(dim=0)

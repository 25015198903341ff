"""From the speakers of windows to turns: overlapping windows vote on every frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.diarization.clustering import NOBODY
from pipelines.vendored.pyannote import SlidingWindow
from pipelines.window_outputs import WindowOutputs

BLOCK = 65_536
"""Frames that are ranked at a time."""


class Timeline:
    """The frames of a whole recording, and which of them each window has.

    Args:
        windows: Where the windows lie.
        frames: The receptive field of a frame.
        count: Windows in all.
    """

    def __init__(self, windows: SlidingWindow, frames: SlidingWindow, count: int) -> None:
        self.frames = SlidingWindow(start=windows.start, duration=frames.duration, step=frames.step)
        end = windows.start + windows.duration + (count - 1) * windows.step
        half = 0.5 * frames.duration
        self.count: int = self.frames.closest_frame(end + half) + 1
        self.starts = [self.frames.closest_frame(windows[index].start + half) for index in range(count)]


def speaker_count(findings: WindowOutputs, timeline: Timeline) -> NDArray[np.uint8]:
    """How many talk in each frame, the mean of its windows rounded: (frames,)."""
    talking = np.zeros(timeline.count, np.uint8)
    heard = np.zeros(timeline.count, np.uint8)
    for start, packed in zip(timeline.starts, findings.speech, strict=True):
        frames = slice(start, start + findings.frames)
        talking[frames] += np.unpackbits(packed, axis=0, count=findings.frames).sum(axis=1, dtype=np.uint8)
        heard[frames] += 1
    mean = talking.astype(np.float32) / np.maximum(heard, 1)
    return np.rint(mean).astype(np.uint8)


def activations(findings: WindowOutputs, clusters: np.ndarray, timeline: Timeline) -> NDArray[np.uint8]:
    """How many windows hear each speaker in each frame: (frames, speakers)."""
    found = np.zeros((timeline.count, clusters.max() + 1), np.uint8)
    firsts = np.searchsorted(findings.windows, np.arange(len(findings.speech) + 1))
    for window, start in enumerate(timeline.starts):
        pairs = slice(firsts[window], firsts[window + 1])
        inside, speakers = clusters[pairs], findings.speakers[pairs]
        talks = np.unpackbits(findings.speech[window], axis=0, count=findings.frames)
        for cluster in set(inside.tolist()) - {NOBODY}:
            found[start : start + findings.frames, cluster] += talks[:, speakers[inside == cluster]].max(
                axis=1
            )
    return found


def loudest(heard: NDArray[np.uint8], count: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The speakers that talk in each frame: of `heard`, as many as `count` says; (frames, speakers)."""
    speakers = max(heard.shape[1], int(count.max()))
    chosen = np.zeros((len(heard), speakers), bool)
    for start in range(0, len(heard), BLOCK):
        rows = slice(start, start + BLOCK)
        # Type and order of sorting are pyannote's: they decide between equals.
        votes = np.pad(heard[rows].astype(np.float32), ((0, 0), (0, speakers - heard.shape[1])))
        ranked = np.argsort(-votes, axis=-1)
        np.put_along_axis(chosen[rows], ranked, np.arange(speakers) < count[rows, None], axis=1)
    return chosen


SPOKEN = np.dtype([("start_s", np.float64), ("end_s", np.float64), ("speaker", np.intp)])
"""A turn: seconds, and the column of its speaker."""
MINIMUM_S = 1e-6
"""What is not longer is nothing: of pyannote.core's segments."""


def spoken(talks: NDArray[np.bool_], frames: SlidingWindow, min_duration_off: float) -> NDArray[Any]:
    """The turns of all speakers, sorted, each from the middle of a frame to the middle of another.

    They are those of pyannote's ``Binarize`` with both thresholds at a half, whose `Annotation` is a
    dictionary of dictionaries and takes more than a turn does many times over.

    Args:
        talks: (frames, speakers).
        frames: Where the frames lie.
        min_duration_off: Seconds; shorter gaps of one speaker are closed.

    Returns:
        (turns,), of `SPOKEN`.
    """
    found = []
    for speaker, talking in enumerate(talks.T):
        edges = np.flatnonzero(np.diff(talking, prepend=False, append=False)).reshape(-1, 2)
        starts, ends = _middles(np.minimum(edges, len(talks) - 1), frames).T
        is_something = ends - starts > MINIMUM_S
        starts, ends = starts[is_something], ends[is_something]
        if min_duration_off > 0 and len(starts):
            is_gap = starts[1:] - ends[:-1] >= min_duration_off
            starts, ends = starts[np.append(True, is_gap)], ends[np.append(is_gap, True)]
        turns = np.empty(len(starts), SPOKEN)
        turns["start_s"], turns["end_s"], turns["speaker"] = starts, ends, speaker
        found.append(turns)
    turns = np.concatenate(found)
    return turns[np.lexsort((turns["speaker"], turns["end_s"], turns["start_s"]))]


def _middles(indices: NDArray[np.intp], frames: SlidingWindow) -> NDArray[np.float64]:
    """Of frames, in seconds, to the bit as pyannote.core's segments compute them."""
    starts = frames.start + indices * frames.step
    middles: NDArray[np.float64] = 0.5 * (starts + (starts + frames.duration))
    return middles

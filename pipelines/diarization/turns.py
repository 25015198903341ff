"""Build turns from the clusters of windows: overlapping windows vote on every frame.

Mirrors `SpeakerDiarizationMixin.speaker_count` and `to_diarization` in
`pyannote.audio.pipelines.utils.diarization`, `SpeakerDiarization.reconstruct`, `Inference.aggregate`, and
`pyannote.audio.utils.signal.Binarize`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.diarization.clustering import UNASSIGNED
from pipelines.vendored.pyannote import SlidingWindow
from pipelines.window_outputs import WindowOutputs

BLOCK = 65_536
"""Frames in a block when speakers are ranked."""


class Timeline:
    """Frame grid of a whole recording, and the first frame of each window.

    Args:
        windows: Grid of the windows.
        frames: Receptive field and step of a frame.
        count: Number of windows.
    """

    def __init__(self, windows: SlidingWindow, frames: SlidingWindow, count: int) -> None:
        self.frames = SlidingWindow(start=windows.start, duration=frames.duration, step=frames.step)
        end = windows.start + windows.duration + (count - 1) * windows.step
        half = 0.5 * frames.duration
        self.count: int = self.frames.closest_frame(end + half) + 1
        self.starts = [self.frames.closest_frame(windows[index].start + half) for index in range(count)]


def speaker_count(outputs: WindowOutputs, timeline: Timeline) -> NDArray[np.uint8]:
    """Count the speakers in each frame, the rounded mean over its windows: (frames,)."""
    talking = np.zeros(timeline.count, np.uint8)
    for start, packed in zip(timeline.starts, outputs.speech, strict=True):
        frames = slice(start, start + outputs.frames)
        talking[frames] += np.unpackbits(packed, axis=0, count=outputs.frames).sum(axis=1, dtype=np.uint8)
    mean = talking.astype(np.float32) / _covering(outputs, timeline)
    return np.rint(mean).astype(np.uint8)


def _covering(outputs: WindowOutputs, timeline: Timeline) -> NDArray[np.uint8]:
    """Count the windows of each frame, at least 1: (frames,)."""
    covering = np.zeros(timeline.count, np.uint8)
    for start in timeline.starts:
        covering[start : start + outputs.frames] += 1
    return np.maximum(covering, 1)


def activations(outputs: WindowOutputs, clusters: np.ndarray, timeline: Timeline) -> NDArray[np.uint8]:
    """Count the windows in which each speaker is active, by frame: (frames, speakers)."""
    votes = np.zeros((timeline.count, clusters.max() + 1), np.uint8)
    firsts = np.searchsorted(outputs.windows, np.arange(len(outputs.speech) + 1))
    for window, start in enumerate(timeline.starts):
        pairs = slice(firsts[window], firsts[window + 1])
        local, speakers = clusters[pairs], outputs.speakers[pairs]
        active = np.unpackbits(outputs.speech[window], axis=0, count=outputs.frames)
        for cluster in set(local.tolist()) - {UNASSIGNED}:
            merged = active[:, speakers[local == cluster]].max(axis=1)
            votes[start : start + outputs.frames, cluster] += merged
    return votes


def confidences(outputs: WindowOutputs, clusters: np.ndarray, timeline: Timeline) -> NDArray[np.uint8] | None:
    """Average the probability that each speaker talks over the windows of a frame: (frames, speakers).

    A window in which a speaker does not talk counts as 0.

    Returns:
        0..255 for 0..1; None if the segmentation gives no probabilities.
    """
    if outputs.probabilities is None:
        return None
    # A frame has at most ten windows, so sums are below 2,560.
    sums = np.zeros((timeline.count, clusters.max() + 1), np.uint16)
    firsts = np.searchsorted(outputs.windows, np.arange(len(outputs.speech) + 1))
    for window, start in enumerate(timeline.starts):
        pairs = slice(firsts[window], firsts[window + 1])
        local, speakers = clusters[pairs], outputs.speakers[pairs]
        for cluster in set(local.tolist()) - {UNASSIGNED}:
            merged = outputs.probabilities[window][:, speakers[local == cluster]].max(axis=1)
            sums[start : start + outputs.frames, cluster] += merged
    covering = _covering(outputs, timeline)
    for column in sums.T:
        column[:] = np.rint(column / covering)
    return sums.astype(np.uint8)


def top_speakers(votes: NDArray[np.uint8], count: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the `count` speakers with the most `votes` in each frame: (frames, speakers)."""
    speakers = max(votes.shape[1], int(count.max()))
    chosen = np.zeros((len(votes), speakers), bool)
    for start in range(0, len(votes), BLOCK):
        rows = slice(start, start + BLOCK)
        # Sort as pyannote does, with its dtype and algorithm, which decide between equal votes.
        padded = np.pad(votes[rows].astype(np.float32), ((0, 0), (0, speakers - votes.shape[1])))
        ranked = np.argsort(-padded, axis=-1)
        np.put_along_axis(chosen[rows], ranked, np.arange(speakers) < count[rows, None], axis=1)
    return chosen


TURN_DTYPE = np.dtype([("start_s", np.float64), ("end_s", np.float64), ("speaker", np.intp)])
"""A turn: start and end in seconds, and the column of its speaker."""
MIN_TURN_S = 1e-6
"""Turns that are not longer are dropped, as pyannote.core drops empty segments."""


def to_turns(active: NDArray[np.bool_], frames: SlidingWindow, min_duration_off: float) -> NDArray[Any]:
    """Convert speech activity to turns, each from the middle of one frame to the middle of another.

    The result equals that of pyannote's ``Binarize`` with both thresholds at 0.5, whose `Annotation`, a
    dictionary of dictionaries, takes many times the memory.

    Args:
        active: Whether each speaker is active in each frame, (frames, speakers).
        frames: Grid of the frames.
        min_duration_off: Gaps of one speaker shorter than these seconds are closed.

    Returns:
        Sorted turns of `TURN_DTYPE`, (turns,).
    """
    by_speaker = []
    for speaker, column in enumerate(active.T):
        edges = np.flatnonzero(np.diff(column, prepend=False, append=False)).reshape(-1, 2)
        starts, ends = _middles(np.minimum(edges, len(active) - 1), frames).T
        is_turn = ends - starts > MIN_TURN_S
        starts, ends = starts[is_turn], ends[is_turn]
        if min_duration_off > 0 and len(starts):
            is_gap = starts[1:] - ends[:-1] >= min_duration_off
            starts, ends = starts[np.append(True, is_gap)], ends[np.append(is_gap, True)]
        turns = np.empty(len(starts), TURN_DTYPE)
        turns["start_s"], turns["end_s"], turns["speaker"] = starts, ends, speaker
        by_speaker.append(turns)
    turns = np.concatenate(by_speaker)
    return turns[np.lexsort((turns["speaker"], turns["end_s"], turns["start_s"]))]


def confidence_of(
    turns: NDArray[Any], certain: NDArray[np.uint8], frames: SlidingWindow
) -> NDArray[np.float64]:
    """Average the confidence of each turn's speaker over its frames: 0..1, (turns,), NaN without one.

    Args:
        turns: Turns of `TURN_DTYPE`.
        certain: Confidences of `confidences`.
        frames: Grid of the frames.
    """
    edges = np.stack([turns["start_s"], turns["end_s"]], axis=1) - frames.start - frames.duration / 2
    edges = np.rint(edges / frames.step).astype(np.intp)
    found = np.full(len(turns), np.nan)
    # Speech that no cluster has belongs to speakers beyond the clusters.
    for speaker in np.unique(turns["speaker"][turns["speaker"] < certain.shape[1]]):
        own = turns["speaker"] == speaker
        sums = np.append(0, np.cumsum(certain[:, speaker], dtype=np.int64))
        first, last = edges[own].T
        found[own] = (sums[last] - sums[first]) / (255 * np.maximum(last - first, 1))
    return found


def _middles(indices: NDArray[np.intp], frames: SlidingWindow) -> NDArray[np.float64]:
    """Return the middles of frames in seconds, bit for bit as pyannote.core's segments compute them."""
    starts = frames.start + indices * frames.step
    middles: NDArray[np.float64] = 0.5 * (starts + (starts + frames.duration))
    return middles

"""Find the turns of a conversation from the outputs of its sliding windows.

Mirrors `SpeakerDiarization.apply` in `pyannote.audio.pipelines.speaker_diarization`, with the same output.
"""

import math
import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.diarization.clustering import cluster
from pipelines.diarization.requested_number import cluster_to
from pipelines.diarization.turns import Timeline, activations, speaker_count, to_turns, top_speakers
from pipelines.diarization.windows import ProgressCallback
from pipelines.vendored.pyannote import AgglomerativeClustering, SlidingWindow, VBxClustering
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, DiarizationResult, ModelInfo, Turn, Waveform

ANY_NUMBER = (1, math.inf)
"""Bounds that any number of speakers is within."""


class Windows(Protocol):
    """The networks: they map a recording, or a part of one, to `WindowOutputs`."""

    window: int
    """Length of a window in samples."""
    hop: int
    """Distance between the starts of two windows in samples."""

    def __call__(self, waveform: Waveform, progress: ProgressCallback | None = None) -> WindowOutputs:
        """Run every window of a recording of at least one sample."""


class WindowDiarizer:
    """Find the turns of conversations; not thread-safe.

    Args:
        windows: The networks.
        clustering: Instantiated clustering of pyannote.
        frames: Receptive field and step of the segmentation's frames.
        min_duration_off: Gaps of one speaker shorter than these seconds are closed.
        info: Description of the loaded checkpoint.
        as_pyannote: Whether the turns are exactly pyannote's where their speakers are as many as requested.
            Otherwise a number that the threshold does not give is that of `cluster_to`, which confuses fewer
            seconds of conversations with short turns; and speakers beyond the first must talk in a window of
            a frame to talk in it, where pyannote takes others, even speakers without a cluster.
    """

    min_samples = 1
    """Minimum length in samples: windows are padded with silence, and a very short clip has no turns."""

    def __init__(
        self,
        windows: Windows,
        clustering: AgglomerativeClustering | VBxClustering,
        frames: SlidingWindow,
        min_duration_off: float,
        info: ModelInfo,
        *,
        as_pyannote: bool = True,
    ) -> None:
        self.windows, self.clustering, self.info = windows, clustering, info
        self._frames, self._min_duration_off = frames, min_duration_off
        self._as_pyannote = as_pyannote

    def __call__(
        self, waveform: Waveform, speakers: SpeakerCount, progress: ProgressCallback | None = None
    ) -> DiarizationResult:
        """Find the turns of a conversation.

        Args:
            waveform: Float32, (samples,), 16 kHz mono; shorter than a window of 10 s is fine.
            speakers: Requested number of speakers; `num_speakers` overrides the bounds. Where the networks
                tell fewer apart, the result has fewer and says why.
            progress: Called with the windows done and in total after each batch.

        Raises:
            InvalidOptions: `min_speakers` is more than `max_speakers`.
        """
        return self.turns(self.windows(waveform, progress), len(waveform), speakers)

    def turns(self, outputs: WindowOutputs, samples: int, speakers: SpeakerCount) -> DiarizationResult:
        """Find the turns from the outputs of the networks.

        Args:
            outputs: Outputs of all windows of the recording.
            samples: Length of the recording in samples at 16 kHz.
            speakers: Requested number of speakers.

        Raises:
            InvalidOptions: `min_speakers` is more than `max_speakers`.
        """
        bounds = speakers.bounds
        hop, window = self.windows.hop / SAMPLE_RATE_HZ, self.windows.window / SAMPLE_RATE_HZ
        window_grid = SlidingWindow(start=0.0, duration=window, step=hop)
        timeline = Timeline(window_grid, self._frames, len(outputs.speech))
        count = np.minimum(speaker_count(outputs, timeline), bounds[1]).astype(np.uint8)
        found = DiarizationResult((), (), ())
        if count.any():
            found = self._clustered(outputs, count, timeline, samples / SAMPLE_RATE_HZ, bounds)
        return found.with_request(speakers.least, outputs.most_at_once, len(outputs.speech))

    def _clustered(
        self,
        outputs: WindowOutputs,
        count: NDArray[np.uint8],
        timeline: Timeline,
        seconds: float,
        bounds: tuple[int, float],
    ) -> DiarizationResult:
        """Find the turns with as many speakers as requested, or as near to it as the voices allow."""

        def beyond(answer: DiarizationResult) -> float:
            found = len(answer.speakers)
            return max(bounds[0] - found, found - bounds[1], 0)

        def turns(clusters: NDArray[np.intp]) -> DiarizationResult:
            return self._turns_of(outputs, clusters, count, timeline, seconds)

        with warnings.catch_warnings():
            # A voice of one frame has no standard deviation, and few embeddings form no clusters.
            warnings.simplefilter("ignore")
            found = turns(cluster(self.clustering, outputs, bounds if self._as_pyannote else ANY_NUMBER))
            if beyond(found):
                wanted = int(min(max(len(found.speakers), bounds[0]), bounds[1]))
                found = min((found, turns(cluster_to(outputs, wanted))), key=beyond)
            if beyond(found) and not self._as_pyannote:
                found = min((found, turns(cluster(self.clustering, outputs, bounds))), key=beyond)
        return found

    def _turns_of(
        self,
        outputs: WindowOutputs,
        clusters: NDArray[np.intp],
        count: NDArray[np.uint8],
        timeline: Timeline,
        seconds: float,
    ) -> DiarizationResult:
        votes = activations(outputs, clusters, timeline)
        if not self._as_pyannote:
            # At least one, since speech of a speaker without a cluster is still speech.
            voted = np.maximum((votes > 0).sum(axis=1), 1)
            count = np.minimum(count, voted).astype(np.uint8)
        turns, exclusive = (
            to_turns(top_speakers(votes, most), timeline.frames, self._min_duration_off)
            for most in (count, np.minimum(count, 1))
        )
        return _result(turns, exclusive, seconds)


def _result(diarization: NDArray[Any], exclusive: NDArray[Any], seconds: float) -> DiarizationResult:
    """Name the speakers in order of first appearance and drop the turns in the padding.

    Args:
        diarization: Sorted turns of `turns.TURN_DTYPE`.
        exclusive: The same without overlap.
        seconds: Length of the recording.
    """
    order = dict.fromkeys(diarization["speaker"].tolist())
    names = {speaker: f"SPEAKER_{index:02d}" for index, speaker in enumerate(order)}

    def turns(rows: NDArray[Any]) -> tuple[Turn, ...]:
        inside = rows[rows["start_s"] < seconds]
        # Convert row by row: a list of all rows would be larger than the result.
        return tuple(
            Turn(start, min(end, seconds), names[speaker])
            for start, end, speaker in (row.item() for row in inside)
        )

    found = turns(diarization)
    return DiarizationResult(found, turns(exclusive), tuple(sorted({turn.speaker for turn in found})))

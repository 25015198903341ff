"""Find the turns of a conversation from the outputs of its sliding windows.

Mirrors `SpeakerDiarization.apply` in `pyannote.audio.pipelines.speaker_diarization`, with the same output.
"""

import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.diarization.clustering import cluster
from pipelines.diarization.turns import Timeline, activations, speaker_count, to_turns, top_speakers
from pipelines.diarization.windows import ProgressCallback
from pipelines.vendored.pyannote import AgglomerativeClustering, SlidingWindow, VBxClustering
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, DiarizationResult, ModelInfo, Turn, Waveform


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
        only_voted: Whether speakers beyond the first must talk in a window of a frame to talk in it. pyannote
            takes others, even speakers without a cluster, where the windows count more speakers than that.
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
        only_voted: bool = False,
    ) -> None:
        self.windows, self.clustering, self.info = windows, clustering, info
        self._frames, self._min_duration_off = frames, min_duration_off
        self._only_voted = only_voted

    def __call__(
        self, waveform: Waveform, speakers: SpeakerCount, progress: ProgressCallback | None = None
    ) -> DiarizationResult:
        """Find the turns of a conversation.

        Args:
            waveform: Float32, (samples,), 16 kHz mono; shorter than a window of 10 s is fine.
            speakers: Requested number of speakers; `num_speakers` overrides the bounds. The result has fewer
                if fewer voices can be distinguished.
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
        if not count.any():
            return DiarizationResult((), (), ())
        with warnings.catch_warnings():
            # A voice of one frame has no standard deviation, and few embeddings form no clusters.
            warnings.simplefilter("ignore")
            clusters = cluster(self.clustering, outputs, bounds)
        votes = activations(outputs, clusters, timeline)
        if self._only_voted:
            # At least one, since speech of a speaker without a cluster is still speech.
            voted = np.maximum((votes > 0).sum(axis=1), 1)
            count = np.minimum(count, voted).astype(np.uint8)
        turns, exclusive = (
            to_turns(top_speakers(votes, most), timeline.frames, self._min_duration_off)
            for most in (count, np.minimum(count, 1))
        )
        return _result(turns, exclusive, samples / SAMPLE_RATE_HZ)


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

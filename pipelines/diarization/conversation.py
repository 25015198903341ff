"""Find the turns of a conversation from the outputs of its sliding windows.

Mirrors `SpeakerDiarization.apply` in `pyannote.audio.pipelines.speaker_diarization`, with the same output.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.chunking import PART_WINDOWS
from pipelines.diarization.clustering import cluster, voices_of
from pipelines.diarization.requested_number import cluster_to
from pipelines.diarization.speech import speech_steps
from pipelines.diarization.turns import (
    Timeline,
    activations,
    confidence_of,
    confidences,
    speaker_count,
    to_turns,
    top_speakers,
)
from pipelines.diarization.windows import ProgressCallback
from pipelines.steps import Steps, finish
from pipelines.vendored.process import full_float32
from pipelines.vendored.pyannote import AgglomerativeClustering, Inference, SlidingWindow, VBxClustering
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import SpeakerCount
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    DiarizationResult,
    Embedding,
    FrameConfidence,
    ModelInfo,
    Turn,
    Waveform,
)

ANY_NUMBER = (1, math.inf)
"""Bounds that any number of speakers is within."""


class Windows(Protocol):
    """The networks: they map a recording, or a part of one, to `WindowOutputs`."""

    window: int
    """Length of a window in samples."""
    hop: int
    """Distance between the starts of two windows in samples."""
    segmentation: Inference
    """The network that finds speech."""

    def __call__(self, waveform: Waveform, progress: ProgressCallback | None = None) -> WindowOutputs:
        """Run every window of a recording of at least one sample."""

    def steps(self, waveform: Waveform) -> Steps[WindowOutputs]:
        """Run every window of a recording as a call does, in steps; each of them within `full_float32`."""


class WindowDiarizer:
    """Find the turns of conversations; not thread-safe.

    Args:
        windows: The networks.
        clustering: Instantiated clustering of pyannote.
        frames: Receptive field and step of the segmentation's frames.
        min_duration_off: Gaps of one speaker shorter than these seconds are closed.
        info: Description of the loaded checkpoint.
        space: Model and revision of the embeddings; None: those of the checkpoint.
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
        space: tuple[str, str] | None = None,
        as_pyannote: bool = True,
    ) -> None:
        self.windows, self.clustering, self.info = windows, clustering, info
        self._frames, self._min_duration_off = frames, min_duration_off
        self._space = space or (info.hub_id, info.revision)
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

    @full_float32()
    def speech_seconds(self, waveform: Waveform) -> float:
        """Return the seconds of speech in a recording of at least one sample; only the segmentation runs."""
        return finish(self.speech_steps(waveform))

    def speech_steps(self, waveform: Waveform) -> Steps[float]:
        """Find what `speech_seconds` does, in steps; each of them within `full_float32`."""
        segmentation = self.windows.segmentation
        # Two at once cost less (see `CPU_STEP` of the windows), but others wait twice as long for their turn.
        at_once = 1 if segmentation.device.type == "cpu" else PART_WINDOWS
        return speech_steps(segmentation, waveform, at_once)

    def turns(self, outputs: WindowOutputs, samples: int, speakers: SpeakerCount) -> DiarizationResult:
        """Find the turns from the outputs of the networks.

        Args:
            outputs: Outputs of all windows of the recording.
            samples: Length of the recording in samples at 16 kHz.
            speakers: Requested number of speakers.

        Raises:
            InvalidOptions: `min_speakers` is more than `max_speakers`.
        """
        window_grid = SlidingWindow(
            start=0.0,
            duration=self.windows.window / SAMPLE_RATE_HZ,
            step=self.windows.hop / SAMPLE_RATE_HZ,
        )
        timeline = Timeline(window_grid, self._frames, len(outputs.speech))
        count = np.minimum(speaker_count(outputs, timeline), speakers.bounds[1]).astype(np.uint8)
        found = DiarizationResult((), (), (), embeddings={})
        if count.any():
            recording = _Recording(outputs, timeline, count, samples / SAMPLE_RATE_HZ)
            found = self._result(recording, self._group(recording, speakers.bounds))
        return found.with_request(speakers.least, outputs.most_at_once, len(outputs.speech))

    def _group(self, recording: "_Recording", bounds: tuple[int, float]) -> "_Groups":
        """Find the turns with as many speakers as requested, or as near to it as the voices allow."""
        outputs = recording.outputs

        def beyond(groups: _Groups) -> float:
            return max(bounds[0] - groups.speakers, groups.speakers - bounds[1], 0)

        def turns(clusters: NDArray[np.intp]) -> _Groups:
            return self._turns_of(recording, clusters)

        with warnings.catch_warnings():
            # A voice of one frame has no standard deviation, and few embeddings form no clusters.
            warnings.simplefilter("ignore")
            found = turns(cluster(self.clustering, outputs, bounds if self._as_pyannote else ANY_NUMBER))
            if beyond(found):
                wanted = int(min(max(found.speakers, bounds[0]), bounds[1]))
                found = min((found, turns(cluster_to(outputs, wanted))), key=beyond)
            if beyond(found) and not self._as_pyannote:
                found = min((found, turns(cluster(self.clustering, outputs, bounds))), key=beyond)
        return found

    def _turns_of(self, recording: "_Recording", clusters: NDArray[np.intp]) -> "_Groups":
        count = recording.count
        votes = activations(recording.outputs, clusters, recording.timeline)
        if not self._as_pyannote:
            # At least one, since speech of a speaker without a cluster is still speech.
            voted = np.maximum((votes > 0).sum(axis=1), 1)
            count = np.minimum(count, voted).astype(np.uint8)
        turns, exclusive = (
            to_turns(top_speakers(votes, most), recording.timeline.frames, self._min_duration_off)
            for most in (count, np.minimum(count, 1))
        )
        # The last window is padded.
        turns, exclusive = (rows[rows["start_s"] < recording.seconds] for rows in (turns, exclusive))
        return _Groups(clusters, turns, exclusive)

    def _result(self, recording: "_Recording", groups: "_Groups") -> DiarizationResult:
        """Name the speakers in order of first appearance, and add confidences and voices."""
        order = dict.fromkeys(groups.turns["speaker"].tolist())
        names = {speaker: f"SPEAKER_{index:02d}" for index, speaker in enumerate(order)}
        frames = recording.timeline.frames
        certain = confidences(recording.outputs, groups.clusters, recording.timeline)

        def turns(rows: NDArray[Any]) -> tuple[Turn, ...]:
            means = np.full(len(rows), np.nan) if certain is None else confidence_of(rows, certain, frames)
            # Convert row by row: a list of all rows would be larger than the result.
            return tuple(
                Turn(start, min(end, recording.seconds), names[speaker], _known(mean))
                for (start, end, speaker), mean in zip((row.item() for row in rows), means, strict=True)
            )

        voices = voices_of(recording.outputs, groups.clusters)
        return DiarizationResult(
            turns(groups.turns),
            turns(groups.exclusive),
            tuple(sorted(names.values())),
            embeddings={
                name: Embedding(voices[speaker], *self._space)
                for speaker, name in names.items()
                if speaker in voices
            },
            frames=None if certain is None else _frame_confidence(certain, names, recording),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Recording:
    """What the networks found in a recording."""

    outputs: WindowOutputs
    timeline: Timeline
    count: NDArray[np.uint8]
    """Number of speakers in each frame, (frames,)."""
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Clusters of the pairs of a recording and what follows from them; turns are of `turns.TURN_DTYPE`."""

    clusters: NDArray[np.intp]
    turns: NDArray[Any]
    exclusive: NDArray[Any]

    @property
    def speakers(self) -> int:
        """Number of speakers with turns."""
        return len(np.unique(self.turns["speaker"]))


def _known(mean: float) -> float | None:
    return None if math.isnan(mean) else float(mean)


def _frame_confidence(
    certain: NDArray[np.uint8], names: dict[int, str], recording: _Recording
) -> FrameConfidence:
    """Pack the frames inside the recording."""
    frames = recording.timeline.frames
    first_s = frames.start + frames.duration / 2
    inside = math.ceil(max(0.0, recording.seconds - first_s) / frames.step)
    values = {
        name: certain[:inside, speaker] for speaker, name in names.items() if speaker < certain.shape[1]
    }
    return FrameConfidence.pack(first_s, frames.step, values)

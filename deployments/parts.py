"""Questions about a long recording, asked in parts that all replicas of a model share."""

from collections.abc import Sequence

from deployments.transport.calls import call_all, call_when_capacity
from deployments.transport.clips import Clip, ModelHandle
from deployments.transport.concurrency import OnProgress
from pipelines.chunking import conversation_parts
from pipelines.samples import to_pcm16
from voxgraph.calls import Deadline, call
from voxgraph.options import SpeakerCount
from voxgraph.results import DeepfakeScore, DiarizationResult


async def diarize_in_parts(
    model: ModelHandle,
    clip: Clip,
    deadline: Deadline,
    speakers: SpeakerCount,
    window: int,
    on_progress: OnProgress,
) -> DiarizationResult:
    """Find who speaks when: a short recording in one call, a long one with `window` parts at a time.

    Raises:
        VoxError: As `voxgraph.calls.call` does.
    """
    parts = conversation_parts(len(clip.waveform))
    if len(parts) == 1:
        whole: DiarizationResult = await call(
            lambda: model.handle_for(clip).diarize.remote(clip.payload, speakers), deadline
        )
        return whole
    handle = model.by_reference
    starts = [
        lambda s=start, e=end: handle.windows.remote(to_pcm16(clip.waveform[s:e])) for start, end in parts
    ]
    outputs = await call_all(starts, deadline, window, on_progress)
    result: DiarizationResult = await call_when_capacity(
        lambda: handle.turns.remote(outputs, len(clip.waveform), speakers), deadline
    )
    return result


async def score_chunks(
    model: ModelHandle,
    clip: Clip,
    deadline: Deadline,
    spans: Sequence[tuple[int, int]],
    window: int,
    on_progress: OnProgress,
) -> list[DeepfakeScore]:
    """Return the score of each span of a recording, in samples, with `window` of them at a time.

    Raises:
        VoxError: As `voxgraph.calls.call` does.
    """
    starts = [
        lambda s=start, e=end: model.answer(Clip(clip.waveform[s:e]), goes_on=len(spans) > 1)
        for start, end in spans
    ]
    return await call_all(starts, deadline, window, on_progress)

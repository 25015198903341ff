"""All tasks for one recording."""

import asyncio
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_recording, written_as
from deployments.api.galleries import GalleriesDep, TenantGalleries
from deployments.api.negotiation import STREAMS, VARY, choose, chunks_file, formats_for, turns_file
from deployments.api.options import AnalyzeOptions, BatchOptions
from deployments.api.schemas.analysis import AnalysisAnswer, task_answer
from deployments.api.schemas.peaks import PeaksAnswer
from deployments.api.service import GraphAnalyzer
from deployments.api.streaming import streamed
from deployments.api.upload import AudioUpload, Upload
from pipelines.audio.peaks import Peaks, peaks_of
from voxgraph.formats import JSON, TURN_FORMATS
from voxgraph.results import TaskAnswer, Waveform

router = APIRouter(prefix="/v1", tags=["analyze"])


@router.post(
    "/analyze",
    openapi_extra=takes_recording(AnalyzeOptions),
    response_model=AnalysisAnswer,
    response_model_exclude_none=True,
    responses=written_as(TURN_FORMATS, is_streamed=True),
)
async def analyze(
    request: Request,
    response: Response,
    upload: AudioUpload,
    analyzer: AnalyzerDep,
    galleries: GalleriesDep,
) -> AnalysisAnswer | Response:
    """Run the chosen `tasks` on one recording, side by side.

    In another format than JSON, the answer is the turns of the diarization, or the chunks of the deepfake
    detection if `tasks` has no diarization; then no other task runs. A streamed answer has an event for each
    task as soon as it is answered, and the progress of long ones.
    """
    options = upload.options(AnalyzeOptions)
    await galleries.check(options.gallery)
    chosen = choose(request, options.format, formats_for(options.tasks), options.stream)
    if chosen in STREAMS:
        return await _stream(chosen, request, upload, analyzer, galleries, options)
    if chosen != JSON:
        return await _file(chosen, upload, analyzer, galleries, options)
    response.headers.update(VARY)
    return await answer_of(upload, analyzer, galleries, options)


async def answer_of(
    upload: Upload, analyzer: GraphAnalyzer, galleries: TenantGalleries, options: BatchOptions
) -> AnalysisAnswer:
    """Decode a recording and answer all tasks about it."""
    waveform = await upload.decode(options)
    outline = await _outline(waveform, options)
    try:
        analysis = await analyzer.analyze(waveform, *_asked(options))
        turns = analysis.diarization
        if turns is not None:
            voices = dict.fromkeys(turns.speakers, waveform)
            turns = await galleries.named(options, voices, turns, upload.notes)
    finally:
        upload.release()
    return AnalysisAnswer.from_result(
        replace(analysis, diarization=None if turns is None else options.shown(turns)),
        outline,
        quality=upload.quality(analysis.speech_s),
        processing_time=upload.processing_time,
        audio_duration=upload.audio_duration,
    )


async def _stream(
    chosen: str,
    request: Request,
    upload: Upload,
    analyzer: GraphAnalyzer,
    galleries: TenantGalleries,
    options: AnalyzeOptions,
) -> Response:
    waveform = await upload.decode(options)
    outline = await _outline(waveform, options)
    events = analyzer.analyze_events(waveform, *_asked(options))
    events = galleries.named_events(options, waveform, events, upload.notes)

    def answer(event: TaskAnswer) -> BaseModel:
        is_diarization = event.task == "diarization"
        return task_answer(event.task, options.shown(event.result) if is_diarization else event.result)

    extras = [] if outline is None else [("peaks", PeaksAnswer.model_validate(outline))]
    return await streamed(request, chosen, upload, events, answer, extras, exclude_none=True)


async def _outline(waveform: Waveform, options: BatchOptions) -> Peaks | None:
    return None if options.peaks is None else await asyncio.to_thread(peaks_of, waveform, options.peaks)


def _asked(options: BatchOptions) -> tuple[Any, ...]:
    """Return the arguments of the question besides the recording."""
    return (
        options.tasks,
        options.speakers,
        options.chunks,
        options.encoder_key,
        options.languages,
        options.allow_no_speech,
    )


async def _file(
    chosen: str,
    upload: Upload,
    analyzer: GraphAnalyzer,
    galleries: TenantGalleries,
    options: AnalyzeOptions,
) -> Response:
    """Answer the one task whose spans the file holds."""
    waveform = await upload.decode(options)
    if "diarization" not in options.tasks:
        return chunks_file(
            chosen,
            upload.name,
            await analyzer.detect_deepfake(waveform, options.chunks, options.allow_no_speech),
        )
    result = await analyzer.diarize(waveform, options.speakers)
    voices = dict.fromkeys(result.speakers, waveform)
    result = await galleries.named(options, voices, result, upload.notes)
    info = await analyzer.info(analyzer.diarization_model)
    return turns_file(chosen, upload.name, options.shown(result), upload.audio_duration, info)

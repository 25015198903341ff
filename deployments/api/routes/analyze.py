"""All tasks for one recording."""

import asyncio

from fastapi import APIRouter, Request, Response

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_recording, written_as
from deployments.api.negotiation import VARY, choose, chunks_file, formats_for, turns_file
from deployments.api.options import AnalyzeOptions, BatchOptions
from deployments.api.schemas.analysis import AnalysisAnswer
from deployments.api.service import GraphAnalyzer
from deployments.api.upload import AudioUpload, Upload
from pipelines.audio.peaks import peaks_of
from voxgraph.formats import JSON, TURN_FORMATS

router = APIRouter(prefix="/v1", tags=["analyze"])


@router.post(
    "/analyze",
    openapi_extra=takes_recording(AnalyzeOptions),
    response_model=AnalysisAnswer,
    response_model_exclude_none=True,
    responses=written_as(TURN_FORMATS),
)
async def analyze(
    request: Request, response: Response, upload: AudioUpload, analyzer: AnalyzerDep
) -> AnalysisAnswer | Response:
    """Run the chosen `tasks` on one recording, side by side.

    In another format than JSON, the answer is the turns of the diarization, or the chunks of the deepfake
    detection if `tasks` has no diarization; then no other task runs.
    """
    options = upload.options(AnalyzeOptions)
    chosen = choose(request, options.format, formats_for(options.tasks))
    if chosen != JSON:
        return await _file(chosen, upload, analyzer, options)
    response.headers.update(VARY)
    return await answer_of(upload, analyzer, options)


async def answer_of(upload: Upload, analyzer: GraphAnalyzer, options: BatchOptions) -> AnalysisAnswer:
    """Decode a recording and answer all tasks about it."""
    waveform = await upload.decode(options)
    outline = None if options.peaks is None else await asyncio.to_thread(peaks_of, waveform, options.peaks)
    try:
        analysis = await analyzer.analyze(
            waveform,
            options.tasks,
            options.speakers,
            options.chunks,
            options.encoder_key,
            options.languages,
        )
    finally:
        upload.release()
    return AnalysisAnswer.from_result(
        analysis.named(options.names) if isinstance(options, AnalyzeOptions) else analysis,
        outline,
        quality=upload.quality(),
        processing_time=upload.processing_time,
        audio_duration=upload.audio_duration,
    )


async def _file(chosen: str, upload: Upload, analyzer: GraphAnalyzer, options: AnalyzeOptions) -> Response:
    """Answer the one task whose spans the file holds."""
    waveform = await upload.decode(options)
    if "diarization" not in options.tasks:
        return chunks_file(chosen, upload.name, await analyzer.detect_deepfake(waveform, options.chunks))
    result = await analyzer.diarize(waveform, options.speakers)
    info = await analyzer.info(analyzer.diarization_model)
    return turns_file(chosen, upload.name, result.named(options.names), upload.audio_duration, info)

"""Endpoint that diarizes: who spoke when."""

from fastapi import APIRouter, Request, Response

from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import takes_recording, written_as
from deployments.api.galleries import GalleriesDep
from deployments.api.negotiation import STREAMS, VARY, choose, turns_file
from deployments.api.options import DiarizationOptions
from deployments.api.schemas.turns import DiarizationAnswer
from deployments.api.streaming import streamed
from deployments.api.upload import AudioUpload, processing_info
from voxgraph.errors import InvalidOptions
from voxgraph.formats import JSON, TURN_FORMATS
from voxgraph.results import DiarizationResult, ModelInfo

router = APIRouter(tags=["diarization"])


@router.post(
    "/diarize",
    openapi_extra=takes_recording(DiarizationOptions),
    response_model=DiarizationAnswer,
    responses=written_as(TURN_FORMATS, is_streamed=True),
)
async def diarize(
    request: Request,
    response: Response,
    upload: AudioUpload,
    analyzer: AnalyzerDep,
    galleries: GalleriesDep,
) -> DiarizationAnswer | Response:
    """Return who speaks when, in seconds from the start; with `gallery`, by their names."""
    options = upload.options(DiarizationOptions)
    await galleries.check(options.gallery)
    chosen = choose(request, options.format, (JSON, *TURN_FORMATS), options.stream)

    def answer(found: DiarizationResult, info: ModelInfo) -> DiarizationAnswer:
        return DiarizationAnswer.from_result(
            options.shown(found),
            quality=upload.quality(found.speech_s),
            **processing_info(info, upload).model_dump(),
        )

    is_separate = options.channels == "separate"
    if chosen in STREAMS:
        if is_separate:
            raise InvalidOptions("The answer to channels=separate is not streamed.")
        waveform = await upload.decode(options)
        info = await analyzer.info(analyzer.diarization_model)
        events = analyzer.analyze_events(waveform, ("diarization",), options.speakers)
        events = galleries.named_events(options, waveform, events, upload.notes)
        return await streamed(request, chosen, upload, events, lambda event: answer(event.result, info))
    if is_separate:
        channels = await upload.decode_channels()
        found = await analyzer.diarize_channels(channels)
        voices = {f"CHANNEL_{index}": channel for index, channel in enumerate(channels)}
    else:
        waveform = await upload.decode(options)
        found = await analyzer.diarize(waveform, options.speakers)
        voices = dict.fromkeys(found.speakers, waveform)
    found = await galleries.named(options, voices, found, upload.notes)
    info = await analyzer.info(analyzer.diarization_model)
    if chosen != JSON:
        return turns_file(chosen, upload.name, options.shown(found), upload.audio_duration, info)
    response.headers.update(VARY)
    return answer(found, info)

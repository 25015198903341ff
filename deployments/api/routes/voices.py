"""Endpoints that ask whose voice is in a recording."""

from fastapi import APIRouter, Request

from deployments.api.claims import InVain
from deployments.api.dependencies import AnalyzerDep
from deployments.api.documentation import GALLERY_RESPONSES, takes_recording
from deployments.api.galleries import GalleriesDep
from deployments.api.options import IdentificationOptions, VerificationInGalleryOptions
from deployments.api.schemas.decisions import NotedDecisionAnswer
from deployments.api.schemas.turns import DiarizationAnswer
from deployments.api.upload import AudioUpload, processing_info
from voxgraph.results import Decision

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["gallery"], responses=GALLERY_RESPONSES)


@router.post("/verify", openapi_extra=takes_recording(VerificationInGalleryOptions))
async def verify(
    request: Request, gallery: str, upload: AudioUpload, galleries: GalleriesDep
) -> NotedDecisionAnswer:
    """Decide whether the recording is of the `speaker` that somebody claims to be.

    A speaker whose voice was claimed in vain ten times within a minute is 429.
    """
    options = upload.options(VerificationInGalleryOptions)
    claims: InVain = request.app.state.claims
    claimed = galleries.tenant, gallery, options.speaker
    claims.check(claimed)
    waveform = await upload.decode(options)
    found = await galleries.all.verify(
        galleries.place(gallery), options.speaker, waveform, upload.notes, options.matching
    )
    if found.decision is Decision.NO_MATCH:
        claims.failed(claimed)
    return NotedDecisionAnswer.from_result(galleries.shown(found), **upload.summary(found.evidence))


@router.post("/identify", openapi_extra=takes_recording(IdentificationOptions))
async def identify(
    gallery: str, upload: AudioUpload, galleries: GalleriesDep, analyzer: AnalyzerDep
) -> NotedDecisionAnswer | DiarizationAnswer:
    """Decide who of the gallery speaks in the recording, if anybody.

    With `diarize=true` several people may speak: the answer is that of ``/diarize`` with names. A client that
    asks about a hundred recordings within a minute in which nobody is recognised is 429 for a while.
    """
    options = upload.options(IdentificationOptions)
    galleries.check_tries(gallery)
    waveform = await upload.decode(options)
    place, matching = galleries.place(gallery), options.matching
    if not options.diarize:
        found = await galleries.all.identify(place, waveform, upload.notes, matching)
        galleries.note(gallery, [found])
        return NotedDecisionAnswer.from_result(galleries.shown(found), **upload.summary(found.evidence))
    turns = await galleries.all.diarize(place, waveform, options.speakers, upload.notes, matching)
    galleries.note(gallery, (turns.identities or {}).values())
    info = await analyzer.info(analyzer.diarization_model)
    return DiarizationAnswer.from_result(
        galleries.shown_turns(turns).only(exclusive=False, embeddings=False, frames=False),
        quality=upload.quality(turns.speech_s),
        **processing_info(info, upload).model_dump(),
    )

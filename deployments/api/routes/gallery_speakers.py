"""Endpoints about the speakers of a gallery and their references."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response, status
from starlette.responses import JSONResponse

from deployments.api.documentation import GALLERY_RESPONSES, takes_recording
from deployments.api.errors import ErrorAnswer, error_answer
from deployments.api.galleries import GalleriesDep, json_body, takes_json
from deployments.api.options import EnrolmentOptions
from deployments.api.schemas.galleries import (
    EnrolmentAnswer,
    ErasureAnswer,
    OptedInAnswer,
    ReasonAnswer,
    ReferencesAnswer,
    RefusedEnrolmentAnswer,
    SpeakerAnswer,
    SpeakersAnswer,
)
from deployments.api.schemas.gallery_bodies import EmbeddingBody, SpeakerBody, SpeakerChanges
from deployments.api.upload import read_upload
from deployments.galleries import content_of_embedding
from voxgraph.results import Enrolment, Evidence, Observation, Space, SpeakerState, VoiceSample

router = APIRouter(prefix="/v1/galleries/{gallery}/speakers", tags=["gallery"], responses=GALLERY_RESPONSES)

_DOCUMENTED = takes_recording(EnrolmentOptions)
_DOCUMENTED["requestBody"]["content"] |= takes_json(EmbeddingBody)["requestBody"]["content"]
_REFUSAL: dict[str, Any] = {
    "model": RefusedEnrolmentAnswer | ErrorAnswer, "description": "The recording does not pass the gates.",
}  # fmt: skip
_REPEATED: dict[str, Any] = {
    "model": EnrolmentAnswer, "description": "The recording was a reference of the speaker before.",
}  # fmt: skip
SCORES = frozenset({"llr", "margin", "probability", "spoof_score"})
"""Fields of an export that only keys with the scope ``scores`` see."""
REFUSED = "enrolment_refused"
"""Code of a recording that does not pass the gates of a gallery."""


@router.get("")
async def list_speakers(
    gallery: str,
    galleries: GalleriesDep,
    state: SpeakerState | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> SpeakersAnswer:
    """Return a page of speakers in the order in which they were created."""
    page = await galleries.ask("speakers", gallery, state=state, after=after, limit=limit)
    return SpeakersAnswer.model_validate(page)


@router.put(
    "/{speaker}",
    openapi_extra=takes_json(SpeakerBody),
    responses={201: {"model": SpeakerAnswer, "description": "The speaker was created."}},
)
async def put_speaker(
    gallery: str,
    speaker: str,
    response: Response,
    galleries: GalleriesDep,
    body: Annotated[SpeakerBody, Depends(json_body(SpeakerBody))],
) -> SpeakerAnswer:
    """Create a speaker, or replace the name, the metadata and the consent of one."""
    given = {"display_name": body.display_name, "metadata": body.metadata}
    consent = None if body.consent is None else body.consent.consent()
    found, is_new = await galleries.change("put_speaker", gallery, speaker, consent=consent, **given)
    if is_new:
        response.status_code = status.HTTP_201_CREATED
    return SpeakerAnswer.model_validate(found)


@router.get("/{speaker}")
async def show_speaker(gallery: str, speaker: str, galleries: GalleriesDep) -> SpeakerAnswer:
    """Return a speaker: state, seconds of speech that are there and that are missing, consent."""
    return SpeakerAnswer.model_validate(await galleries.ask("speaker", gallery, speaker))


@router.patch("/{speaker}", openapi_extra=takes_json(SpeakerChanges))
async def change_speaker(
    gallery: str,
    speaker: str,
    galleries: GalleriesDep,
    body: Annotated[SpeakerChanges, Depends(json_body(SpeakerChanges))],
) -> SpeakerAnswer:
    """Change some of the external id, the name, the metadata and the consent."""
    found = await galleries.change("patch_speaker", gallery, speaker, body.changes())
    return SpeakerAnswer.model_validate(found)


@router.delete("/{speaker}")
async def erase_speaker(gallery: str, speaker: str, galleries: GalleriesDep) -> ErasureAnswer:
    """Erase everything that is kept of a speaker; return the signed receipt."""
    return ErasureAnswer.model_validate(await galleries.change("erase", gallery, speaker))


@router.post("/{speaker}/opt-out")
async def opt_out(gallery: str, speaker: str, galleries: GalleriesDep) -> ErasureAnswer:
    """Erase a speaker, who need not be there, and refuse to enrol that external id from now on."""
    return ErasureAnswer.model_validate(await galleries.change("opt_out", gallery, speaker))


@router.delete("/{speaker}/opt-out")
async def opt_in(gallery: str, speaker: str, galleries: GalleriesDep) -> OptedInAnswer:
    """Let an external id be enrolled again."""
    await galleries.change("opt_in", gallery, speaker)
    return OptedInAnswer(opted_out=False)


@router.delete("/{speaker}/consent")
async def withdraw_consent(gallery: str, speaker: str, galleries: GalleriesDep) -> ErasureAnswer:
    """Erase all references of a speaker and the consent; the name stays for a new consent."""
    return ErasureAnswer.model_validate(await galleries.change("withdraw_consent", gallery, speaker))


@router.get("/{speaker}/export")
async def export(
    gallery: str, speaker: str, galleries: GalleriesDep, vectors: bool = False
) -> dict[str, Any]:
    """Return everything that is kept of a speaker, for the person."""
    if vectors:
        galleries.check_scores()
    found: dict[str, Any] = await galleries.change("export", gallery, speaker, vectors=vectors)
    return found if galleries.may_see_scores else _without_scores(found)


@router.get("/{speaker}/references")
async def references(gallery: str, speaker: str, galleries: GalleriesDep) -> ReferencesAnswer:
    """Return the references of a speaker, the oldest first."""
    found = await galleries.ask("references", gallery, speaker)
    return ReferencesAnswer.model_validate({"references": [galleries.shown(each) for each in found]})


@router.delete("/{speaker}/references/{reference}")
async def remove_reference(
    gallery: str, speaker: str, reference: str, galleries: GalleriesDep
) -> ErasureAnswer:
    """Erase one reference."""
    return ErasureAnswer.model_validate(
        await galleries.change("remove_reference", gallery, speaker, reference)
    )


@router.post(
    "/{speaker}/references",
    status_code=status.HTTP_201_CREATED,
    response_model=EnrolmentAnswer,
    openapi_extra=_DOCUMENTED,
    responses={200: _REPEATED, 422: _REFUSAL},
)
async def enrol(
    request: Request, response: Response, gallery: str, speaker: str, galleries: GalleriesDep
) -> Any:
    """Enrol a recording of a speaker; what does not pass the gates is refused with reasons, and not kept.

    The same recording of the same speaker again is answered 200 with the reference that it is already.
    With `diarized_speaker`, the voice of that one of several is taken. A body of JSON is a voice that was
    embedded before: `embedding`, `model`, `revision` and the seconds of speech, `speech_s`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        observation = _observation(await json_body(EmbeddingBody)(request))
        known = await galleries.ask("speaker", gallery, speaker)
        (sample,) = observation.samples
        content = content_of_embedding(sample.space, sample.vector)
        asked = {"expecting": known.id, "origin": "embedding", "content": content}
        enrolment = await galleries.change("enrol", gallery, speaker, observation, **asked)
        return _answer(request, response, galleries.shown(enrolment))
    upload = await read_upload(request)
    options = upload.options(EnrolmentOptions)
    waveform = await upload.decode(options)
    enrolment = await galleries.all.enrol(
        galleries.place(gallery), speaker, waveform, upload.notes, options.diarized_speaker
    )
    return _answer(request, response, galleries.shown(enrolment))


def _without_scores(value: Any) -> Any:
    """Return JSON without the figures that tell how near a voice was."""
    if isinstance(value, dict):
        return {name: _without_scores(each) for name, each in value.items() if name not in SCORES}
    return [_without_scores(each) for each in value] if isinstance(value, list | tuple) else value


def _observation(body: EmbeddingBody) -> Observation:
    space = Space(body.model, body.revision, len(body.embedding))
    with np.errstate(over="ignore"):  # What float32 cannot hold is infinite, and refused as such.
        sample = VoiceSample(space, np.asarray(body.embedding, np.float32))
    return Observation((sample,), Evidence(speech_s=body.speech_s))


def _answer(request: Request, response: Response, enrolment: Enrolment) -> Any:
    if enrolment.accepted:
        if enrolment.repeated:
            response.status_code = status.HTTP_200_OK
        return EnrolmentAnswer.model_validate(enrolment)
    detail = " ".join(reason.message for reason in enrolment.reasons)
    refusal = RefusedEnrolmentAnswer(
        **error_answer(request, detail, "ValidationError", REFUSED).model_dump(),
        speaker=SpeakerAnswer.model_validate(enrolment.speaker),
        reasons=[ReasonAnswer.model_validate(each) for each in enrolment.reasons],
        warnings=[ReasonAnswer.model_validate(each) for each in enrolment.warnings],
    )
    return JSONResponse(refusal.model_dump(mode="json"), status.HTTP_422_UNPROCESSABLE_CONTENT)

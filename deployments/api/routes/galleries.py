"""Endpoints about whole galleries: create, list, calibrate, and the proof of what was done."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status

from deployments.api.documentation import GALLERY_RESPONSES
from deployments.api.galleries import GalleriesDep, json_body, takes_json
from deployments.api.schemas.galleries import (
    CalibrationAnswer,
    CalibrationsAnswer,
    DuplicatesAnswer,
    ErasureAnswer,
    GalleriesAnswer,
    GalleryAnswer,
    LedgerAnswer,
    LedgerCheckAnswer,
    LedgerKeyAnswer,
    ReceiptsAnswer,
    SpeakerAnswer,
)
from deployments.api.schemas.gallery_bodies import MergeBody, PolicyBody
from deployments.api.schemas.reviews import ReportAnswer, ReviewAnswer, ReviewsAnswer
from voxgraph.errors import NotFound
from voxgraph.results import CalibrationReport

router = APIRouter(prefix="/v1/galleries", tags=["gallery"], responses=GALLERY_RESPONSES)

proof = APIRouter(prefix="/v1", tags=["gallery"], responses=GALLERY_RESPONSES)
"""What concerns all galleries of a tenant."""

Limit = Annotated[int, Query(ge=1, le=1000)]
Line = Annotated[int, Query(ge=0, lt=1 << 63)]
"""Number of a line of the ledger, as a database keeps it."""


@router.get("")
async def list_galleries(
    galleries: GalleriesDep, after: str | None = None, limit: Limit = 100
) -> GalleriesAnswer:
    """Return a page of the galleries of the tenant, by name."""
    return GalleriesAnswer.model_validate(await galleries.ask("list", after=after, limit=limit))


@proof.get("/ledger")
async def ledger(galleries: GalleriesDep, after: Line = 0, limit: Limit = 1000) -> LedgerAnswer:
    """Return lines of the tenant's ledger: what was done, by which key. It holds no name and no vector."""
    return LedgerAnswer.model_validate({"entries": await galleries.ask("ledger", after=after, limit=limit)})


@proof.get("/ledger/check")
async def check_ledger(galleries: GalleriesDep) -> LedgerCheckAnswer:
    """Check the chain and all signatures of the ledger and of the receipts."""
    return LedgerCheckAnswer.model_validate(await galleries.ask("verify_ledger"))


@proof.get("/ledger/key")
async def ledger_key(galleries: GalleriesDep) -> LedgerKeyAnswer:
    """Return the key that verifies the signatures of the ledger and of the receipts."""
    return LedgerKeyAnswer(public_key=await galleries.all.ask("public_key"))


@proof.get("/receipts")
async def receipts(galleries: GalleriesDep, after: Line = 0, limit: Limit = 100) -> ReceiptsAnswer:
    """Return a page of the receipts of erasures, the oldest first."""
    return ReceiptsAnswer.model_validate(await galleries.ask("receipts", after=after, limit=limit))


@router.put(
    "/{gallery}",
    openapi_extra=takes_json(PolicyBody),
    responses={201: {"model": GalleryAnswer, "description": "The gallery was created."}},
)
async def put_gallery(
    gallery: str,
    response: Response,
    galleries: GalleriesDep,
    body: Annotated[PolicyBody, Depends(json_body(PolicyBody))],
) -> GalleryAnswer:
    """Create a gallery, or replace the policy of one."""
    policy = body.policy()
    try:
        found = await galleries.change("update", gallery, policy)
    except NotFound:
        found = await galleries.change("create", gallery, policy)
        response.status_code = status.HTTP_201_CREATED
    return GalleryAnswer.model_validate(found)


@router.get("/{gallery}")
async def show_gallery(gallery: str, galleries: GalleriesDep) -> GalleryAnswer:
    """Return a gallery and the number of its speakers by state."""
    return GalleryAnswer.model_validate(await galleries.ask("show", gallery))


@router.delete("/{gallery}")
async def delete_gallery(gallery: str, galleries: GalleriesDep) -> ErasureAnswer:
    """Erase a gallery and everybody in it; return the signed receipt."""
    return ErasureAnswer.model_validate(await galleries.change("delete", gallery))


@router.post("/{gallery}/merge", openapi_extra=takes_json(MergeBody))
async def merge(
    gallery: str, galleries: GalleriesDep, body: Annotated[MergeBody, Depends(json_body(MergeBody))]
) -> SpeakerAnswer:
    """Move all references of one speaker to another one, and remove the first."""
    return SpeakerAnswer.model_validate(
        await galleries.change("merge", gallery, into=body.into, source=body.source)
    )


@router.get("/{gallery}/duplicates")
async def duplicates(gallery: str, galleries: GalleriesDep) -> DuplicatesAnswer:
    """Return pairs of speakers whose voices are probably one, the likeliest first."""
    found = await galleries.ask("duplicates", gallery)
    return DuplicatesAnswer.model_validate({"duplicates": [galleries.shown(each) for each in found]})


@router.post("/{gallery}/calibrate")
async def calibrate(gallery: str, galleries: GalleriesDep) -> CalibrationsAnswer:
    """Fit the calibration on the gallery's own voices; it is used where the data suffice."""
    return _reports(await galleries.change("calibrate", gallery))


@router.get("/{gallery}/report")
async def report(gallery: str, galleries: GalleriesDep) -> ReportAnswer:
    """Return the reports of the last calibration, and how many decisions people found right and wrong."""
    return ReportAnswer(
        reports=_reports(await galleries.ask("reports", gallery)).reports,
        reviews=[ReviewsAnswer.model_validate(each) for each in await galleries.ask("reviews", gallery)],
    )


@router.post("/{gallery}/decisions/{decision_id}/confirm")
async def confirm(gallery: str, decision_id: str, galleries: GalleriesDep) -> ReviewAnswer:
    """Say that a decision was right, after a person looked at it. Nothing is learned from it."""
    return ReviewAnswer.model_validate(await galleries.change("review", gallery, decision_id, "confirmed"))


@router.post("/{gallery}/decisions/{decision_id}/reject")
async def reject(gallery: str, decision_id: str, galleries: GalleriesDep) -> ReviewAnswer:
    """Say that a decision was wrong, after a person looked at it. Nothing is learned from it."""
    return ReviewAnswer.model_validate(await galleries.change("review", gallery, decision_id, "rejected"))


@router.get(
    "/{gallery}/report.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The plot."}},
)
async def det_plot(gallery: str, galleries: GalleriesDep, space: Annotated[int, Query(ge=0)] = 0) -> Response:
    """Return the detection error trade-off of the last calibration as a picture, of one of its reports."""
    plots = [each.det_plot for each in await galleries.ask("reports", gallery)]
    if space >= len(plots) or plots[space] is None:
        raise NotFound("There is no plot: the gallery was not calibrated, or its voices are too few.")
    return Response(plots[space], media_type="image/png")


def _reports(found: tuple[CalibrationReport, ...]) -> CalibrationsAnswer:
    return CalibrationsAnswer(reports=[CalibrationAnswer.model_validate(each) for each in found])

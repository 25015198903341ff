"""What browsers load beside the page at ``/``: the documentation and the files of both pages."""

from fastapi import APIRouter, HTTPException, Request, Response

from deployments.api.page import Pages

router = APIRouter(include_in_schema=False, tags=["service"])


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Return the interactive documentation; 404 if it is switched off."""
    pages: Pages = request.app.state.pages
    if not pages.has_docs:
        raise HTTPException(404)
    return pages.docs(request)


@router.get("/assets/{name}")
async def asset(request: Request, name: str) -> Response:
    """Return a file of the pages."""
    pages: Pages = request.app.state.pages
    found = pages.asset(name)
    if found is None:
        raise HTTPException(404)
    return found.response(request)

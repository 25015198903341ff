"""What the service says of itself."""

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request, Response, status
from starlette.responses import JSONResponse, RedirectResponse

from deployments.api.routes import Asked
from deployments.api.schemas import HealthAnswer

VERSION = version("voxgraph")

router = APIRouter(tags=["service"])


@router.get("/health")
async def health(analyzer: Asked, response: Response) -> HealthAnswer:
    """Which models answer, where they run and what they have loaded; 503 where none answers."""
    answer = HealthAnswer.of(await analyzer.health(), VERSION)
    if not answer.models:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return answer


@router.get("/", response_model=None)
async def index(request: Request) -> Response:
    """Name, version and endpoints; browsers are sent to the documentation."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(request.url_for("swagger_ui_html").path)
    return JSONResponse(
        {"name": "voxgraph", "version": VERSION, "docs": "/docs", "endpoints": _endpoints(request)}
    )


def _endpoints(request: Request) -> dict[str, Any]:
    """What the running application's own OpenAPI says, a line each."""
    paths: dict[str, dict[str, dict[str, Any]]] = request.app.openapi()["paths"]
    return {
        f"{method.upper()} {path}": operation.get("summary", "")
        for path, operations in paths.items()
        for method, operation in operations.items()
    }

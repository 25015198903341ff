"""Endpoints about the service itself."""

from fastapi import APIRouter, Request, Response, status

import voxgraph
from deployments.api.dependencies import AnalyzerDep
from deployments.api.page import Pages
from deployments.api.schemas.health import HealthAnswer, LiveAnswer
from deployments.api.schemas.index import IndexAnswer, QueueSystem

VERSION = voxgraph.__version__
OPTIMIZATIONS = [
    "in-memory audio, decoded once",
    "waiting requests batched on each replica",
    "results of identical recordings cached",
    "identical requests computed once",
    "deepfake chunks fanned out",
]
RESPONSE_FORMAT = {
    "POST /identify": '{"us_confidence": 85.67}',
    "errors": '{"detail", "error_type", "code", "timestamp", "request_id"}',
}

router = APIRouter(tags=["service"])


@router.get("/livez")
async def livez() -> LiveAnswer:
    """Say that this server answers, without asking any model."""
    return LiveAnswer(status="alive")


@router.get("/health", responses={503: {"model": HealthAnswer, "description": "No model is available."}})
async def health(request: Request, response: Response, analyzer: AnalyzerDep) -> HealthAnswer:
    """Return which models are available, where they run and what they have loaded; 503 if none is."""
    found = await request.app.state.health.get()
    answer = HealthAnswer.from_result(found, VERSION, galleries=analyzer.gallery is not None)
    if not answer.models:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return answer


@router.get(
    "/",
    response_model=IndexAnswer,
    responses={200: {"content": {"text/html": {}}, "description": "Browsers get the page."}},
)
async def index(request: Request, response: Response, analyzer: AnalyzerDep) -> IndexAnswer | Response:
    """Return name, version and endpoints; browsers get the page."""
    pages: Pages = request.app.state.pages
    if pages.has_page and "text/html" in request.headers.get("accept", ""):
        return pages.page(request)
    response.headers["vary"] = "accept"
    queue = await analyzer.state.queue()
    return IndexAnswer(
        message="voxgraph: answers questions about voice recordings",
        version=VERSION,
        docs="/docs",
        response_format=RESPONSE_FORMAT,
        optimizations=OPTIMIZATIONS,
        queue_system=QueueSystem(max_concurrent_requests=queue.max_running, max_queue_size=queue.max_queued),
        endpoints=_endpoints(request),
    )


def _endpoints(request: Request) -> dict[str, str]:
    """Return the summary of each endpoint from the OpenAPI document of the running application."""
    paths: dict[str, dict[str, dict[str, str]]] = request.app.openapi()["paths"]
    return {
        f"{method.upper()} {path}": operation.get("summary", "")
        for path, operations in paths.items()
        for method, operation in operations.items()
    }

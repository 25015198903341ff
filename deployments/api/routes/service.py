"""What the service says of itself."""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response, status
from starlette.responses import RedirectResponse

from deployments.api.routes import AnalyzerDep
from deployments.api.schemas.health import HealthAnswer
from deployments.api.schemas.index import IndexAnswer, QueueSystem

VERSION = version("voxgraph")
OPTIMIZATIONS = [
    "in-memory audio, decoded once",
    "batches of what waits, per replica",
    "results kept for identical recordings",
    "identical requests computed once",
    "deepfake chunks fanned out",
]
RESPONSE_FORMAT = {
    "POST /identify": '{"us_confidence": 85.67}',
    "errors": '{"detail", "error_type", "code", "timestamp", "request_id"}',
}

router = APIRouter(tags=["service"])


@router.get("/health", responses={503: {"model": HealthAnswer, "description": "No model answers."}})
async def health(analyzer: AnalyzerDep, response: Response) -> HealthAnswer:
    """Which models answer, where they run and what they have loaded; 503 where none answers."""
    answer = HealthAnswer.from_result(await analyzer.health(), VERSION)
    if not answer.models:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return answer


@router.get("/", response_model=IndexAnswer, responses={307: {"description": "Browsers go to /docs."}})
async def index(request: Request, analyzer: AnalyzerDep) -> IndexAnswer | Response:
    """Name, version and endpoints; browsers are sent to the documentation."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(request.url_for("swagger_ui_html").path)
    queue = await analyzer.state.queue()
    return IndexAnswer(
        message="voxgraph: questions people ask of a voice recording, answered",
        version=VERSION,
        docs="/docs",
        response_format=RESPONSE_FORMAT,
        optimizations=OPTIMIZATIONS,
        queue_system=QueueSystem(max_concurrent_requests=queue.max_running, max_queue_size=queue.max_queued),
        endpoints=_endpoints(request),
    )


def _endpoints(request: Request) -> dict[str, str]:
    """What the running application's own OpenAPI says, a line each."""
    paths: dict[str, dict[str, dict[str, str]]] = request.app.openapi()["paths"]
    return {
        f"{method.upper()} {path}": operation.get("summary", "")
        for path, operations in paths.items()
        for method, operation in operations.items()
    }

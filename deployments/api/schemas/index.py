"""Response body of the index page ``/``."""

from pydantic import BaseModel


class QueueSystem(BaseModel):
    """Limits of ``/identify`` requests in the whole graph: running and queued."""

    max_concurrent_requests: int
    max_queue_size: int


class IndexAnswer(BaseModel):
    """Overview of the service."""

    message: str
    version: str
    docs: str
    response_format: dict[str, str]
    optimizations: list[str]
    queue_system: QueueSystem
    endpoints: dict[str, str]
    """Summary of each endpoint by method and path."""

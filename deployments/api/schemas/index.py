"""What the service says of itself at ``/``."""

from pydantic import BaseModel


class QueueSystem(BaseModel):
    """How many requests of ``/identify`` the graph takes."""

    max_concurrent_requests: int
    max_queue_size: int


class IndexAnswer(BaseModel):
    """The service in a few lines."""

    message: str
    version: str
    docs: str
    response_format: dict[str, str]
    optimizations: list[str]
    queue_system: QueueSystem
    endpoints: dict[str, str]
    """What the application itself has, and a line of each."""

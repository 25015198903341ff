"""The id that a request's log lines carry, on its way from ingress to replica. Serve has no public setter."""

import contextvars

from ray.serve import context


def current_request_id() -> str:
    """Of the request that this code runs for; empty outside of one."""
    request_id: str = context._get_serve_request_context().request_id
    return request_id


def context_of(request_id: str) -> contextvars.Context:
    """The present context, for another request."""
    other = contextvars.copy_context()
    other.run(context._set_request_context, request_id=request_id)
    return other

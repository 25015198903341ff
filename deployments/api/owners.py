"""Which client each running request is of, so that nobody reads the ids of others' requests.

Callers choose ids, and some choose the number of a patient.
"""

import hashlib
from collections.abc import Iterable

from starlette.requests import Request

from deployments.api.shares import client_of

_OWNER_CHARS = 32


def owned_id(request: Request) -> str:
    """Return the id of a request together with a hash of its client, for the state of the graph."""
    return _owner(request) + str(request.state.request_id)


def own_ids(request: Request, ids: Iterable[str]) -> list[str]:
    """Return, of ids from `owned_id`, those of this client, as it has sent them."""
    owner = _owner(request)
    return [each.removeprefix(owner) for each in ids if each.startswith(owner)]


def _owner(request: Request) -> str:
    client = client_of(request.scope)
    return hashlib.sha256(repr(client).encode()).hexdigest()[:_OWNER_CHARS]

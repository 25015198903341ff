"""Errors of the HTTP client alone; all others are those of the server, of `voxgraph.errors`.

VoxError
└── ClientError           there is no answer of voxgraph
    ├── Unreachable       the server cannot be reached, or the connection broke
    ├── AccessDenied      the server, or a proxy before it, refuses the key or asks for one
    └── UnexpectedAnswer  the answer is not one of voxgraph
"""

from voxgraph.errors import VoxError


class ClientError(VoxError, code="client_error"):
    """There is no answer of voxgraph."""


class Unreachable(ClientError, code="unreachable"):
    """The server cannot be reached, or the connection broke before the answer was complete."""


class AccessDenied(ClientError, code="access_denied"):
    """The server, or a proxy before it, refuses the API key or asks for one (401 or 403)."""


class UnexpectedAnswer(ClientError, code="unexpected_answer"):
    """The answer is not one of voxgraph, or of a version that this client cannot read."""

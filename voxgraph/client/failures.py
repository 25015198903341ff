"""From failed requests to the errors of `voxgraph.errors`, and when a request is worth sending again."""

import json
import random
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2

from voxgraph import errors
from voxgraph.client.errors import AccessDenied, UnexpectedAnswer, Unreachable

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
"""Seconds before the first repetition, doubled for each further one, and their upper limit."""
CONNECT_LIMIT_S = 10.0
"""Seconds that a connection may take to be made."""
RETRIED_STATUSES = frozenset({429, 503})
"""Statuses of a server that may answer later."""
REQUEST_ID_HEADER = "x-request-id"


def _classes(base: type[errors.VoxError]) -> Iterator[type[errors.VoxError]]:
    yield base
    for each in base.__subclasses__():
        yield from _classes(each)


_BY_CODE = {error.code: error for error in _classes(errors.VoxError) if error.__module__ == errors.__name__}
"""Errors by the code that the server sends."""
_BY_STATUS = {
    401: AccessDenied,
    403: AccessDenied,
    408: errors.DeadlineExceeded,
    413: errors.UploadTooLarge,
    429: errors.Overloaded,
    502: Unreachable,
    503: errors.Overloaded,
    504: errors.DeadlineExceeded,
}
"""Errors of answers without a code that this client knows: of a proxy, or of a newer server."""


class Deadline:
    """The end of everything that one question may take."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._at = time.monotonic() + timeout_s

    def remaining(self) -> float:
        """Return the seconds that are left; raise `DeadlineExceeded` if there are none."""
        seconds = self._at - time.monotonic()
        if seconds <= 0:
            raise self.error()
        return seconds

    def error(self) -> errors.DeadlineExceeded:
        """Return the error of a question that has taken too long."""
        return errors.DeadlineExceeded(f"The answer was not ready within {self._timeout_s:g} s.")


class Timeouts(dict[str, float]):
    """The timeouts of a request: each operation may take as long as the deadline of the question leaves.

    httpcore2 reads them when an operation begins, so that they need not be chosen before.
    """

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(connect=0.0, read=0.0, write=0.0, pool=0.0)
        self._deadline = deadline

    def get(self, operation: str, default: Any = None) -> Any:
        """Return the seconds that an operation may take."""
        remaining = self._deadline.remaining()
        return min(CONNECT_LIMIT_S, remaining) if operation == "connect" else remaining


class Retries:
    """Decides after each failure of a question how long to wait before it is sent again.

    Args:
        deadline: The end of the question, with all its repetitions and pauses.
        repetitions: How often the request may be sent again.
        can_send_again: Whether its body can be read a second time.
        once: See `voxgraph.client.questions.Question`.
    """

    def __init__(
        self, deadline: Deadline, repetitions: int, can_send_again: bool, once: bool = False
    ) -> None:
        self._deadline = deadline
        self._once = once
        self._left = repetitions if can_send_again else 0
        self._pause_s = FIRST_PAUSE_S

    def after_error(self, error: httpx2.TransportError, url: httpx2.URL) -> float:
        """Return the pause after a broken connection in seconds; raise the error if there is no more try."""
        if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
            raise self._deadline.error() from error
        where = f"{url.scheme}://{url.netloc.decode('ascii')}"
        what = "cannot be reached" if isinstance(error, _NO_CONNECTION) else "broke the connection"
        detail = f"The server {where} {what}: {str(error) or type(error).__name__}."
        return self._pause(Unreachable(detail), error)

    def after_answer(self, response: httpx2.Response) -> float:
        """Return the pause after an answer that is an error; raise the error if it is final."""
        error, pause_s = error_of(response), retry_after_s(response)
        # Galleries that were asked may have done it, and a graph without any names no time to come back.
        is_final = isinstance(error, errors.GalleryUnavailable) and (self._once or pause_s is None)
        if response.status_code not in RETRIED_STATUSES or is_final:
            raise error
        return self._pause(error, None, pause_s)

    def _pause(
        self, error: errors.VoxError, cause: Exception | None, at_least_s: float | None = None
    ) -> float:
        if not self._left:
            raise error from cause
        self._left -= 1
        # Full jitter: callers that were refused together do not come back together.
        pause_s = random.uniform(0.0, self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        if at_least_s is not None:
            pause_s += at_least_s
        if pause_s >= self._deadline.remaining():
            raise error from cause
        return pause_s


_NO_CONNECTION = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)


def retry_after_s(response: httpx2.Response) -> float | None:
    """Return the seconds of ``Retry-After``, which may also be a date; None without one."""
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def error_of(response: httpx2.Response) -> errors.VoxError:
    """Return the error that an answer stands for; its content has been read."""
    try:
        body = response.json()
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    return make_error(
        str(body.get("detail") or f"The server answered {response.status_code} {response.reason_phrase}."),
        body.get("code"),
        response.status_code,
        body.get("request_id") or response.headers.get(REQUEST_ID_HEADER),
    )


def make_error(
    detail: str, code: str | None, status: int | None = None, request_id: str | None = None
) -> errors.VoxError:
    """Return the error of a code, or else of a status, with the id of its request."""
    error = (_BY_CODE.get(code or "") or _class_by_status(status or 500))(detail)
    error.request_id = request_id
    return error


def _class_by_status(status: int) -> type[errors.VoxError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < 400:
        return UnexpectedAnswer
    return errors.InvalidRequest if status < 500 else errors.VoxError


def parsed(parse: Callable[[Any], T], text: bytes | str, request_id: str | None) -> T:
    """Read an answer.

    Raises:
        UnexpectedAnswer: It is not JSON, or not what this client expects.
    """
    try:
        return parse(json.loads(text))
    except errors.VoxError as error:
        error.request_id = error.request_id or request_id
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        failed = UnexpectedAnswer(
            f"The answer is not one that this client can read: {type(error).__name__}: {error}. "
            "Check the address of the server, and that client and server have about the same version."
        )
        failed.request_id = request_id
        raise failed from error

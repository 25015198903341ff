"""How a question is sent: its request, its tries, and what a connection that breaks means.

`voxgraph.client.http` does the sending and the waiting, either blocking or in a coroutine.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import httpx2

from voxgraph.client.failures import Deadline, Retries, Timeouts
from voxgraph.client.questions import Question
from voxgraph.client.recordings import can_be_sent_again, name_of, opened


class Attempt:
    """One try to send a question: a context that takes its failure.

    Behind it there is the pause before the next try, unless this was the last: then the error is raised.
    """

    def __init__(self, request: httpx2.Request, retries: Retries) -> None:
        self.request = request
        self.pause_s = 0.0
        """Seconds to wait before the next try."""
        self._retries = retries

    def refused(self, response: httpx2.Response) -> None:
        """Take an answer that is an error; its content has been read."""
        self.pause_s = self._retries.after_answer(response)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, httpx2.TransportError):
            self.pause_s = self._retries.after_error(error, self.request.url)
            return True
        return False


@contextmanager
def attempts(
    http: httpx2.Client | httpx2.AsyncClient, question: Question[Any], deadline: Deadline, repetitions: int
) -> Iterator[Callable[[], Attempt]]:
    """Open the recordings of a question; yield a function that returns the next try to send it.

    Args:
        http: Builds the requests.
        question: What is asked.
        deadline: The end of the question, with all its tries and pauses.
        repetitions: How often the request may be sent again.
    """
    with ExitStack() as stack:
        files = [
            (field, (name_of(recording), stack.enter_context(opened(recording))))
            for field, recording in question.files
        ]
        body: dict[str, Any] = {"files": files} if files else {}
        if question.json is not None:
            body["json"] = question.json
        can_send_again = all(can_be_sent_again(file) for _, (_, file) in files)
        retries = Retries(deadline, repetitions, can_send_again, question.once)

        def attempt() -> Attempt:
            request = http.build_request(
                question.method,
                question.path,
                params=question.options,
                headers={"accept": question.accept},
                extensions={"timeout": Timeouts(deadline)},
                **body,
            )
            return Attempt(request, retries)

        yield attempt


def is_answer(question: Question[Any], response: httpx2.Response) -> bool:
    """Return whether the body of a response is the answer to a question, rather than an error."""
    return response.is_success or response.status_code in question.readable_errors


@contextmanager
def broken_streams_translated(response: httpx2.Response, deadline: Deadline) -> Iterator[None]:
    """Raise our errors for those of a connection that breaks while an answer is read; it is not repeated."""
    try:
        yield
    except httpx2.TransportError as error:
        Retries(deadline, 0, can_send_again=False).after_error(error, response.request.url)

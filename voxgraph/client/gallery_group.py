"""The questions of `voxgraph.client.galleries` as methods, such as ``client.galleries.list()``."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from voxgraph.client import galleries
from voxgraph.client.enrolling import (
    CONCURRENCY,
    Asking,
    AsyncAsking,
    ManifestOutcome,
    enrol_people,
    enrol_people_async,
)
from voxgraph.client.manifest import ManifestPerson
from voxgraph.client.questions import Question
from voxgraph.options import DIARIZATION_DEADLINE_S

T = TypeVar("T")
P = ParamSpec("P")


def _asked(build: Callable[P, Question[T]]) -> Callable[Concatenate["Galleries", P], T]:
    @functools.wraps(build)
    def method(self: "Galleries", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._client.ask(build(*args, **kwargs))

    return method


def _awaited(build: Callable[P, Question[T]]) -> Callable[Concatenate["AsyncGalleries", P], Awaitable[T]]:
    @functools.wraps(build)
    def method(self: "AsyncGalleries", /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self._client.ask(build(*args, **kwargs))

    return method


class Galleries:
    """Galleries of voices, as a blocking client asks about them."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    list = _asked(galleries.list_galleries)
    put = _asked(galleries.put)
    show = _asked(galleries.show)
    delete = _asked(galleries.delete)
    put_speaker = _asked(galleries.put_speaker)
    speakers = _asked(galleries.speakers)
    speaker = _asked(galleries.speaker)
    change_speaker = _asked(galleries.change_speaker)
    erase = _asked(galleries.erase)
    opt_out = _asked(galleries.opt_out)
    opt_in = _asked(galleries.opt_in)
    withdraw_consent = _asked(galleries.withdraw_consent)
    export = _asked(galleries.export)
    enrol = _asked(galleries.enrol)
    enrol_embedding = _asked(galleries.enrol_embedding)
    references = _asked(galleries.references)
    remove_reference = _asked(galleries.remove_reference)
    verify = _asked(galleries.verify)
    identify = _asked(galleries.identify)
    identify_speakers = _asked(galleries.identify_speakers)
    merge = _asked(galleries.merge)
    duplicates = _asked(galleries.duplicates)
    calibrate = _asked(galleries.calibrate)
    report = _asked(galleries.report)
    reviews = _asked(galleries.reviews)
    confirm = _asked(galleries.confirm)
    reject = _asked(galleries.reject)
    ledger = _asked(galleries.ledger)
    check_ledger = _asked(galleries.check_ledger)
    ledger_key = _asked(galleries.ledger_key)
    receipts = _asked(galleries.receipts)

    def enrol_people(
        self,
        gallery: str,
        people: Sequence[ManifestPerson],
        *,
        concurrency: int = CONCURRENCY,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> Iterator[ManifestOutcome]:
        """Enrol the people of a manifest, `concurrency` at a time; yield what became of each line.

        `voxgraph.client.read_manifest` reads them. Who is not there is made first, with name and consent of
        the manifest; `timeout_s` is that of each recording. A run that ended early can be repeated: nobody is
        enrolled twice.

        Raises:
            VoxError: The run cannot go on, for instance without a server. Other errors are outcomes.
        """
        return enrol_people(self._client, gallery, people, concurrency, timeout_s)


class AsyncGalleries:
    """The same for coroutines."""

    def __init__(self, client: AsyncAsking) -> None:
        self._client = client

    list = _awaited(galleries.list_galleries)
    put = _awaited(galleries.put)
    show = _awaited(galleries.show)
    delete = _awaited(galleries.delete)
    put_speaker = _awaited(galleries.put_speaker)
    speakers = _awaited(galleries.speakers)
    speaker = _awaited(galleries.speaker)
    change_speaker = _awaited(galleries.change_speaker)
    erase = _awaited(galleries.erase)
    opt_out = _awaited(galleries.opt_out)
    opt_in = _awaited(galleries.opt_in)
    withdraw_consent = _awaited(galleries.withdraw_consent)
    export = _awaited(galleries.export)
    enrol = _awaited(galleries.enrol)
    enrol_embedding = _awaited(galleries.enrol_embedding)
    references = _awaited(galleries.references)
    remove_reference = _awaited(galleries.remove_reference)
    verify = _awaited(galleries.verify)
    identify = _awaited(galleries.identify)
    identify_speakers = _awaited(galleries.identify_speakers)
    merge = _awaited(galleries.merge)
    duplicates = _awaited(galleries.duplicates)
    calibrate = _awaited(galleries.calibrate)
    report = _awaited(galleries.report)
    reviews = _awaited(galleries.reviews)
    confirm = _awaited(galleries.confirm)
    reject = _awaited(galleries.reject)
    ledger = _awaited(galleries.ledger)
    check_ledger = _awaited(galleries.check_ledger)
    ledger_key = _awaited(galleries.ledger_key)
    receipts = _awaited(galleries.receipts)

    def enrol_people(
        self,
        gallery: str,
        people: Sequence[ManifestPerson],
        *,
        concurrency: int = CONCURRENCY,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> AsyncIterator[ManifestOutcome]:
        """Do what `Galleries.enrol_people` does."""
        return enrol_people_async(self._client, gallery, people, concurrency, timeout_s)

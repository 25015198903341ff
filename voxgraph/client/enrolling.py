"""Enrolment of many people: some side by side, the recordings of one person one after the other.

What is asked is said here once, as a generator that yields questions and is sent their answers; a blocking
client and one for coroutines ask them, each in its way. A run that ended early is simply repeated: the server
knows the recordings again, so that nobody is enrolled twice.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from voxgraph.client import galleries
from voxgraph.client.errors import AccessDenied, Unreachable
from voxgraph.client.manifest import ManifestLine, ManifestPerson
from voxgraph.client.questions import Question
from voxgraph.errors import GalleryUnavailable, InvalidOptions, NotFound, VoxError
from voxgraph.options import DIARIZATION_DEADLINE_S
from voxgraph.results import Enrolment, SpeakerInfo

T = TypeVar("T")
CONCURRENCY = 4
FATAL = (AccessDenied, GalleryUnavailable, Unreachable)
"""Errors that all people would have: they end the run."""

Outcome = Literal["enrolled", "enrolled_before", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class ManifestOutcome:
    """What became of one line of a manifest."""

    line: ManifestLine
    outcome: Outcome
    """``enrolled_before``: in an earlier run. ``refused``: not past the gates. ``failed``: `error`."""
    enrolment: Enrolment | None = None
    error: VoxError | OSError | None = None

    @property
    def accepted(self) -> bool:
        """Whether the recording is a reference now."""
        return self.outcome in ("enrolled", "enrolled_before")


Steps = Generator[Question[Any], Any, list[ManifestOutcome]]


class Asking(Protocol):
    """A blocking client."""

    def ask(self, question: Question[T]) -> T:
        """Ask a question and return its answer."""
        ...


class AsyncAsking(Protocol):
    """A client for coroutines."""

    async def ask(self, question: Question[T]) -> T:
        """Ask a question and return its answer."""
        ...


def enrol_people(
    client: Asking,
    gallery: str,
    people: Sequence[ManifestPerson],
    concurrency: int = CONCURRENCY,
    timeout_s: float = DIARIZATION_DEADLINE_S,
) -> Iterator[ManifestOutcome]:
    """Enrol people by a client that threads may share; see `voxgraph.client.gallery_group`."""
    _check(concurrency)
    client.ask(galleries.show(gallery))
    with ThreadPoolExecutor(concurrency) as pool:
        running = [pool.submit(_driven, client, steps(gallery, each, timeout_s)) for each in people]
        try:
            for done in as_completed(running):
                yield from done.result()
        finally:
            for each in running:
                each.cancel()


async def enrol_people_async(
    client: AsyncAsking,
    gallery: str,
    people: Sequence[ManifestPerson],
    concurrency: int = CONCURRENCY,
    timeout_s: float = DIARIZATION_DEADLINE_S,
) -> AsyncIterator[ManifestOutcome]:
    """Do the same in coroutines."""
    _check(concurrency)
    await client.ask(galleries.show(gallery))
    free = asyncio.Semaphore(concurrency)

    async def enrol(person: ManifestPerson) -> list[ManifestOutcome]:
        async with free:
            return await _driven_async(client, steps(gallery, person, timeout_s))

    running = [asyncio.create_task(enrol(each)) for each in people]
    try:
        for done in asyncio.as_completed(running):
            for outcome in await done:
                yield outcome
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def steps(gallery: str, person: ManifestPerson, timeout_s: float) -> Steps:
    """Yield the questions that enrol one person; return what became of each line.

    An error of a question is thrown in; raises those of `FATAL`.
    """
    try:
        yield from _put(gallery, person)
    except FATAL:
        raise
    except VoxError as error:
        return [ManifestOutcome(line, "failed", error=error) for line in person.lines]
    outcomes = []
    for line in person.lines:
        asked = galleries.enrol(
            gallery, line.speaker, line.file, diarized_speaker=line.diarized_speaker, channel=line.channel,
            timeout_s=timeout_s,
        )  # fmt: skip
        try:
            enrolment: Enrolment = yield asked
        except FATAL:
            raise
        except (VoxError, OSError) as error:
            outcomes.append(ManifestOutcome(line, "failed", error=error))
        else:
            outcomes.append(ManifestOutcome(line, _outcome(enrolment), enrolment))
    return outcomes


def _put(gallery: str, person: ManifestPerson) -> Generator[Question[Any], Any, None]:
    """Make the person, or change what the manifest says otherwise; nothing where all is as it says."""
    said: dict[str, Any] = {"display_name": person.display_name, "consent": person.consent}
    given = {name: value for name, value in said.items() if value is not None}
    known: SpeakerInfo | None = None
    with suppress(NotFound):
        known = yield galleries.speaker(gallery, person.speaker)
    if known is None or known.state == "opted_out":  # Who opted out is refused there.
        yield galleries.put_speaker(gallery, person.speaker, **given)
        return
    changes = {name: value for name, value in given.items() if getattr(known, name) != value}
    if changes:
        yield galleries.change_speaker(gallery, person.speaker, changes)


def _outcome(enrolment: Enrolment) -> Outcome:
    if not enrolment.accepted:
        return "refused"
    return "enrolled_before" if enrolment.repeated else "enrolled"


def _driven(client: Asking, asked: Steps) -> list[ManifestOutcome]:
    answer, failed = None, None
    while True:
        try:
            question = asked.send(answer) if failed is None else asked.throw(failed)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        answer, failed = None, None
        try:
            answer = client.ask(question)
        except (VoxError, OSError) as error:
            failed = error


async def _driven_async(client: AsyncAsking, asked: Steps) -> list[ManifestOutcome]:
    answer, failed = None, None
    while True:
        try:
            question = asked.send(answer) if failed is None else asked.throw(failed)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        answer, failed = None, None
        try:
            answer = await client.ask(question)
        except (VoxError, OSError) as error:
            failed = error


def _check(concurrency: int) -> None:
    if concurrency < 1:
        raise InvalidOptions("At least one person is enrolled at a time.")

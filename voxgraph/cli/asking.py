"""Ask about many recordings, a few at a time, and hand the answers to a writer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import typer

from voxgraph.cli.arguments import Output, Where
from voxgraph.cli.exits import Exit, UsageError
from voxgraph.cli.inputs import Input, find_inputs
from voxgraph.cli.installed import of_service, starter_config
from voxgraph.cli.progress import Display, is_watched
from voxgraph.cli.writers import Writer, writer_for
from voxgraph.client import AsyncClient, events, questions
from voxgraph.client.errors import AccessDenied, Unreachable
from voxgraph.client.questions import Question
from voxgraph.errors import InvalidOptions, VoxError

Build = Callable[..., Question[Any]]

QUESTIONS: dict[str, Build] = {
    "analyze": questions.analyze,
    "language": questions.detect_language,
    "accent": questions.identify_accent,
    "deepfake": questions.detect_deepfake,
    "diarize": questions.diarize,
    "embed": questions.embed,
}
STREAMED: dict[str, Build] = {"analyze": questions.analyze_events, "diarize": questions.diarize_events}
"""Questions whose answers may take long, with their progress."""
LISTS = ("tasks", "languages")
LOCAL_TIMEOUT_S = 24 * 3600.0
"""Seconds for an answer of this process, which loads models first; nobody else waits for it."""
LOCAL_URL = "http://local"
FATAL = (AccessDenied, InvalidOptions, Unreachable, UsageError)
"""Errors that all recordings of a run would have."""


def ask(
    command: str,
    recordings: Sequence[str],
    options: Mapping[str, Any],
    where: Where,
    output: Output,
    plot: Path | None = None,
) -> None:
    """Ask about recordings and write the answers; end with `Exit.SOME_FAILED` if one has none.

    Raises:
        VoxError: The run cannot go on; see `FATAL`.
    """
    inputs = find_inputs(recordings)
    if plot is not None and len(inputs) != 1:
        raise UsageError(f"--plot draws one recording, not {len(inputs)}.")
    writer = writer_for(command, output, inputs)
    asked = [each for each in inputs if not writer.is_done(each)]
    with Display(len(asked), is_shown=is_watched(quiet=output.quiet)) as display:
        run = Run(command, asking_options(options, where), writer, display, plot)
        asyncio.run(run.ask_all(asked, where, output.concurrency))
    writer.close()
    if run.failed:
        raise typer.Exit(Exit.SOME_FAILED)


def compare_two(first: str, second: str, options: Mapping[str, Any], where: Where, output: Output) -> None:
    """Compare two recordings and write the answer."""
    one, other = (find_inputs([name]) for name in (first, second))
    if len(one) != 1 or len(other) != 1:
        raise UsageError("compare takes two recordings, not folders or patterns of several.")
    writer = writer_for("compare", output, one)

    async def answer() -> dict[str, Any]:
        async with connected(where) as client:
            question = questions.compare(
                one[0].recording(), other[0].recording(), **asking_options(options, where)
            )
            found: dict[str, Any] = await client.ask(question.as_json())
            return found

    writer.write(one[0], {"other_file": other[0].name, **asyncio.run(answer())})
    writer.close()


@dataclass
class Run:
    """One run of a command over its recordings."""

    command: str
    options: Mapping[str, Any]
    writer: Writer
    display: Display
    plot: Path | None = None
    failed: int = 0

    async def ask_all(self, inputs: Sequence[Input], where: Where, concurrency: int) -> None:
        """Ask about all recordings, `concurrency` at a time; raises the first error in `FATAL`."""
        waiting = iter(inputs)
        async with connected(where) as client:

            async def work() -> None:
                for recording in waiting:
                    await self._ask_one(client, recording)

            workers = [asyncio.create_task(work()) for _ in range(min(concurrency, len(inputs)))]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _ask_one(self, client: AsyncClient, recording: Input) -> None:
        self.display.start(recording.name)
        try:
            answer = await self._answer(client, recording)
        except FATAL:
            raise
        except VoxError as error:
            self._fail(recording, error.detail, error.code, error.request_id)
        except OSError as error:
            self._fail(recording, f"The file cannot be read: {error.strerror or error}.", "unreadable_file")
        else:
            self._write(recording, answer)
        finally:
            self.display.finish(recording.name)

    def _write(self, recording: Input, answer: dict[str, Any]) -> None:
        if self.plot is not None:
            from voxgraph.cli.plot import draw

            draw(answer, recording.name, self.plot)
        with self.display.hidden():
            self.writer.write(recording, answer)
        failures = answer.get("errors", {})
        self.failed += bool(failures)
        for task, error in failures.items():
            self.display.say(f"voxgraph: {recording.name}: {task}: {error['detail']}")

    async def _answer(self, client: AsyncClient, recording: Input) -> dict[str, Any]:
        """Return the server's JSON; of a streamed answer, what the JSON would have been.

        A task of an analysis that has no answer has its error there, under ``errors``.
        """
        if self.command not in STREAMED:
            question = QUESTIONS[self.command](recording.recording(), **self.options)
            whole: dict[str, Any] = await client.ask(question.as_json())
            return whole
        found: dict[str, Any] = {}
        async for line in client.stream(
            STREAMED[self.command](recording.recording(), **self.options).as_json()
        ):
            self._take(recording, line, found)
        return found

    def _take(self, recording: Input, line: Mapping[str, Any], found: dict[str, Any]) -> None:
        """Take one event of a streamed answer."""
        name, data = line["event"], line["data"]
        if name == "progress":
            self.display.advance(recording.name, data["task"], data["done_s"], data["audio_s"])
        elif name == "received":
            self.display.advance(recording.name, "", 0.0, data["audio_duration"])
        elif name == "task_error":
            found.setdefault("errors", {})[data["task"]] = data
        elif name == "error":
            events.event(line)  # raises it
        elif name == "done" or self.command == "diarize":
            found |= data
        else:
            found[name] = data

    def _fail(self, recording: Input, detail: str, code: str, request_id: str | None = None) -> None:
        self.failed += 1
        self.display.say(f"voxgraph: {recording.name}: {detail}")
        with self.display.hidden():
            self.writer.fail(recording, {"detail": detail, "code": code, "request_id": request_id})


def asking_options(options: Mapping[str, Any], where: Where) -> dict[str, Any]:
    """Return the options of a question, from those of the command line."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in LISTS:
        if name in given:
            given[name] = tuple(part.strip() for part in given[name].split(","))
    if where.timeout is not None or where.local:
        given["timeout_s"] = where.timeout or LOCAL_TIMEOUT_S
    return given


@asynccontextmanager
async def connected(where: Where) -> AsyncIterator[AsyncClient]:
    """Connect to the server, or to the application in this process."""
    with ExitStack() as stack:
        if where.local:
            serving = of_service("deployments.local:serving")
            settings = of_service("deployments.loading:read_settings")(where.config or starter_config())
            socket = stack.enter_context(serving(settings))
            client = AsyncClient(LOCAL_URL, transport=httpx2.AsyncHTTPTransport(uds=str(socket)))
        else:
            client = AsyncClient(where.url)
        async with client:
            yield client

"""Enrol the people of a manifest, and write what became of each line as CSV."""

import asyncio
import csv
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import typer

from voxgraph.cli.arguments import Where
from voxgraph.cli.asking import asking_options, connected
from voxgraph.cli.exits import Exit, UsageError
from voxgraph.cli.progress import Display, is_watched
from voxgraph.client.enrolling import ManifestOutcome
from voxgraph.client.manifest import ManifestPerson, read_manifest
from voxgraph.errors import VoxError

COLUMNS = (
    "line",
    "speaker",
    "file",
    "outcome",
    "reasons",
    "detail",
    "reference",
    "state",
    "remaining_speech_s",
)
WORDS = {
    "enrolled": "enrolled", "enrolled_before": "enrolled before", "refused": "refused", "failed": "failed",
}  # fmt: skip


def enrol_manifest(
    gallery: str, manifest: Path, report: Path | None, concurrency: int, where: Where, *, quiet: bool
) -> None:
    """Enrol everybody; end with `Exit.SOME_FAILED` if a recording was refused or failed.

    Raises:
        UsageError: A file cannot be read or written.
        VoxError: The run cannot go on; see `voxgraph.client.enrolling.FATAL`. It can be repeated.
    """
    try:
        people = read_manifest(manifest)
    except OSError as error:
        raise UsageError(f"{manifest} cannot be read: {error.strerror}.") from error
    with ExitStack() as stack:
        try:
            file = sys.stdout if report is None else stack.enter_context(open(report, "w", newline=""))
        except OSError as error:
            raise UsageError(f"{report} cannot be written: {error.strerror}.") from error
        lines = sum(len(each.lines) for each in people)
        display = stack.enter_context(Display(lines, is_shown=is_watched(quiet=quiet)))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)

        def take(outcome: ManifestOutcome) -> None:
            name = str(outcome.line.file)
            display.start(name)
            with display.hidden():
                writer.writerow(_row(outcome))
                file.flush()
            display.finish(name)

        counts = asyncio.run(_enrolled(gallery, people, concurrency, where, take))
    found = ", ".join(f"{counts[name]} {word}" for name, word in WORDS.items())
    typer.echo(f"{lines} recordings of {len(people)} people: {found}.", err=True)
    if counts["refused"] or counts["failed"]:
        raise typer.Exit(Exit.SOME_FAILED)


async def _enrolled(
    gallery: str,
    people: Sequence[ManifestPerson],
    concurrency: int,
    where: Where,
    take: Callable[[ManifestOutcome], None],
) -> Counter[str]:
    counts: Counter[str] = Counter()
    async with connected(where) as client:
        outcomes = client.galleries.enrol_people(
            gallery, people, concurrency=concurrency, **asking_options({}, where)
        )
        async for outcome in outcomes:
            counts[outcome.outcome] += 1
            take(outcome)
    return counts


def _row(outcome: ManifestOutcome) -> Sequence[object]:
    line, enrolment, error = outcome.line, outcome.enrolment, outcome.error
    codes, details = [], []
    if enrolment is not None:
        notes = (*enrolment.reasons, *enrolment.warnings)
        codes, details = [each.code for each in notes], [each.message for each in notes]
    elif isinstance(error, VoxError):
        codes, details = [error.code], [error.detail]
    elif error is not None:
        codes, details = ["unreadable_file"], [f"The file cannot be read: {error.strerror or error}."]
    speaker = None if enrolment is None else enrolment.speaker
    reference = None if enrolment is None else enrolment.reference
    return (
        line.line, line.speaker, line.file, outcome.outcome, ";".join(codes), " ".join(details),
        "" if reference is None else reference.id, "" if speaker is None else speaker.state,
        "" if speaker is None else speaker.remaining_speech_s,
    )  # fmt: skip

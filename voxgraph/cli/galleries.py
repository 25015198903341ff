"""Ask about galleries, and show the answers as tables or as the server's JSON."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import typer

from voxgraph.cli.arguments import Where
from voxgraph.cli.asking import asking_options, connected
from voxgraph.cli.exits import Exit, UsageError
from voxgraph.cli.gallery_tables import TABLES, print_table
from voxgraph.cli.inputs import Input, find_inputs
from voxgraph.cli.installed import of_service
from voxgraph.cli.tables import print_answer
from voxgraph.client import AsyncClient, galleries, gallery_answers
from voxgraph.client.questions import Question
from voxgraph.results import Consent, GalleryPolicy

T = TypeVar("T")
PAGE = 1000
"""Entries of a list that are asked for at a time."""


def show(
    question: str, named: Sequence[Any], options: Mapping[str, Any], where: Where, *, is_json: bool
) -> None:
    """Ask one question and print its answer."""
    _print(question, _fetch(_built(question, named, options, where), where), is_json=is_json)


def put_gallery(gallery: str, policy: Mapping[str, Any], where: Where, *, is_json: bool) -> None:
    """Create a gallery with what is given of a policy."""
    given = {name: value for name, value in policy.items() if value is not None}
    show("put", (gallery, GalleryPolicy(**given)), {}, where, is_json=is_json)


def show_all(
    question: str,
    field: str,
    named: Sequence[Any],
    options: Mapping[str, Any],
    where: Where,
    *,
    is_json: bool,
) -> None:
    """Print what a list has on all its pages; `field` of the answer is what it lists."""

    async def all_pages() -> list[Any]:
        async with connected(where) as client:
            return [one async for one in _listed(client, question, field, named, options, where)]

    _print(question, {field: asyncio.run(all_pages()), "after": None}, is_json=is_json)


def add_speaker(
    gallery: str,
    speaker: str,
    name: str | None,
    purposes: Sequence[str],
    expires: str | None,
    notice_uri: str | None,
    where: Where,
    *,
    is_json: bool,
) -> None:
    """Create a speaker; with purposes, the consent is given now.

    Raises:
        UsageError: The time is none, or the consent has details and no purpose.
    """
    if not purposes and (expires or notice_uri):
        raise UsageError("--expires and --notice-uri belong to a --consent.")
    consent = None
    if purposes:
        consent = Consent(
            tuple(purposes), datetime.now(UTC), None if expires is None else _time(expires), notice_uri
        )
    options = {"display_name": name, "consent": consent}
    show("put_speaker", (gallery, speaker), options, where, is_json=is_json)


def enrol_all(
    gallery: str,
    speaker: str,
    recordings: Sequence[str],
    options: Mapping[str, Any],
    where: Where,
    *,
    is_json: bool,
) -> None:
    """Enrol recordings one after the other; end with `Exit.SOME_FAILED` if one is refused."""
    inputs = find_inputs(recordings)

    async def enrol(client: AsyncClient, one: Input) -> bool:
        question = _built("enrol", (gallery, speaker, one.recording()), options, where)
        answer = await client.ask(_checked(question))
        _print("enrol", {"file": one.name, **answer}, is_json=is_json)
        return "reference" in answer

    async def enrol_each() -> bool:
        async with connected(where) as client:
            return all([await enrol(client, one) for one in inputs])

    if not asyncio.run(enrol_each()):
        raise typer.Exit(Exit.SOME_FAILED)


def decide(
    question: str, gallery: str, recording: str, options: Mapping[str, Any], where: Where, *, is_json: bool
) -> None:
    """Ask whose voice is in a recording; a claim that is not believed ends with `Exit.SOME_FAILED`."""
    (one,) = _only(find_inputs([recording]))
    answer = _fetch(_built(question, (gallery, one.recording()), options, where), where)
    if question == "identify_speakers" and not _wants_json(is_json):
        print_answer("diarize", one.name, answer)
    _print(question, answer, is_json=is_json)
    if question == "verify" and answer["decision"] != "match":
        raise typer.Exit(Exit.SOME_FAILED)


def erase(question: str, named: Sequence[str], where: Where, receipt: Path | None, *, is_meant: bool) -> None:
    """Erase, after a question to the person at the terminal, and print or write the receipt.

    Raises:
        UsageError: Nobody can be asked, and ``--yes`` is not given.
    """
    if not is_meant:
        if not sys.stdin.isatty():
            raise UsageError("This erases for good: say --yes.")
        typer.confirm(f"Erase {' '.join(named)} for good?", abort=True, err=True)
    text = json.dumps(_fetch(_built(question, named, {}, where), where), indent=2)
    if receipt is None:
        print(text)
    else:
        receipt.write_text(text + "\n")


def print_ledger(after: int, where: Where) -> None:
    """Print lines of the ledger."""

    async def print_all() -> None:
        async with connected(where) as client:
            async for entry in _entries(client, where, lambda question: question.as_json(), after):
                print(json.dumps(entry))

    asyncio.run(print_all())


def print_receipts(after: int, where: Where) -> None:
    """Print the receipts behind a line of the ledger."""

    async def print_all() -> None:
        async with connected(where) as client:
            options = {"after": after, "limit": PAGE}
            async for receipt in _listed(client, "receipts", "receipts", (), options, where):
                print(json.dumps(receipt))

    asyncio.run(print_all())


def verify_ledger(public_key: str | None, where: Where) -> None:
    """Verify the ledger in this process; end with `Exit.SOME_FAILED` if it is not whole."""
    check = of_service("gallery.ledger:verify_ledger")

    async def verified() -> Any:
        async with connected(where) as client:
            key = public_key or await client.ask(_built("ledger_key", (), {}, where))
            # Before the lines, so that a receipt of somebody who is erased meanwhile has its line.
            listed = _listed(client, "receipts", "receipts", (), {"limit": PAGE}, where)
            receipts = gallery_answers.receipts({"receipts": [one async for one in listed], "after": None})
            entries = [entry async for entry in _entries(client, where, lambda question: question, 0)]
            return check(entries, receipts.receipts, public_key=key)

    found = asyncio.run(verified())
    for problem in found.problems:
        print(problem)
    print(f"{found.entries} lines and {found.receipts} receipts: {'whole' if found.whole else 'NOT WHOLE'}.")
    if not found.whole:
        raise typer.Exit(Exit.SOME_FAILED)


async def _listed(
    client: AsyncClient,
    question: str,
    field: str,
    named: Sequence[Any],
    options: Mapping[str, Any],
    where: Where,
) -> AsyncIterator[Any]:
    """Yield what a list has, as JSON, page by page."""
    after = options.get("after")
    while True:
        built = _built(question, named, {**options, "after": after}, where)
        page = await client.ask(built.as_json())
        for one in page[field]:
            yield one
        if (after := page["after"]) is None:
            return


async def _entries(
    client: AsyncClient, where: Where, how: Callable[[Question[Any]], Question[Any]], after: int
) -> AsyncIterator[Any]:
    """Yield lines of the ledger, as records or as JSON, page by page."""
    while True:
        page = await client.ask(how(_built("ledger", (), {"after": after, "limit": PAGE}, where)))
        entries = page["entries"] if isinstance(page, dict) else page
        for entry in entries:
            yield entry
        if len(entries) < PAGE:
            return
        after = entries[-1]["seq"] if isinstance(page, dict) else entries[-1].seq


def _built(question: str, named: Sequence[Any], options: Mapping[str, Any], where: Where) -> Question[Any]:
    built: Question[Any] = getattr(galleries, question)(*named, **asking_options(options, where))
    return built


def _checked(question: Question[T]) -> Question[Any]:
    """Return the question with the server's JSON as its answer, and still with the errors of reading it."""

    def read(answer: Any) -> Any:
        question.parse(answer)
        return answer

    return question.reading(read)


def _fetch(question: Question[Any], where: Where) -> Any:
    async def answer() -> Any:
        async with connected(where) as client:
            return await client.ask(_checked(question))

    run: Coroutine[Any, Any, Any] = answer()
    return asyncio.run(run)


def _print(question: str, answer: Any, *, is_json: bool) -> None:
    if _wants_json(is_json) or question not in TABLES:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        print_table(question, answer)


def _wants_json(is_json: bool) -> bool:
    return is_json or not sys.stdout.isatty()


def _only(inputs: list[Input]) -> list[Input]:
    if len(inputs) != 1:
        raise UsageError("This takes one recording, not folders or patterns of several.")
    return inputs


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text} is no time; it looks like 2027-11-28T10:00:00Z.") from error
    return found if found.tzinfo else found.astimezone()

"""The state of a server, as a table or as its own JSON."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import typer
from rich.table import Table

from voxgraph.cli.arguments import Where
from voxgraph.cli.asking import asking_options, connected
from voxgraph.cli.console import stdout
from voxgraph.cli.exits import Exit
from voxgraph.client import questions
from voxgraph.client.questions import Question


def show_status(where: Where, *, is_json: bool) -> None:
    """Print the health of a server; end with `Exit.SOME_FAILED` if a model does not answer."""
    answer = fetch(questions.health(**asking_options({}, where)), where)
    if is_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        print_status(answer)
    if answer["status"] != "ok":
        raise typer.Exit(Exit.SOME_FAILED)


def print_openapi(where: Where) -> None:
    """Print the OpenAPI document of a server."""
    question = Question("/openapi.json", dict, method="GET", **asking_options({}, where))
    print(json.dumps(fetch(question, where), indent=2, ensure_ascii=False))


def fetch(question: Question[Any], where: Where) -> dict[str, Any]:
    """Return the JSON of an answer."""

    async def answer() -> dict[str, Any]:
        async with connected(where) as client:
            found: dict[str, Any] = await client.ask(question.as_json())
            return found

    return asyncio.run(answer())


def print_status(answer: Mapping[str, Any]) -> None:
    """Print which models answer, and why the others do not."""
    console = stdout()
    memory = f"{answer['memory_usage_mb'] / 1000:.1f} GB"
    state = f"{answer['status']}; checkpoints: {answer['checkpoints']}; memory: {memory}"
    console.print(f"voxgraph {answer['version']}: {state}")
    table = Table("model", "checkpoint", "source", "runs on", box=None, padding=(0, 2), pad_edge=False)
    for key, model in answer["models"].items():
        place = f"{model['device']}, {model['engine']}, {model['precision']}"
        table.add_row(key, model["hub_id"], model["source"], place)
    for key, reason in answer["failed"].items():
        table.add_row(key, reason, "-", "does not answer")
    console.print(table)
    if answer.get("notice"):
        console.print(answer["notice"])

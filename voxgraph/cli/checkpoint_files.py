"""What the commands about checkpoints print."""

from pathlib import Path

import typer
from rich.table import Table

from voxgraph.cli.console import stdout
from voxgraph.cli.exits import Exit
from voxgraph.cli.installed import of_service, starter_config

SHOWN_DIGITS = 12
"""Digits of a revision in the table."""


def print_list(config: Path | None) -> None:
    """Print what a configuration loads, and from where."""
    table = Table(
        "model", "checkpoint", "revision", "source", "licence", box=None, padding=(0, 2), pad_edge=False
    )
    for each in of_service("deployments.checkpoint_files:listed")(config or starter_config()):
        table.add_row(each.model, each.hub_id, each.revision[:SHOWN_DIGITS], each.source, each.licence)
    stdout().print(table)


def print_files(config: Path | None, *, may_download: bool) -> None:
    """Print the revision of each checkpoint as soon as it is verified, or what is wrong with it."""
    function = "pulled" if may_download else "verified"
    problems = 0
    for each in of_service(f"deployments.checkpoint_files:{function}")(config or starter_config()):
        print(f"{each.model}: {each.problem or each.revision}", flush=True)
        problems += bool(each.problem)
    if problems:
        raise typer.Exit(Exit.CHECKPOINTS)

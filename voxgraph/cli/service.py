"""Commands that run parts of the service: they need its packages, or a checkout of its repository."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    config: Annotated[
        Path | None, typer.Argument(help="Serve configuration file; by default the starter checkpoints.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Listen here instead of the port in the file.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Keep galleries of voices in this folder or PostgreSQL database.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to become healthy.")] = 600.0,
) -> None:
    """Serve the graph on this machine until Ctrl-C, as `python -m deployments` does.

    Example: voxgraph serve --port 8080
    """
    from voxgraph.cli.installed import run, starter_config

    arguments = [str(config or starter_config()), "--timeout", str(timeout)]
    arguments += [] if port is None else ["--port", str(port)]
    run("deployments.__main__:main", arguments + ([] if state is None else ["--state", state]))


def evaluate(context: typer.Context) -> None:
    """Measure answers on labelled recordings, as `python -m evaluation` does (in a checkout).

    Takes the arguments of `python -m evaluation`; --help lists them. Without --url and --config it asks the
    server of VOXGRAPH_URL, or http://127.0.0.1:8000.

    Example: voxgraph eval recordings/ --only language,diarization
    """
    from voxgraph.cli.installed import run
    from voxgraph.client.settings import server_url

    named = {argument.partition("=")[0] for argument in context.args} & {"--url", "--config"}
    where = [] if named else ["--url", server_url()]
    run("evaluation.__main__:main", [*where, *context.args], only_in_checkout=True)


def bench(context: typer.Context) -> None:
    """Compare the graph with naive servers, as `python -m benchmarks` does (in a checkout).

    Takes the arguments of `python -m benchmarks`; --help lists them.

    Example: voxgraph bench --only embedding-8
    """
    from voxgraph.cli.installed import run

    run("benchmarks.__main__:main", context.args, only_in_checkout=True)

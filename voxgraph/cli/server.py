"""Commands about a server, and about this machine."""

from typing import Annotated

import typer

from voxgraph.cli.arguments import Where, grouped

Json = Annotated[bool, typer.Option("--json", help="Print the server's JSON.")]


@grouped
def status(where: Where, json: Json = False) -> None:
    """Show which models answer, and where they run. Exit status 1 if one of them does not.

    Example: voxgraph status --url http://127.0.0.1:8000
    """
    from voxgraph.cli.health import show_status

    show_status(where, is_json=json)


@grouped
def openapi(where: Where) -> None:
    """Print the server's description of its interface (OpenAPI); --local prints that of this installation.

    Example: voxgraph openapi > openapi.json
    """
    from voxgraph.cli.health import print_openapi

    print_openapi(where)


@grouped
def doctor(where: Where) -> None:
    """Check this machine and the server, in plain words. Exit status 1 if something has to be done.

    Example: voxgraph doctor
    """
    from voxgraph.cli.doctor import examine

    examine(where)

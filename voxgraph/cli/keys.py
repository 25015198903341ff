"""Commands about the API keys in a file that a server reads."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="keys",
    help="Make, list and revoke API keys in a file that a server reads (keys_file).",
    rich_markup_mode=None,
    no_args_is_help=True,
)
File = Annotated[Path, typer.Option("--file", help="The file of the keys.")]
Name = Annotated[str, typer.Argument(help="Stands for the key in logs.")]


@app.command()
def new(
    name: Name,
    file: File,
    admin: Annotated[bool, typer.Option("--admin", help="Also clear the cache and delete files.")] = False,
    gallery: Annotated[bool, typer.Option("--gallery", help="Also use galleries of voices.")] = False,
    scores: Annotated[
        bool, typer.Option("--scores", help="Also see in figures how near voices of galleries are.")
    ] = False,
    tenant: Annotated[
        str | None, typer.Option(help="Whose galleries the key uses; by default its own name.")
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="No limit by default.")] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(help="Recordings in progress at a time, in the whole graph.")
    ] = None,
) -> None:
    """Make a key and show it, this once.

    Example: voxgraph keys new clinic --file keys.json --requests-per-minute 600
    """
    from voxgraph.keys import SCOPES, add_key

    chosen = {"ask": True, "admin": admin, "gallery": gallery, "scores": scores}
    scopes = [scope for scope in SCOPES if chosen[scope]]
    print(add_key(file, name, scopes, requests_per_minute, max_concurrent, tenant))
    typer.echo("This is the only time that the key is shown.", err=True)


@app.command("list")
def list_keys(file: File) -> None:
    """List the names, scopes and times of the keys.

    Example: voxgraph keys list --file keys.json
    """
    from voxgraph.keys import read_keys

    for key in read_keys(file):
        print(key.name, ",".join(key.scopes), key.created, sep="\t")


@app.command()
def revoke(name: Name, file: File) -> None:
    """Remove a key. Servers refuse it about a second later.

    Example: voxgraph keys revoke clinic --file keys.json
    """
    from voxgraph.keys import revoke_key

    revoke_key(file, name)

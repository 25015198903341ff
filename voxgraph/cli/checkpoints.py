"""Commands about checkpoints, for sites without a network."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="checkpoints",
    help="List, download and verify checkpoints (with the service installed).",
    rich_markup_mode=None,
    no_args_is_help=True,
)
Config = Annotated[
    Path | None, typer.Argument(help="Serve configuration file; by default the starter checkpoints.")
]


@app.command("list")
def list_checkpoints(config: Config = None) -> None:
    """List the checkpoints of a configuration: hub id, revision, licence.

    Example: voxgraph checkpoints list serve_config.yaml
    """
    from voxgraph.cli.checkpoint_files import print_list

    print_list(config)


@app.command()
def pull(config: Config = None) -> None:
    """Download the checkpoints of a configuration below HF_HOME, and verify them. Exit status 6 if one fails.

    Example: HF_HOME=/media/stick voxgraph checkpoints pull serve_config.yaml
    """
    from voxgraph.cli.checkpoint_files import print_files

    print_files(config, may_download=True)


@app.command()
def verify(config: Config = None) -> None:
    """Verify that the checkpoints of a configuration are here and whole, without a network.

    Example: HF_HOME=/media/stick voxgraph checkpoints verify serve_config.yaml
    """
    from voxgraph.cli.checkpoint_files import print_files

    print_files(config, may_download=False)

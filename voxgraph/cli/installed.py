"""What the command uses of the service, where that is installed. The client alone comes without it."""

import importlib.util
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from voxgraph.cli.exits import NotInstalled

CLIENT_ONLY = (
    "This needs the voxgraph service, and only its client is installed: use the environment of a checkout "
    "(make serve), or name a server with --url."
)
NO_CHECKOUT = "This works in a checkout of the voxgraph repository only: run it there, in its environment."


def of_service(name: str, message: str = CLIENT_ONLY) -> Any:
    """Return an object of the service by its name, ``module:object``.

    Raises:
        NotInstalled: The service, or a package that it needs, is not installed.
    """
    try:
        return pkgutil.resolve_name(name)
    except ModuleNotFoundError as error:
        raise NotInstalled(f"{message} (There is no module {error.name}.)") from error


def run(name: str, arguments: Sequence[str], *, only_in_checkout: bool = False) -> None:
    """Run a ``main`` of the service with arguments, and end with its exit status."""
    main = of_service(name, NO_CHECKOUT if only_in_checkout else CLIENT_ONLY)
    raise typer.Exit(main(arguments) or 0)


def starter_config() -> Path:
    """Return the configuration of the starter checkpoints; raises `NotInstalled` without the service."""
    found = importlib.util.find_spec("config")
    path = Path(found.origin).with_name("starter.yaml") if found and found.origin else None
    if path is None or not path.is_file():
        raise NotInstalled(CLIENT_ONLY)
    return path

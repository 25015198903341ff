"""Where tables are printed."""

import sys

from rich.console import Console

UNLIMITED_COLUMNS = 200
"""Width of a table that no terminal shows, such as one in a log."""


def stdout() -> Console:
    """Return a console that prints text as it is, as wide as the terminal."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else UNLIMITED_COLUMNS)

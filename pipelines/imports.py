"""Imports that a replica is spared: half of the time it takes to start is imports."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def spared(name: str, **attributes: object) -> Iterator[None]:
    """While the block runs, importing a module finds a stand-in; one that is imported already stays.

    For what a library imports without need, as nothing that it imports in the block may need it either.

    Args:
        name: Of the module.
        attributes: What the library imports from it; without any, importing the module fails.
    """
    if name in sys.modules:
        yield
        return
    stand_in = ModuleType(name)
    stand_in.__dict__.update(attributes)
    sys.modules[name] = stand_in if attributes else None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]

"""Importing libraries without what they import only for training, which nothing here does."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def stubbed_modules(modules: Mapping[str, Mapping[str, object]]) -> Iterator[None]:
    """While the block runs, importing these modules finds what is given here; real ones that are there stay.

    Args:
        modules: What each has, by its full name.
    """
    missing = [name for name in modules if name not in sys.modules]
    for name in missing:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(modules[name])
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]

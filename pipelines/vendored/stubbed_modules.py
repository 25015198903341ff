"""Import libraries without the modules that they import only for training."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def stubbed_modules(modules: Mapping[str, Mapping[str, object]]) -> Iterator[None]:
    """Put stubs into ``sys.modules`` within the block, except for modules already imported.

    `modules` has the attributes of each stub by the full name of its module.
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

"""Imports scripts of the repository that are not part of a package."""

import importlib.util
from types import ModuleType

from launched import ROOT


def load_script(path: str) -> ModuleType:
    """Import a file of the repository, e.g. ``deploy/drain.py``."""
    name = path.replace("/", "_").removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

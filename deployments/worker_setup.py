"""What every worker process of the local cluster does first."""

import importlib

from pipelines.imports import spared


def setup() -> None:
    """Import Serve, which every worker needs, without pandas, which it imports to encode frames in JSON."""
    with spared("pandas"):
        importlib.import_module("ray.serve")

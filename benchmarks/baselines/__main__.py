"""Run the naive server: ``python -m benchmarks.baselines FOLDER --models language ... --port 8100``."""

import argparse
import os
from pathlib import Path

# pyannote.audio sends usage telemetry unless this is set before it is imported.
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "false")

import uvicorn

from benchmarks.baselines.app import create_app
from config.settings import Size
from voxgraph.options import ModelKey


def main() -> None:
    """Load the models and serve until Ctrl-C, with torch's default number of threads."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines", description=__doc__)
    parser.add_argument("folder", type=Path, help="output of python -m benchmarks.checkpoints")
    parser.add_argument("--models", type=ModelKey, nargs="+", default=list(ModelKey), choices=list(ModelKey))
    parser.add_argument("--size", type=Size, default=Size.FULL, choices=list(Size))
    parser.add_argument("--port", type=int, default=8100)
    options = parser.parse_args()
    app = create_app(options.folder, options.models, options.size)
    uvicorn.run(app, host="127.0.0.1", port=options.port, access_log=False)


if __name__ == "__main__":
    main()

"""Analyse recordings by the running graph in a Ray job; print a line of JSON for each as it completes.

    ray job submit --address http://HEAD:8265 --working-dir examples -- \\
        python ray_job.py /recordings --tasks language speaker

The paths must exist on the machine where the job runs, for example a folder that every node mounts. At most
`--window` recordings are in flight, since each occupies the object store until it is answered.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ray

from config.settings import AudioLimits
from pipelines.audio import decode
from voxgraph.errors import Overloaded, VoxError
from voxgraph.handles import AsyncVoxgraph
from voxgraph.options import TASKS, Task

RETRY_AFTER_S = 1.0


def recordings(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the given files and all files below the given folders."""
    for path in paths:
        yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


async def answer(voxgraph: AsyncVoxgraph, path: Path, tasks: tuple[Task, ...]) -> dict[str, Any]:
    """Return the line for one recording: the results by task, or the error."""
    try:
        waveform = await asyncio.to_thread(lambda: decode(path.read_bytes(), AudioLimits()))
        while True:
            try:
                analysis = await voxgraph.analyze(waveform, tasks)
            except Overloaded:  # Other callers fill the graph; a job can wait.
                await asyncio.sleep(RETRY_AFTER_S)
            else:
                return {"file": str(path), **{task: getattr(analysis, task) for task in tasks}}
    except (VoxError, OSError) as error:
        return {"file": str(path), "error": getattr(error, "code", "unreadable"), "detail": str(error)}


async def answer_all(paths: Iterator[Path], tasks: tuple[Task, ...], window: int) -> int:
    """Print a line for each recording and return how many failed."""
    voxgraph = AsyncVoxgraph.connect()
    failed = 0

    async def worker() -> None:
        nonlocal failed
        for path in paths:  # All workers share one iterator.
            line = await answer(voxgraph, path, tasks)
            failed += "error" in line
            print(json.dumps(line, default=to_json), flush=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(window):
            group.create_task(worker())
    return failed


def to_json(value: Any) -> Any:
    """Convert a result to a dictionary and a vector to a list."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value.tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description="Analyse recordings with the graph of this cluster.")
    parser.add_argument("paths", nargs="+", type=Path, help="files and folders")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["language", "speaker"])
    parser.add_argument("--window", type=int, default=16, help="maximum number of recordings in flight")
    options = parser.parse_args()
    ray.init(address="auto", logging_level="warning", log_to_driver=False)
    failed = asyncio.run(answer_all(recordings(options.paths), tuple(options.tasks), options.window))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

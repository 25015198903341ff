"""A Ray job: what the running graph says of each recording, a line of JSON as each is ready.

    ray job submit --address http://HEAD:8265 --working-dir examples -- \\
        python ray_job.py /recordings --tasks language speaker

The paths are those of the machine where the job runs: a folder that every node mounts, say. No more than
`--window` recordings are under way at a time, since each lies in the object store for so long.
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

PAUSE_S = 1.0


def recordings(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that are named, and all files of the folders that are."""
    for path in paths:
        yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


async def answer(voxgraph: AsyncVoxgraph, path: Path, tasks: tuple[Task, ...]) -> dict[str, Any]:
    """What is printed of one recording: the answers by task, or the error."""
    try:
        waveform = await asyncio.to_thread(lambda: decode(path.read_bytes(), AudioLimits()))
        while True:
            try:
                analysis = await voxgraph.analyze(waveform, tasks)
            except Overloaded:  # by other callers; a job can wait
                await asyncio.sleep(PAUSE_S)
            else:
                return {"file": str(path), **{task: getattr(analysis, task) for task in tasks}}
    except (VoxError, OSError) as error:
        return {"file": str(path), "error": getattr(error, "code", "unreadable"), "detail": str(error)}


async def answer_all(paths: Iterator[Path], tasks: tuple[Task, ...], window: int) -> int:
    """Print a line for each recording; returns how many could not be answered."""
    voxgraph = AsyncVoxgraph.connect()
    failed = 0

    async def worker() -> None:
        nonlocal failed
        for path in paths:  # all workers take from the one iterator
            line = await answer(voxgraph, path, tasks)
            failed += "error" in line
            print(json.dumps(line, default=as_json), flush=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(window):
            group.create_task(worker())
    return failed


def as_json(value: Any) -> Any:
    """A result as a dictionary, a vector as a list."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value.tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description="Analyse recordings by the graph that runs in this cluster.")
    parser.add_argument("paths", nargs="+", type=Path, help="files and folders")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["language", "speaker"])
    parser.add_argument("--window", type=int, default=16, help="recordings under way at a time")
    options = parser.parse_args()
    ray.init(address="auto", logging_level="warning", log_to_driver=False)
    failed = asyncio.run(answer_all(recordings(options.paths), tuple(options.tasks), options.window))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

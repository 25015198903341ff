"""Write checkpoints with random weights: ``python -m benchmarks.checkpoints --size full --to DIR``.

Speed does not depend on the weights, so full-size random checkpoints suffice on a machine without hub access.
"""

import argparse
import shutil
from pathlib import Path

from config.settings import Size
from voxgraph.options import ModelKey


def ensure_checkpoint(key: ModelKey, size: Size, to: Path) -> Path:
    """Return the checkpoint's folder below `to`, writing it atomically if it does not exist yet."""
    folder = to / key
    if folder.is_dir():
        return folder
    # Imported here because the load generator imports this module and needs no torch.
    from training.layouts.writer import write_checkpoint

    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_checkpoint(key, size, unfinished)
    return unfinished.rename(folder)


def main() -> None:
    """Write the checkpoints selected on the command line, a folder per model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoints", description=__doc__)
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="create a folder per model here"
    )
    parser.add_argument("--model", type=ModelKey, choices=list(ModelKey), nargs="+", default=list(ModelKey))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from training.layouts.writer import write_checkpoint

    total = 0
    for model in options.model:
        folder = options.to / model
        write_checkpoint(model, options.size, folder, options.seed)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        total += size
        print(f"{model:25} {size / 1e6:8.1f} MB  {folder}", flush=True)
    print(f"{'total':25} {total / 1e6:8.1f} MB")


if __name__ == "__main__":
    main()

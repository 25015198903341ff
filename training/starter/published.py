"""The command line of the trainings that convert one published file into a starter checkpoint."""

import argparse
from collections.abc import Callable
from pathlib import Path

from config.checkpoint_types import CheckpointFile
from pipelines.checkpoints import STARTER_FOLDER, check_digest


def convert_published(
    convert: Callable[[Path, Path], None], published: CheckpointFile, starter: str, about: str | None
) -> None:
    """Check the file of the command line and convert it.

    Args:
        convert: From the published file and the output folder, which exists, to the checkpoint.
        published: Name and digest of the file.
        starter: Name of the starter checkpoint's folder, the default output.
        about: What the command says of itself.

    Raises:
        CheckpointError: The file has another digest.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--from", dest="published", type=Path, required=True, help=published.name)
    parser.add_argument("--to", type=Path, default=STARTER_FOLDER / starter)
    options = parser.parse_args()
    check_digest(options.published, published)
    options.to.mkdir(parents=True, exist_ok=True)
    convert(options.published, options.to)

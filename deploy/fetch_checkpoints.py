"""Download the checkpoints of a configuration file: ``python deploy/fetch_checkpoints.py [CONFIG]``.

Hub checkpoints are stored below ``HF_HOME`` at their pinned revisions. Existing ones are only verified; with
``HF_HUB_OFFLINE=1`` nothing is downloaded. ``voxgraph checkpoints pull`` does the same.
"""

import sys
from pathlib import Path

from deployments.checkpoint_files import pulled
from voxgraph.errors import VoxError


def main(config: str = "serve_config.yaml") -> int:
    """Locate every checkpoint and print its revision; return 1 at the first that is unavailable."""
    try:
        for found in pulled(Path(config)):
            if found.problem:
                print(found.problem, file=sys.stderr)
                return 1
            print(f"{found.model}: {found.revision}", flush=True)
    except VoxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

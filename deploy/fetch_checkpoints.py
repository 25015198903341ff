"""Download the checkpoints of a configuration file: ``python deploy/fetch_checkpoints.py [CONFIG | --lock]``.

Hub checkpoints are stored below ``HF_HOME`` at their pinned revisions. Existing ones are only verified; with
``HF_HUB_OFFLINE=1`` nothing is downloaded. ``voxgraph checkpoints pull`` does the same.
Every file is compared with its digest: that of the table, of ``checkpoints/starter/checkpoints.lock``, or of
its first download, which is recorded beside the hub's cache.

``--lock`` writes ``checkpoints.lock`` anew, after a starter checkpoint was trained.
"""

import sys
from pathlib import Path

from deployments.checkpoint_files import pulled
from pipelines.checkpoint_lock import LOCK, write_lock
from voxgraph.errors import VoxError


def main(config: str = "serve_config.yaml") -> int:
    """Locate every checkpoint and print its revision; return 1 at the first that is unavailable."""
    if config == "--lock":
        print(f"{write_lock()} digests are in {LOCK}")
        return 0
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

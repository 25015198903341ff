"""Bring the checkpoints of a configuration file onto this machine: ``python deploy/fetch_checkpoints.py``.

Those of the hub go to the folder that ``HF_HOME`` names, at their pinned revisions. What is there already is
not downloaded again, only checked; with ``HF_HUB_OFFLINE=1`` nothing is downloaded at all.
"""

import sys
from pathlib import Path

from config.settings import GraphSettings
from deployments.graph import served
from deployments.launch.launcher import LaunchFailed, read_config
from pipelines.checkpoints import locate
from voxgraph.errors import CheckpointError


def main(config: str = "serve_config.yaml") -> int:
    """Locate every checkpoint; 1 at the first that is not to be had."""
    try:
        (application,) = read_config(Path(config)).applications
        settings = GraphSettings.model_validate(application.args)
        for key in served(settings):
            print(f"{key}: {locate(key, settings.checkpoint(key)).revision}", flush=True)
    except (LaunchFailed, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

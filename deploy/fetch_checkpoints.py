"""Download the checkpoints of a configuration file: ``python deploy/fetch_checkpoints.py [CONFIG]``.

Hub checkpoints are stored below ``HF_HOME`` at their pinned revisions. Existing ones are only verified; with
``HF_HUB_OFFLINE=1`` nothing is downloaded.
"""

import sys
from pathlib import Path

from config.settings import GraphSettings
from deployments.launch.launcher import LaunchFailed, read_config
from deployments.loading import served_models
from pipelines.checkpoints import locate
from voxgraph.errors import CheckpointError


def main(config: str = "serve_config.yaml") -> int:
    """Locate every checkpoint and print its revision; return 1 at the first that is unavailable."""
    try:
        (application,) = read_config(Path(config)).applications
        settings = GraphSettings.model_validate(application.args)
        for key in served_models(settings):
            print(f"{key}: {locate(key, settings.checkpoint(key)).revision}", flush=True)
    except (LaunchFailed, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""``python -m deployments CONFIG``: serve a configuration file on this machine until Ctrl-C."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deployments.launch import environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve; return 0 after Ctrl-C, 1 if the graph did not become healthy."""
    parser = argparse.ArgumentParser(prog="python -m deployments", description=__doc__)
    parser.add_argument("config", type=Path, help="a Serve configuration file, e.g. config/starter.yaml")
    parser.add_argument("--port", type=int, help="listen here instead of the port in the file")
    parser.add_argument(
        "--state", help="keep galleries of voices in this folder, or in the PostgreSQL database of this URL"
    )
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds to become healthy")
    options = parser.parse_args(arguments)
    environment.apply(environment.DRIVER_ENVIRONMENT)
    # Imported only here, because it imports Ray, which reads those variables.
    from deployments.launch.configuration import LaunchFailed
    from deployments.launch.launcher import launch

    try:
        launch(options.config, port=options.port, state=options.state, timeout_s=options.timeout)
    except LaunchFailed as failure:
        print(f"voxgraph did not start: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

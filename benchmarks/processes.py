"""What processes are called, and where they may listen; without Ray."""

import re
import socket
from collections.abc import Sequence
from pathlib import Path


def kind_of(command: Sequence[str]) -> str:
    """What a process is, from its command line."""
    text = " ".join(command)
    if replica := re.search(r"ray::ServeReplica:\w+:(\w+)", text):
        return replica.group(1)
    if actor := re.search(r"ray::(\w+)", text):
        return actor.group(1)
    if module := re.search(r"-m (\S+)", text):
        return module.group(1)
    return Path(command[0]).name if command else "ended"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

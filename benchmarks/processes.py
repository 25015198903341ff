"""What processes are called; without Ray."""

import re
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

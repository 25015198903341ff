"""Names of the graph's processes; needs no Ray."""

import re
from collections.abc import Sequence
from pathlib import Path


def kind_of(command: Sequence[str]) -> str:
    """Return the kind of a process from its command line: deployment, actor, module or program."""
    text = " ".join(command)
    if replica := re.search(r"ray::ServeReplica:\w+:(\w+)", text):
        return replica.group(1)
    if actor := re.search(r"ray::(\w+)", text):
        return actor.group(1)
    if module := re.search(r"-m (\S+)", text):
        return module.group(1)
    return Path(command[0]).name if command else "ended"

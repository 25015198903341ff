"""Files of a cluster that no other user of the machine may read: sockets, logs, the token."""

import os
import resource
import stat
import tempfile
from pathlib import Path

TOKEN = Path("~/.ray/auth_token").expanduser()
"""The token of this user's clusters; Ray writes it, readable by whomever the umask lets."""
PRIVATE_UMASK = 0o077


def session_folder() -> Path:
    """Return the folder for the sockets and logs of this user's clusters, in a folder of this user alone.

    Ray itself opens the folders of its sessions to every user of the machine.

    Raises:
        OSError: There is something else, or a folder of another user, in its place.
    """
    outer = Path(tempfile.gettempdir()) / f"voxgraph-{os.getuid()}"
    outer.mkdir(mode=0o700, exist_ok=True)
    found = outer.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise OSError(f"{outer} is not a folder of this user.")
    outer.chmod(0o700)
    return outer / "ray"


def switch_off_core_dumps() -> None:
    """Keep a crash of this process, or of one that it starts, from writing a recording to a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def protect_token() -> None:
    """Take the rights of others on the token, if there is one already."""
    if TOKEN.exists():
        TOKEN.chmod(0o600)

"""Exit statuses of the command, and the errors that only it raises."""

from enum import IntEnum

from voxgraph.errors import CheckpointError, InvalidOptions, VoxError


class Exit(IntEnum):
    """What the exit status of the command means; docs/command.md lists them."""

    OK = 0
    """Everything was answered."""
    SOME_FAILED = 1
    """Something was not answered; the reason is on standard error."""
    USAGE = 2
    """The arguments are wrong."""
    UNREACHABLE = 3
    """The server cannot be reached."""
    ACCESS_DENIED = 4
    """The server refuses the API key, or asks for one."""
    NOT_INSTALLED = 5
    """The command needs a package that is not installed."""
    CHECKPOINTS = 6
    """A checkpoint is missing, or is not the one that it should be."""
    INTERRUPTED = 130
    """Ctrl-C; what the server was doing for this command has ended."""


class UsageError(VoxError, code="usage"):
    """The arguments are wrong."""


class NotInstalled(VoxError, code="not_installed"):
    """The command needs a package that is not installed."""


def status_of(error: VoxError) -> Exit:
    """Return the exit status of a command that ends by an error."""
    # Imported here because it imports httpx2.
    from voxgraph.client.errors import AccessDenied, Unreachable

    statuses: dict[type[VoxError], Exit] = {
        UsageError: Exit.USAGE,
        InvalidOptions: Exit.USAGE,
        Unreachable: Exit.UNREACHABLE,
        AccessDenied: Exit.ACCESS_DENIED,
        NotInstalled: Exit.NOT_INSTALLED,
        CheckpointError: Exit.CHECKPOINTS,
    }
    return next((status for kind, status in statuses.items() if isinstance(error, kind)), Exit.SOME_FAILED)

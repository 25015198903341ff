"""Client of the deployment `Gallery`."""

from typing import Any

from ray.serve.handle import DeploymentHandle

from voxgraph.calls import REPLICA_GONE, Deadline, attempt
from voxgraph.errors import DeadlineExceeded, GalleryUnavailable, ModelUnavailable

TIMEOUT_S = 30.0
LONG_TIMEOUT_S = 600.0
LONG_METHODS = frozenset({"calibrate", "duplicates"})
"""Methods that may compare every voice with every other."""


class GalleryClient:
    """Implements `deployments.galleries.GalleryStore`; `handle` is that of `deployments.state.gallery`.

    A call whose replica dies is not repeated: nobody knows whether it was done, and the same recording would
    be enrolled twice.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of `gallery.galleries.Galleries`.

        Raises:
            GalleryUnavailable: No replica answers, or not in time.
            VoxError: What the method raises.
        """
        deadline = Deadline.after(LONG_TIMEOUT_S if method in LONG_METHODS else TIMEOUT_S)
        try:
            return await attempt(lambda: self._handle.ask.remote(method, arguments, options), deadline)
        except REPLICA_GONE as error:
            raise GalleryUnavailable(
                "What keeps the galleries has stopped and is being replaced; this may have been done or not."
            ) from error
        except (ModelUnavailable, DeadlineExceeded) as error:
            raise GalleryUnavailable("What keeps the galleries does not answer; try again.") from error

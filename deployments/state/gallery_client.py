"""Client of the deployment `Gallery`."""

from collections.abc import Mapping
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.state.local_gallery import LONG_METHODS
from voxgraph.calls import REPLICA_GONE, Deadline, attempt, call
from voxgraph.errors import DeadlineExceeded, GalleryUnavailable, ModelUnavailable

TIMEOUT_S = 30.0
LONG_TIMEOUT_S = 600.0
READING_METHODS = frozenset(
    {
        "duplicates", "enrolled", "ledger", "list", "public_key", "receipts", "references", "reports",
        "reviews", "show", "speaker", "speakers", "verify_ledger",
    }
)  # fmt: skip
"""Methods that change nothing."""


class GalleryClient:
    """Implements `deployments.galleries.GalleryStore`; `handle` is that of `deployments.state.gallery`.

    A call whose replica dies is repeated if nothing comes of doing it twice: it only reads, enrols a
    recording that is known again, or reviews a decision. Of any other nobody knows whether it was done.
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
        make = call if _may_be_done_twice(method, options) else attempt
        try:
            return await make(lambda: self._handle.ask.remote(method, arguments, options), deadline)
        except REPLICA_GONE as error:
            raise GalleryUnavailable(
                "What keeps the galleries has stopped and is being replaced; this may have been done or not."
            ) from error
        except (ModelUnavailable, DeadlineExceeded) as error:
            raise GalleryUnavailable("What keeps the galleries does not answer; try again.") from error


def _may_be_done_twice(method: str, options: Mapping[str, Any]) -> bool:
    if method == "enrol":
        return options.get("content") is not None
    return method == "review" or method in READING_METHODS

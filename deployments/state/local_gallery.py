"""The galleries of voices in this process, asked by name. No Ray: `deployments.local`, and tests."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from voxgraph.errors import GalleryUnavailable
from voxgraph.results import Observation

if TYPE_CHECKING:
    from gallery.galleries import Galleries

log = logging.getLogger("ray.serve")

REOPEN_S = 2.0
"""Seconds between two attempts to open a store that did not answer."""
METHODS = frozenset(
    {
        "calibrate", "create", "delete", "duplicates", "enrol", "enrolled", "erase", "export", "identify",
        "ledger", "list", "merge", "opt_in", "opt_out", "patch_speaker", "public_key",
        "put_speaker", "receipts", "references", "remove_reference", "reports",
        "review", "reviews", "show", "speaker", "speakers", "update", "verify", "verify_ledger",
        "withdraw_consent",
    }
)  # fmt: skip
"""Methods of `gallery.galleries.Galleries` that may be called from elsewhere."""


LONG_METHODS = frozenset({"calibrate", "duplicates", "verify_ledger"})
"""Methods that compare every voice with every other, or verify every signature: one at a time, in a thread of
their own, so that however many are asked for, all other questions have threads."""


class LocalGallery:
    """Implements `deployments.galleries.GalleryStore` with galleries in this process.

    Args:
        galleries: Open galleries; None if they are still to be opened.
        opening: Opens them.
    """

    def __init__(
        self, galleries: "Galleries | None", opening: "Callable[[], Galleries] | None" = None
    ) -> None:
        self._galleries = galleries
        self._open = opening
        self._opening = threading.Lock()
        self._failed_at = -REOPEN_S
        self._encoders: frozenset[tuple[str, str]] | None = None
        self._long = ThreadPoolExecutor(1, "long")

    @classmethod
    def open(cls, state: str) -> "LocalGallery":
        """Open the store that `config.settings.GraphSettings.state` names.

        A database that does not answer is opened by a later question: the rest of a graph must not wait for
        it, and a database may start after the graph does.

        Raises:
            GalleryUnavailable: The store is there, and refuses to be opened as long as nobody changes that.
        """
        # Imported here: only the process that keeps the galleries needs a database and its libraries.
        from gallery.database import StoreUnreachable
        from gallery.galleries import Galleries

        opened = cls(None, lambda: Galleries(state))
        try:
            opened._opened()
        except StoreUnreachable as error:
            if error.is_refusal:
                raise GalleryUnavailable(f"{error.detail} {error.reason}") from None
            log.warning("The store of the galleries does not answer yet: %s", error.reason)
        return opened

    def sweep(self) -> int:
        """Erase who has expired; return how many speakers."""
        return self._opened().sweep()

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method in a thread; raises what it raises."""
        if method not in METHODS:
            raise GalleryUnavailable(f"Galleries have no method {method}.")
        asked = partial(self._ask, method, arguments, options)
        if method in LONG_METHODS:
            return await asyncio.get_running_loop().run_in_executor(self._long, asked)
        return await asyncio.to_thread(asked)

    def _ask(self, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        from gallery.database import StoreUnreachable

        try:
            galleries = self._opened()
            if method in ("verify", "identify"):
                galleries.tell_encoders(_encoders(arguments[-1] if method == "identify" else arguments[-1:]))
            found = getattr(galleries, method)
            return found(*arguments, **options) if callable(found) else found
        except StoreUnreachable as error:
            log.warning("The store of the galleries does not answer: %s", error.reason)
            # The caller learns no name of a host or a user.
            raise GalleryUnavailable(error.detail) from None

    def _opened(self) -> "Galleries":
        with self._opening:
            if self._galleries is None:
                # Whoever waited for an attempt of another thread must not wait for one more.
                if time.monotonic() - self._failed_at < REOPEN_S:
                    raise GalleryUnavailable("The store of the galleries does not answer; try again.")
                assert self._open is not None
                try:
                    self._galleries = self._open()
                    if self._encoders is not None:
                        self._galleries.tell_encoders(self._encoders)
                except BaseException:
                    self._failed_at = time.monotonic()
                    raise
            return self._galleries

    def tell_encoders(self, encoders: Iterable[tuple[str, str]]) -> None:
        """Take note of model and revision of the speaker encoders that the graph has now."""
        with self._opening:
            self._encoders = frozenset(encoders)
            if self._galleries is not None:
                self._galleries.tell_encoders(self._encoders)

    def close(self) -> None:
        """Close the store."""
        self._long.shutdown(wait=False)
        if self._galleries is not None:
            self._galleries.close()


def _encoders(asked: Iterable[Observation]) -> set[tuple[str, str]]:
    """Return which encoders the graph has now: a recording is embedded by all of them."""
    return {(sample.space.model, sample.space.revision) for each in asked for sample in each.samples}

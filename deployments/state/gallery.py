"""The galleries of voices: the deployment that keeps them, and the same in one process.

One replica writes. Its work is done in threads, so that a long one, such as a calibration, holds up nobody.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from deployments.replica.health import HeldHealthCheck
from deployments.replica.loopback import listen_on_loopback
from voxgraph.errors import GalleryUnavailable

if TYPE_CHECKING:
    from gallery.galleries import Galleries

log = logging.getLogger("ray.serve")

SWEEP_INTERVAL_S = 600.0
"""Seconds between two looks for speakers whose consent or time to live has run out."""
METHODS = frozenset(
    {
        "calibrate", "create", "delete", "duplicates", "enrol", "erase", "export", "identify",
        "ledger", "list", "merge", "opt_in", "opt_out", "patch_speaker", "public_key",
        "put_speaker", "receipts", "references", "remove_reference", "reports", "show", "speaker",
        "speakers", "update", "verify", "verify_ledger", "withdraw_consent",
    }
)  # fmt: skip
"""Methods of `gallery.galleries.Galleries` that may be called from elsewhere."""


class LocalGallery:
    """Implements `deployments.galleries.GalleryStore` with galleries in this process."""

    def __init__(self, galleries: "Galleries") -> None:
        self._galleries = galleries

    @classmethod
    def open(cls, state: str) -> "LocalGallery":
        """Open the store that `config.settings.GraphSettings.state` names."""
        # Imported here: only the process that keeps the galleries needs a database and its libraries.
        from gallery.galleries import Galleries

        return cls(Galleries(state))

    def sweep(self) -> int:
        """Erase who has expired; return how many speakers."""
        return self._galleries.sweep()

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method in a thread; raises what it raises."""
        if method not in METHODS:
            raise GalleryUnavailable(f"Galleries have no method {method}.")
        found = getattr(self._galleries, method)
        return await asyncio.to_thread(found, *arguments, **options) if callable(found) else found

    def close(self) -> None:
        """Close the store."""
        self._galleries.close()


class Gallery(HeldHealthCheck):
    """Keeps the galleries of the whole graph; `state` is `config.settings.GraphSettings.state`."""

    def __init__(self, state: str) -> None:
        listen_on_loopback()
        self._local = LocalGallery.open(state)
        self._sweeping: asyncio.Task[None] | None = None

    async def ask(self, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call a method of `gallery.galleries.Galleries`; raises what it raises."""
        return await self._local.ask(method, *arguments, **options)

    async def reconfigure(self, _user_config: dict[str, Any]) -> None:
        """Start to erase who has expired; Serve calls this after the constructor."""
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep_periodically())

    async def _sweep_periodically(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._local.sweep)
            except Exception:
                log.exception("The sweep of the galleries failed; it is tried again.")
            await asyncio.sleep(SWEEP_INTERVAL_S)

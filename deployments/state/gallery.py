"""The deployment that keeps the galleries of voices.

One replica writes. Its work is done in threads, so that a long one, such as a calibration, holds up nobody.
"""

import asyncio
import logging
from typing import Any

from deployments.replica.health import HeldHealthCheck
from deployments.replica.loopback import listen_on_loopback
from deployments.state.local_gallery import LocalGallery
from deployments.transport.metrics import GalleryMetrics

log = logging.getLogger("ray.serve")

SWEEP_INTERVAL_S = 600.0
"""Seconds between two looks for speakers whose consent or time to live has run out."""


class Gallery(HeldHealthCheck):
    """Keeps the galleries of the whole graph; `state` is `config.settings.GraphSettings.state`."""

    def __init__(self, state: str) -> None:
        listen_on_loopback()
        self._local = LocalGallery.open(state)
        self._metrics = GalleryMetrics()
        self._sweeping: asyncio.Task[None] | None = None

    async def ask(self, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call a method of `gallery.galleries.Galleries`; raises what it raises."""
        found = await self._local.ask(method, *arguments, **options)
        if method in ("verify", "identify"):
            for decided in found if method == "identify" else (found,):
                self._metrics.record(method, decided.decision)
        return found

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

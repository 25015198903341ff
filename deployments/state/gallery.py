"""The deployment that keeps the galleries of voices.

One replica writes. Its work is done in threads, so that a long one, such as a calibration, holds up nobody.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.replica.health import HeldHealthCheck
from deployments.replica.loopback import listen_on_loopback
from deployments.state.local_gallery import LocalGallery
from deployments.transport.clips import ModelHandle
from deployments.transport.metrics import GalleryMetrics
from deployments.transport.model_info import ModelInfoCache
from voxgraph.errors import VoxError
from voxgraph.options import ModelKey

log = logging.getLogger("ray.serve")

SWEEP_INTERVAL_S = 600.0
"""Seconds between two looks for speakers whose consent or time to live has run out."""
ENCODERS_INTERVAL_S = 2.0
"""Seconds between two questions to speaker encoders that have not answered yet which they are."""


class Gallery(HeldHealthCheck):
    """Keeps the galleries of the whole graph.

    Args:
        state: `config.settings.GraphSettings.state`.
        encoders: The speaker encoders, which say whose voices are of an encoder that is gone.
    """

    def __init__(self, state: str, encoders: Mapping[ModelKey, DeploymentHandle] | None = None) -> None:
        listen_on_loopback()
        self._local = LocalGallery.open(state)
        self._infos = ModelInfoCache({key: ModelHandle(handle) for key, handle in (encoders or {}).items()})
        self._encoders = tuple(encoders or ())
        self._has_asked = not self._encoders
        self._metrics = GalleryMetrics()
        self._tasks: list[asyncio.Task[None]] = []

    async def ask(self, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call a method of `gallery.galleries.Galleries`; raises what it raises."""
        if not self._has_asked:
            # So that the first answer knows already whose voices are stale.
            self._has_asked = True
            await self._ask_encoders()
        found = await self._local.ask(method, *arguments, **options)
        if method in ("verify", "identify"):
            for decided in found if method == "identify" else (found,):
                self._metrics.record(method, decided.decision)
        return found

    async def reconfigure(self, _user_config: dict[str, Any]) -> None:
        """Start to erase who has expired; Serve calls this after the constructor."""
        if not self._tasks:
            self._tasks.append(asyncio.create_task(self._sweep_periodically()))
            if self._encoders:
                self._tasks.append(asyncio.create_task(self._ask_encoders_periodically()))

    async def _sweep_periodically(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._local.sweep)
            except Exception:
                log.exception("The sweep of the galleries failed; it is tried again.")
            await asyncio.sleep(SWEEP_INTERVAL_S)

    async def _ask_encoders(self) -> bool:
        """Learn which speaker encoders the graph has; return whether all have said so."""
        try:
            found = [await self._infos.get(key) for key in self._encoders]
        except VoxError:
            return False
        self._local.tell_encoders({(info.hub_id, info.revision) for info in found})
        return True

    async def _ask_encoders_periodically(self) -> None:
        while True:
            is_known = await self._ask_encoders()
            await asyncio.sleep(SWEEP_INTERVAL_S if is_known else ENCODERS_INTERVAL_S)

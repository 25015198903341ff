"""Leases: what is held in another process only as long as its holder says so. No Ray."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

RENEWAL_INTERVAL_S = 3.0
"""Seconds between two renewals of a lease."""


@contextlib.asynccontextmanager
async def keep_renewed(renew: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    """Renew a lease periodically until the block ends; failed renewals are ignored."""

    async def renew_periodically() -> None:
        while True:
            await asyncio.sleep(RENEWAL_INTERVAL_S)
            with contextlib.suppress(Exception):
                await renew()

    task = asyncio.create_task(renew_periodically())
    try:
        yield
    finally:
        task.cancel()

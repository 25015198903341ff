"""Health checks that are held open, so that Serve's controller notices the death of a replica at once."""

import asyncio

HEALTH_HOLD_S = 0.9
"""Seconds that a check is held; the period is 1 s (`health_check_period_s` in `deployments.graph`)."""


class HeldHealthCheck:
    """Base class of a deployment whose health checks last almost until the next one.

    The controller checks each replica once per period and learns of a death from a call that fails. If checks
    returned at once, it would learn of a death only at the next check, half a period later on average.
    """

    _was_checked = False

    async def check_health(self) -> None:
        """Return after `HEALTH_HOLD_S`, but at once the first time: Serve waits for the first check."""
        if self._was_checked:
            await asyncio.sleep(HEALTH_HOLD_S)
        self._was_checked = True

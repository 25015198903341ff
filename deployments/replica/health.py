"""How Serve's controller learns that a replica's process has died: by a health check that is under way."""

import asyncio

HEALTH_HOLD_S = 0.9
"""Of the second between two checks (`health_check_period_s` in `deployments.graph`)."""


class HeldHealthCheck:
    """A deployment whose health checks last almost until the next one.

    The controller asks each replica once a period and finds out about a death by a call that fails: a call
    that was answered at once would leave it unaware until it asks again, half a period on average.
    """

    _was_checked = False

    async def check_health(self) -> None:
        """Answer after `HEALTH_HOLD_S`; at once the first time, when Serve waits for the answer."""
        if self._was_checked:
            await asyncio.sleep(HEALTH_HOLD_S)
        self._was_checked = True

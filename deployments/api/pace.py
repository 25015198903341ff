"""How soon a refused client should come back, from how long recordings have taken here."""

import math

SMOOTHING = 0.1
"""Weight of the newest recording in the mean of the time that recordings take."""
MAX_RETRY_AFTER_S = 60
MIN_RETRY_AFTER_S = 1


class Pace:
    """Estimates when a place will be free for a client that is refused now.

    Refused clients are counted as if they stood in a queue, from which each finished recording lets one out.
    Therefore a thousand clients that are refused at the same moment do not all come back a second later.
    """

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._refused = 0.0

    def finish(self, seconds: float) -> None:
        """Take in the time that one recording took, from its first byte to its answer."""
        mean = seconds if self._mean_s is None else self._mean_s
        self._mean_s = mean + SMOOTHING * (seconds - mean)
        self._refused = max(0.0, self._refused - 1)

    def refuse(self, running: int) -> int:
        """Return the seconds, 1 to 60, after which to retry, with `running` recordings in progress."""
        self._refused += 1
        seconds = self._refused * (self._mean_s or 0.0) / max(running, 1)
        return min(max(math.ceil(seconds), MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)

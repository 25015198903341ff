"""What API keys use of their limits. No Ray."""

import time
from collections.abc import Callable, Iterable

from deployments.state.places import Places
from deployments.state.rates import Rates
from voxgraph.graph import KeyUse


class KeyLimits:
    """Counts the requests and the recordings in progress of keys; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._places = Rates(), Places(clock)

    def use(self, key: str, per_minute: int | None, at_a_time: int | None, lease: str) -> KeyUse:
        """Count a request, and take a place for its recording unless the rate refuses it.

        Args:
            key: The hash of the key.
            per_minute: Requests a minute; None: no limit.
            at_a_time: Recordings in progress; None: no limit, or the request has no recording.
            lease: An id for the place, by which it is renewed and given back.
        """
        requests_left, wait_s = (None, 0.0) if per_minute is None else self._rates.take(key, per_minute)
        if at_a_time is None or wait_s:
            return KeyUse(requests_left, wait_s)
        places_left = self._places.take(key, at_a_time, lease)
        return KeyUse(requests_left, wait_s, places_left, has_place=places_left is not None)

    def renew(self, leases: Iterable[tuple[str, str]]) -> None:
        """Keep places, named by key and lease."""
        self._places.renew(leases)

    def give_back(self, leases: Iterable[tuple[str, str]]) -> None:
        """Give places back, named by key and lease."""
        for key, lease in leases:
            self._places.give_back(key, lease)

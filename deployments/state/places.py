"""Recordings in progress of API keys, counted for the whole graph by `GraphState`."""

import time
from collections.abc import Callable, Iterable

LEASE_S = 10.0
"""Seconds after which a lease expires if it is not renewed: a dead ingress replica gives its places back."""


class Places:
    """Leases of each key's places; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._leases: dict[str, dict[str, float]] = {}
        """When each lease of each key expires."""

    def take(self, key: str, most: int, lease: str) -> int | None:
        """Take a place; return how many of the key's are left, or None if it has none.

        Args:
            key: The hash of the key.
            most: Places that the key has now.
            lease: An id that its holder has chosen; the same one takes no second place.
        """
        now = self._clock()
        held = {each: end for each, end in self._leases.get(key, {}).items() if end > now}
        if lease in held or len(held) < most:
            held[lease] = now + LEASE_S
        self._leases[key] = held
        return max(0, most - len(held)) if lease in held else None

    def renew(self, leases: Iterable[tuple[str, str]]) -> None:
        """Extend leases, as key and lease; an expired one stays expired."""
        now = self._clock()
        for key, lease in leases:
            held = self._leases.get(key, {})
            if held.get(lease, now) > now:
                held[lease] = now + LEASE_S

    def give_back(self, key: str, lease: str) -> None:
        """Give a place back; do nothing if the lease has expired."""
        held = self._leases.get(key, {})
        held.pop(lease, None)
        if not held:
            self._leases.pop(key, None)

"""Requests of API keys against their rates, counted for the whole graph by `GraphState`."""

from typing import Any


class Rates:
    """Counts the requests of each key. A key's limit is that of its present version."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, int], Any] = {}

    def take(self, key: str, per_minute: int) -> tuple[int, float]:
        """Count one request; return how many more may follow at once, and the seconds until it may come.

        The seconds are 0 for a request that is let in.

        Args:
            key: The hash of the key.
            per_minute: Requests a minute, also as one burst.
        """
        # Imported here, because without a rate nothing needs it.
        from pyrate_limiter import Duration, Rate, RateItem, StateBucket

        name = key, per_minute
        if name not in self._buckets:
            self._buckets = {known: each for known, each in self._buckets.items() if known[0] != key}
            self._buckets[name] = StateBucket([Rate(per_minute, Duration.MINUTE)])
        bucket = self._buckets[name]
        item = RateItem(key, bucket.now())
        wait_s = 0.0 if bucket.put(item) else max(bucket.waiting(item), 1) / 1000
        return max(0, per_minute - int(bucket.count())), wait_s

"""Answers of the whole graph, kept for who asks the same again; what is being computed is waited for.

One replica serves all ingress replicas, so that two identical uploads are computed once wherever they
arrive. It holds answers, never audio: a key is a digest.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from config.settings import CacheTunables
from deployments.leases import Leases
from deployments.watched import Watched

LOOK_S = 1.0
"""Seconds after which `take` answers at the latest: whom it keeps longer cannot tell it from a dead one."""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """As functools.lru_cache counts."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The value, or the lease under which the caller is to compute it, or neither."""

    value: Any = None
    lease: str | None = None
    pending: bool = False
    """Somebody is computing it still: ask again."""
    apart: bool = False
    """There is a value, which was put to be fetched apart."""


@dataclass(frozen=True, slots=True)
class Put:
    """An answer to keep."""

    lease: str
    """Of `Cache.take`; under one that lapsed the answer is as good as any other."""
    value: Any
    """Not None."""
    apart: bool = False
    """Whether `Cache.take` only says that it is there: it is too large for the way that answers take."""


class Cache(Watched):
    """Least recently used answers.

    Call `take` until it is not pending; with a lease in hand compute and `put`, or `give_up`. A lease lapses
    unless it is renewed, and then the next in line computes.
    """

    def __init__(self, leases: Leases | None = None) -> None:
        self._tunables = CacheTunables()
        self._leases = leases or Leases()
        self._values: OrderedDict[str, tuple[Any, bool]] = OrderedDict()
        """And whether each is fetched apart."""
        self._keys: dict[str, str] = {}
        """Of each lease."""
        self._pending: dict[str, asyncio.Future[Taken | None]] = {}
        """What a computation ends with, or None where it failed."""
        self._hits = 0
        self._misses = 0

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new size; what is over goes, the oldest first."""
        self._tunables = CacheTunables.model_validate(user_config)
        self._trim()

    async def take(self, key: str, *puts: Put, wait: bool = True) -> Taken:
        """The value of a key, waited for a while where somebody computes it, or a lease to compute it.

        Args:
            key: Of the question.
            puts: Answers to other questions that come along, to save a call.
            wait: For who computes it; else that is said at once.
        """
        self._keep(puts)
        end = asyncio.get_running_loop().time() + (LOOK_S if wait else 0.0)
        while True:
            if key in self._values:
                self._values.move_to_end(key)
                self._hits += 1
                return _taken(*self._values[key])
            self._lapse()
            if key not in self._pending:
                return Taken(lease=self._lease(key))
            left_s = max(0.0, end - asyncio.get_running_loop().time())
            done, _ = await asyncio.wait([self._pending[key]], timeout=left_s)
            if not done:
                return Taken(pending=True)
            if (taken := done.pop().result()) is not None:
                self._hits += 1
                return taken

    async def renew(self, lease: str) -> None:
        """Say that the computation goes on."""
        self._leases.renew(lease)

    async def fetch(self, key: str) -> Any:
        """A value that was put to be fetched apart; None where it is there no more."""
        value, _ = self._values.get(key, (None, True))
        return value

    async def put(self, *puts: Put) -> None:
        """Keep what was computed."""
        self._keep(puts)

    async def give_up(self, lease: str) -> None:
        """Let the next in line compute."""
        self._end(lease)

    async def clear(self) -> CacheInfo:
        """Forget every answer and count anew; what is being computed goes on."""
        before = self._info()
        self._values.clear()
        self._hits = self._misses = 0
        return before

    async def info(self) -> CacheInfo:
        """What it did since it was cleared."""
        return self._info()

    def _info(self) -> CacheInfo:
        return CacheInfo(self._hits, self._misses, self._tunables.max_entries, len(self._values))

    def _keep(self, puts: Sequence[Put]) -> None:
        for put in puts:
            key = self._keys.get(put.lease)
            if key is None:
                continue
            if self._tunables.max_entries:
                self._values[key] = put.value, put.apart
                self._trim()
            self._end(put.lease, _taken(put.value, put.apart))

    def _lease(self, key: str) -> str:
        self._misses += 1
        lease = self._leases.grant()
        self._keys[lease] = key
        self._pending[key] = asyncio.get_running_loop().create_future()
        return lease

    def _lapse(self) -> None:
        for lease in self._leases.lapse():
            self._end(lease)

    def _end(self, lease: str, taken: Taken | None = None) -> None:
        self._leases.end(lease)
        key = self._keys.pop(lease, None)
        if key is not None:
            self._pending.pop(key).set_result(taken)

    def _trim(self) -> None:
        while len(self._values) > self._tunables.max_entries:
            self._values.popitem(last=False)


def _taken(value: Any, apart: bool) -> Taken:
    return Taken(apart=True) if apart else Taken(value)

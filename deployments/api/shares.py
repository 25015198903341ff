"""Divide what a replica has between its clients, so that one client cannot take all of it.

A client is a key, or an address where there is none. Clients on this machine that send no key have no share
of their own: whoever runs programs here has other means.
"""

import ipaddress
import threading
from collections import Counter

from starlette.types import Scope

from voxgraph.errors import Overloaded, RateLimited

IPV6_PREFIX = 64
"""Bits of an IPv6 address that name a client: one customer of a provider has all addresses that begin so."""


def client_of(scope: Scope) -> str | None:
    """Return the name of the client of a request, or None for a program on this machine without a key."""
    key: str | None = scope.get("state", {}).get("key_name")
    if key is not None:
        return f"key {key}"
    address = address_of(scope)
    if address is None or address.is_loopback:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def address_of(scope: Scope) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of the client, or None for one that has none, such as a Unix socket's."""
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0]) if client else None
    except ValueError:
        # A proxy may forward a name, or "unknown".
        return ipaddress.IPv4Address(0)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


class SharedBudget:
    """An amount that all clients share. Thread-safe.

    Args:
        total: The amount.
        share: Part of it that one client may hold, 0 to 1.
        at_least: What a client may always hold beside that, so that a single large request is not refused.
        kept: What only small requests may hold.
    """

    def __init__(self, total: int, share: float = 1.0, *, at_least: int = 0, kept: int = 0) -> None:
        self._free = max(total, at_least)
        self._share = max(int(share * self._free), at_least)
        self._kept = kept
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """What nobody holds."""
        return self._free

    def acquire(
        self, amount: int, client: str | None = None, what: str = "requests", *, small: bool = False
    ) -> None:
        """Take an amount for a client; `what` is its name in the plural for the message of an error.

        Raises:
            RateLimited: The client holds its share.
            Overloaded: Others hold the rest.
        """
        with self._lock:
            if client is not None and self._held[client] + amount > self._share:
                raise RateLimited(f"Your other {what} take your share of the memory; wait for their answers.")
            if amount > self._free - (0 if small else self._kept):
                raise Overloaded(f"Other {what} leave no memory for this one; try again in a moment.")
            self._free -= amount
            if client is not None:
                self._held[client] += amount

    def release(self, amount: int, client: str | None = None) -> None:
        """Return an amount."""
        with self._lock:
            self._free += amount
            if client is not None:
                self._held[client] -= amount
                if self._held[client] <= 0:
                    del self._held[client]

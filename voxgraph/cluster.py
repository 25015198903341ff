"""Let a program join a Ray cluster that is on the loopback, such as that of ``make serve``.

Ray takes the address of a network interface for that of this machine, which such a cluster does not know: the
program would wait for its node until it gives up.
"""

import ipaddress
import os
import sys

ADDRESS = "RAY_ADDRESS"
SEVERAL_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Environment variable of Ray: with ``0`` it takes 127.0.0.1 for the address of this machine, as it does by
default on other systems than Linux, so that its processes listen on the loopback. Ray reads it when it is
imported."""


def prepare_for_loopback() -> None:
    """Have Ray join a cluster on the loopback if ``RAY_ADDRESS`` is there; call it before ``ray.init``.

    A value of `SEVERAL_MACHINES` that is already set stays. Ray may have been imported before.
    """
    if SEVERAL_MACHINES in os.environ or not _is_loopback(os.environ.get(ADDRESS, "")):
        return
    os.environ[SEVERAL_MACHINES] = "0"
    constants = sys.modules.get("ray._private.ray_constants")
    if constants is not None:
        constants.ENABLE_RAY_CLUSTER = False  # type: ignore[attr-defined]  # What Ray has read from it.


def _is_loopback(address: str) -> bool:
    """Whether an address with a port, without a scheme, is of this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""How much slower a good client may become beside a hostile one."""

SLOWER = 3.0
"""By how much the slowest of its requests may become slower, in the 95th or 99th percentile."""
FLOOR_S = 0.15
"""Latency below which nobody minds: such a percentile of few requests on a busy machine is no better."""
TRIES = 3
"""How often it is measured until it holds: a machine that stalls makes a percentile longer, too."""


def most_s(alone_s: float) -> float:
    """Return the most seconds that a percentile may have, given that of the client alone."""
    return max(SLOWER * alone_s, FLOOR_S)

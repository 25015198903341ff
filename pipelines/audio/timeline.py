"""Place decoded frames by their timestamps, so that every second of an answer can be found in a player."""

from dataclasses import dataclass

TOLERANCE_S = 0.015
"""Difference between a timestamp and the samples before it up to which the frame follows them directly.
Timestamps of Matroska are whole milliseconds, and those of recorders in browsers tremble by some."""
RESTART_S = 0.5
"""Step back of the timestamps from which on they have started again, as in streams that were joined. A
smaller one is an overlap, of which the samples that are there already are left out, as players do."""
MAX_LATE_START_S = 60.0
"""Start of a file's earliest stream up to which time 0 is that of its timestamps. A later start is the clock
of a live stream, and time 0 is its start."""


def zero_of(start_s: float | None) -> float:
    """Return the timestamp of the recording's time 0.

    Args:
        start_s: Timestamp in seconds at which the earliest stream of the file starts; None if unknown.
    """
    if start_s is None or 0.0 <= start_s <= MAX_LATE_START_S:
        return 0.0
    return start_s


@dataclass(slots=True)
class Placement:
    """Where a frame goes."""

    silence_s: float = 0.0
    """Seconds of silence before it."""
    dropped_s: float = 0.0
    """Seconds at its start that are left out."""


class Timeline:
    """Follows the timestamps of one stream.

    Args:
        zero_s: Timestamp of the recording's time 0; see `zero_of`.
    """

    def __init__(self, zero_s: float) -> None:
        self._zero_s = zero_s
        self.position_s = 0.0
        """Seconds of the recording so far, silence included."""
        self._has_restarted = False

    def moved(self, at_s: float) -> float:
        """Return the time of the recording at a timestamp; 0.0 if the timestamps have started again."""
        return 0.0 if self._has_restarted else at_s - self._zero_s

    def place(self, at_s: float | None, seconds: float) -> Placement:
        """Place the next frame and move on behind it.

        Args:
            at_s: Timestamp in seconds; None: directly behind the frame before.
            seconds: Duration of the frame.
        """
        placement = Placement()
        late_s = 0.0 if at_s is None else at_s - self._zero_s - self.position_s
        if late_s > TOLERANCE_S:
            placement.silence_s = late_s
        elif late_s < -RESTART_S:
            self._zero_s += late_s
            self._has_restarted = True
        elif late_s < -TOLERANCE_S:
            placement.dropped_s = min(-late_s, seconds)
        self.position_s += placement.silence_s + seconds - placement.dropped_s
        return placement

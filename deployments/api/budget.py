"""How much decoded audio one replica has in hand: a small file may hold hours.

Before it lies in memory, audio is taken from what all requests share; it is given back when nobody needs the
recording any more.
"""

import math
import threading

from config.settings import AudioLimits
from pipelines.audio.decoding import decode
from voxgraph.errors import Overloaded
from voxgraph.results import SAMPLE_RATE_HZ, Waveform


class DecodedAudioBudget:
    """Samples of decoded audio that may be taken. For threads."""

    def __init__(self, limits: AudioLimits) -> None:
        self._left = _samples(max(limits.max_decoded_s, limits.max_audio_s))
        self._lock = threading.Lock()

    def take(self, samples: int) -> None:
        """Have so many.

        Raises:
            Overloaded: There are fewer left.
        """
        with self._lock:
            if samples > self._left:
                raise Overloaded("The recordings in hand leave no room for this one; try again in a moment.")
            self._left -= samples

    def give_back(self, samples: int) -> None:
        """Let others have them."""
        with self._lock:
            self._left += samples


class Reservation:
    """What one request has of a budget. For threads, the last of which may end after the request."""

    def __init__(self, budget: DecodedAudioBudget) -> None:
        self._budget = budget
        self._kept = 0
        self._closed = False
        self._lock = threading.Lock()

    def decode(self, data: bytes, limits: AudioLimits) -> Waveform:
        """As `pipelines.audio.decoding.decode`; the waveform counts until it is let go.

        Raises:
            Overloaded: It is longer than what is left.
        """
        taken = 0

        def take(seconds: float) -> None:
            nonlocal taken
            more = _samples(seconds) - taken
            self._budget.take(more)
            taken += more

        try:
            waveform = decode(data, limits, take)
            taken -= self._keep(len(waveform))
            return waveform
        finally:
            self._budget.give_back(taken)

    def release(self, samples: int) -> None:
        """A waveform of so many is not needed any more."""
        with self._lock:
            if not self._closed:
                self._kept -= samples
                self._budget.give_back(samples)

    def close(self) -> None:
        """The request has ended: nothing of it is needed any more."""
        with self._lock:
            self._closed = True
            self._budget.give_back(self._kept)

    def _keep(self, samples: int) -> int:
        """How many of a new waveform's samples count: none where the request has ended already."""
        with self._lock:
            kept = 0 if self._closed else samples
            self._kept += kept
            return kept


def _samples(seconds: float) -> int:
    return math.ceil(seconds * SAMPLE_RATE_HZ)

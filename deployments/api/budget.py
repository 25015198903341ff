"""Limit the decoded audio that one replica holds in memory, because a small file may decode to hours.

All requests share one budget. Audio is reserved before it is kept in memory, and released after use.
"""

import math
import threading

from config.settings import AudioLimits
from deployments.api.decoders import Decoder
from deployments.api.shares import SharedBudget
from pipelines.audio.decoding import Recording
from voxgraph.results import SAMPLE_RATE_HZ

SHORT_S = 300.0
"""Seconds of audio up to which a recording is short."""
KEPT_SHARE = 1 / 8
"""Share of the budget that is kept for short recordings, if one of maximum length still fits beside it."""


class DecodedAudioBudget:
    """Samples of decoded audio that all requests may hold together. Thread-safe.

    A part is kept for short recordings, so that long ones never leave no room for them, and one client holds
    a share at most.
    """

    def __init__(self, limits: AudioLimits) -> None:
        seconds = max(limits.max_decoded_s, limits.max_audio_s)
        kept_s = min(seconds * KEPT_SHARE, seconds - limits.max_audio_s)
        self._samples = SharedBudget(
            _samples(seconds),
            limits.max_client_share,
            at_least=_samples(limits.max_audio_s),
            kept=_samples(kept_s),
        )

    @property
    def free(self) -> int:
        """Samples that nobody holds."""
        return self._samples.free

    def acquire(self, samples: int, seconds: float, client: str | None = None) -> None:
        """Reserve samples; raise what `SharedBudget.acquire` raises.

        Args:
            samples: How many more.
            seconds: How many seconds the recording has so far.
            client: Who sends it.
        """
        self._samples.acquire(samples, client, "recordings", small=seconds <= SHORT_S)

    def release(self, samples: int, client: str | None = None) -> None:
        """Return samples to the budget."""
        self._samples.release(samples, client)


class Reservation:
    """One request's part of a budget. Thread-safe, because decoding may report from a thread."""

    def __init__(self, budget: DecodedAudioBudget, client: str | None = None) -> None:
        self._budget = budget
        self._client = client
        self._held = 0
        self._closed = False
        self._lock = threading.Lock()

    async def decode(self, decoder: Decoder, data: bytes, channel: int | None = None) -> Recording:
        """Decode a recording, and reserve the waveform until it is released.

        Raises what `decoder` raises, and `Overloaded` or `RateLimited` if the recording is longer than what
        is free or left to its client.
        """
        acquired = 0

        def acquire(seconds: float) -> None:
            nonlocal acquired
            more = _samples(seconds) - acquired
            self._budget.acquire(more, seconds, self._client)
            acquired += more

        try:
            recording = await decoder.decode(data, channel, acquire)
            acquired -= self._hold(len(recording.waveform))
            return recording
        finally:
            self._budget.release(acquired, self._client)

    def release(self, samples: int) -> None:
        """Return the samples of a waveform that is no longer needed."""
        with self._lock:
            if not self._closed:
                self._held -= samples
                self._budget.release(samples, self._client)

    def close(self) -> None:
        """Return everything at the end of the request."""
        with self._lock:
            self._closed = True
            self._budget.release(self._held, self._client)

    def _hold(self, samples: int) -> int:
        """Keep a new waveform reserved and return its samples, or 0 if the request has already ended."""
        with self._lock:
            held = 0 if self._closed else samples
            self._held += held
            return held


def _samples(seconds: float) -> int:
    return math.ceil(seconds * SAMPLE_RATE_HZ)

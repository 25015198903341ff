"""Where recordings are decoded: in processes that may be killed, or in threads of this process."""

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

from config.settings import AudioLimits, GraphSettings
from pipelines.audio.decoding import Recording, decode_recording
from pipelines.audio.workers.pool import DecoderPool

OnProgress = Callable[[float], None]
"""Takes the seconds of audio that a recording has so far; an exception that it raises stops the decoding."""


class Decoder(Protocol):
    """Decodes recordings; a caller that leaves stops the decoding."""

    async def start(self) -> None:
        """Start what decodes."""
        ...

    async def close(self) -> None:
        """End it."""
        ...

    async def decode(self, data: bytes, channel: int | None, on_progress: OnProgress) -> Recording:
        """Decode a recording; raises what `pipelines.audio.decoding.decode_recording` raises."""
        ...


def decoder_of(settings: GraphSettings) -> Decoder:
    """Return the decoder that the settings ask for."""
    if settings.decoders.processes:
        return DecoderPool(settings.limits, settings.decoders)
    return ThreadDecoder(settings.limits)


class ThreadDecoder:
    """Decodes in threads of this process, where memory and processor time have no limit."""

    def __init__(self, limits: AudioLimits) -> None:
        self._limits = limits

    async def start(self) -> None:
        """Do nothing: threads start with their recordings."""

    async def close(self) -> None:
        """Do nothing: threads end with their recordings."""

    async def decode(self, data: bytes, channel: int | None, on_progress: OnProgress) -> Recording:
        """Decode a recording; a caller that leaves waits until the block that is being decoded is done."""
        has_left = threading.Event()

        def report(seconds: float) -> None:
            if has_left.is_set():
                raise asyncio.CancelledError
            on_progress(seconds)

        decoding = asyncio.create_task(
            asyncio.to_thread(decode_recording, data, self._limits, report, channel)
        )
        try:
            return await asyncio.shield(decoding)
        except asyncio.CancelledError:
            has_left.set()
            await asyncio.wait([decoding])
            raise

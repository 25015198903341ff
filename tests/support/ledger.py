"""Every request that was sent and how it ended."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import clips
import httpx2
import numpy as np

from benchmarks.simulated import expected
from config.settings import AudioLimits
from pipelines.audio.decoding import decode

RIGHT, WRONG, HUNG, CUT, UNREACHABLE = "right", "wrong", "hung", "cut", "unreachable"
HUNG_AFTER_S = 120.0
"""No deadline in these tests is near it."""


@dataclass(slots=True)
class Ledger:
    """How requests ended: by the status and its code, or one of the words above.

    `CUT`: the connection ended without an answer. `UNREACHABLE`: there was none.
    """

    ends: list[tuple[str, float]] = field(default_factory=list)
    """And how many seconds they took."""
    made: int = 0
    sent: int = 0

    @property
    def counts(self) -> Counter[str]:
        return Counter(end for end, _ in self.ends)

    def longest_s(self, end: str) -> float:
        return max((seconds for found, seconds in self.ends if found == end), default=0.0)

    def recording(self, seconds: float) -> bytes:
        """A WAV that nobody sent before."""
        self.made += 1
        noise = np.random.default_rng(self.made).normal(0, 0.05, (round(seconds * 16_000), 1))
        return clips.soundfile_bytes(noise.astype(np.float32), 16_000, "WAV", "PCM_16")

    async def ask(self, client: httpx2.AsyncClient, seconds: float = 0.5) -> str:
        """Send one recording and write down how that ended."""
        wav = self.recording(seconds)
        self.sent += 1
        started = time.monotonic()
        end = HUNG
        try:
            async with asyncio.timeout(HUNG_AFTER_S):
                end = ending(await client.post("/detect-language", content=wav), wav)
        except TimeoutError:
            pass
        except httpx2.ConnectError:
            end = UNREACHABLE
        except httpx2.HTTPError:
            end = CUT
        self.ends.append((end, time.monotonic() - started))
        return end

    @contextlib.asynccontextmanager
    async def load(self, url: str, callers: int, pause_s: float) -> AsyncIterator[None]:
        """So many callers, each asking again a little after every answer; at the end all are answered."""
        going = True

        async def call(client: httpx2.AsyncClient) -> None:
            while going:
                await self.ask(client)
                await asyncio.sleep(pause_s)

        async with httpx2.AsyncClient(base_url=url, timeout=None) as client:
            tasks = [asyncio.create_task(call(client)) for _ in range(callers)]
            try:
                yield
            finally:
                going = False
                await asyncio.gather(*tasks)


def ending(response: httpx2.Response, wav: bytes) -> str:
    if response.status_code != 200:
        body = response.json() if response.headers.get("content-type") == "application/json" else {}
        return f"{response.status_code} {body.get('code', response.text[:60])}"
    right = expected(decode(wav, AudioLimits())).confidence
    return RIGHT if response.json()["confidence"] == right else WRONG

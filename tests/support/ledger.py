"""Sends requests and records the outcome and duration of each."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import clips
import httpx2
import numpy as np

from benchmarks.simulated import PATH, expected
from config.settings import AudioLimits
from pipelines.audio.decoding import decode

RIGHT, WRONG, HUNG, DISCONNECTED, UNREACHABLE = "right", "wrong", "hung", "disconnected", "unreachable"
HUNG_AFTER_S = 120.0
"""Seconds after which a request counts as hung, far above all deadlines in these tests."""


@dataclass(slots=True)
class Ledger:
    """The outcomes of requests: status and error code, or one of the words above.

    `DISCONNECTED`: the connection ended without a response. `UNREACHABLE`: it was refused.
    """

    outcomes: list[tuple[str, float]] = field(default_factory=list)
    """Outcome and seconds of each request."""
    seed: int = 0
    """Seed of the last recording; ledgers with distant seeds never send the same recording."""
    sent: int = 0

    @property
    def counts(self) -> Counter[str]:
        return Counter(outcome for outcome, _ in self.outcomes)

    def longest_s(self, outcome: str) -> float:
        return max((seconds for found, seconds in self.outcomes if found == outcome), default=0.0)

    def recording(self, seconds: float) -> bytes:
        """Return a WAV that was not sent before."""
        self.seed += 1
        noise = np.random.default_rng(self.seed).normal(0, 0.05, (round(seconds * 16_000), 1))
        return clips.soundfile_bytes(noise.astype(np.float32), 16_000, "WAV", "PCM_16")

    async def send(self, client: httpx2.AsyncClient, seconds: float = 0.5) -> str:
        """Send one recording and record the outcome."""
        wav = self.recording(seconds)
        self.sent += 1
        started = time.monotonic()
        outcome = HUNG
        try:
            async with asyncio.timeout(HUNG_AFTER_S):
                outcome = outcome_of(await client.post(PATH, content=wav), wav)
        except TimeoutError:
            pass
        except httpx2.ConnectError:
            outcome = UNREACHABLE
        except httpx2.HTTPError:
            outcome = DISCONNECTED
        self.outcomes.append((outcome, time.monotonic() - started))
        return outcome

    @contextlib.asynccontextmanager
    async def load(self, url: str, callers: int, pause_s: float) -> AsyncIterator[None]:
        """Run `callers` clients that each send requests with pauses; wait for all responses at the end."""
        running = True

        async def call(client: httpx2.AsyncClient) -> None:
            while running:
                await self.send(client)
                await asyncio.sleep(pause_s)

        async with httpx2.AsyncClient(base_url=url, timeout=None) as client:
            tasks = [asyncio.create_task(call(client)) for _ in range(callers)]
            try:
                yield
            finally:
                running = False
                await asyncio.gather(*tasks)


def outcome_of(response: httpx2.Response, wav: bytes) -> str:
    if response.status_code != 200:
        body = response.json() if response.headers.get("content-type") == "application/json" else {}
        return f"{response.status_code} {body.get('code', response.text[:60])}"
    right = expected(decode(wav, AudioLimits())).confidence
    return RIGHT if response.json()["confidence"] == right else WRONG

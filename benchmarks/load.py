"""A client that keeps so many requests in flight: a closed loop over recordings made beforehand."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import httpx2
import numpy as np

from benchmarks.recordings import clip, wav
from voxgraph.results import Waveform

BOUNDARY = "voxgraph-benchmark"
HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass(frozen=True, slots=True)
class Ask:
    """A kind of request."""

    path: str
    seconds: float
    """Of the recording that is sent."""
    spread_s: float = 0.0
    """Recordings are up to so much shorter or longer, each of a length of its own."""

    def recording(self) -> Waveform:
        """The next recording."""
        return clip(self.seconds, self.spread_s)

    def body(self) -> bytes:
        """A form with a recording of its own, which both sides take."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n'
        head += "Content-Type: audio/wav\r\n\r\n"
        return head.encode() + wav(self.recording()) + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(slots=True)
class Outcome:
    """What came back of one round."""

    requests: int = 0
    wall_s: float = 0.0
    latencies_s: dict[Ask, list[float]] = field(default_factory=dict)
    """Of the requests that were answered 200."""
    errors: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Requests that were answered 200."""
        return self.requests - len(self.errors)

    @property
    def per_s(self) -> float:
        """Answers in a second."""
        return self.answered / self.wall_s if self.wall_s else 0.0


def closed_loop(
    url: str, asks: Sequence[Ask], concurrency: int, background: Ask | None = None, repeated: float = 0.0
) -> Outcome:
    """Send one request per ask, `concurrency` of them in flight at a time.

    Args:
        url: Address of the server.
        asks: The requests, in the order in which they are sent.
        concurrency: Requests in flight.
        background: A request that is sent first, stays in flight all the while and is given up at the end.
        repeated: Share of the requests that send a recording of an earlier one again, 0 to 1.
    """
    random = np.random.default_rng(len(asks))
    bodies: list[tuple[Ask, bytes]] = []
    for ask in asks:
        if bodies and random.random() < repeated:
            bodies.append(bodies[random.integers(len(bodies))])
        else:
            bodies.append((ask, ask.body()))
    return asyncio.run(_run(url, bodies, concurrency, background))


async def _run(
    url: str, bodies: list[tuple[Ask, bytes]], concurrency: int, background: Ask | None
) -> Outcome:
    outcome = Outcome(requests=len(bodies))
    limits = httpx2.Limits(max_connections=concurrency + 1)
    async with (
        httpx2.AsyncClient(base_url=url, timeout=None, limits=limits) as client,
        _in_flight(client, background),
    ):
        left = iter(bodies)
        started = time.perf_counter()
        await asyncio.gather(*(_work(client, left, outcome) for _ in range(concurrency)))
        outcome.wall_s = time.perf_counter() - started
    return outcome


async def _work(client: httpx2.AsyncClient, left: Iterator[tuple[Ask, bytes]], outcome: Outcome) -> None:
    """One of the clients: the next request as soon as the last is answered."""
    for ask, body in left:
        started = time.perf_counter()
        try:
            response = await post(client, ask, body)
        except httpx2.HTTPError as error:
            outcome.errors.append(repr(error))
            continue
        if response.status_code == 200:
            outcome.latencies_s.setdefault(ask, []).append(time.perf_counter() - started)
        else:
            outcome.errors.append(f"{response.status_code} {response.text[:200]}")


async def arrivals(per_s: float, seconds: float) -> AsyncIterator[None]:
    """The moments of a fixed rate, whatever is done in between; one that is late is made up for."""
    started = time.monotonic()
    for number in range(round(per_s * seconds)):
        await asyncio.sleep(started + number / per_s - time.monotonic())
        yield


async def post(client: httpx2.AsyncClient, ask: Ask, body: bytes) -> httpx2.Response:
    """Send one request."""
    return await client.post(ask.path, content=body, headers=HEADERS)


@contextlib.asynccontextmanager
async def _in_flight(client: httpx2.AsyncClient, ask: Ask | None) -> AsyncIterator[None]:
    """A request that goes on while the block runs.

    Raises:
        RuntimeError: It was answered before the block ended, so it did not go on.
    """
    if ask is None:
        yield
        return
    request = asyncio.create_task(post(client, ask, ask.body()))
    # Let it arrive and be decoded: what is measured is the work, not the upload.
    await asyncio.sleep(2.0 + ask.seconds / 600)
    yield
    if request.done():
        raise RuntimeError(
            f"{ask.path} was done before what it was to disturb: {request.result().text[:200]}"
        )
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

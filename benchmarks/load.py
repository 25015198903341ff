"""Load generator: a closed loop with a fixed number of requests in flight, over prepared recordings."""

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
class RequestKind:
    """Path of a request and length of the recording that it sends."""

    path: str
    seconds: float
    """Seconds of the recording."""
    spread_s: float = 0.0
    """Each recording is up to this many seconds shorter or longer, at random."""

    def recording(self) -> Waveform:
        """Return a recording that was not sent before."""
        return clip(self.seconds, self.spread_s)

    def body(self) -> bytes:
        """Return a multipart form with a new recording, a format that both sides accept."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n'
        head += "Content-Type: audio/wav\r\n\r\n"
        return head.encode() + wav(self.recording()) + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(slots=True)
class Outcome:
    """Results of one round."""

    requests: int = 0
    wall_s: float = 0.0
    latencies_s: dict[RequestKind, list[float]] = field(default_factory=dict)
    """Seconds of each request that was answered 200."""
    errors: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Number of requests that were answered 200."""
        return self.requests - len(self.errors)

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return self.answered / self.wall_s if self.wall_s else 0.0


def closed_loop(
    url: str,
    kinds: Sequence[RequestKind],
    concurrency: int,
    background: RequestKind | None = None,
    repeated: float = 0.0,
) -> Outcome:
    """Send one request for each entry of `kinds`, `concurrency` of them in flight at a time.

    Args:
        url: Address of the server.
        kinds: Requests in the order in which they are sent.
        concurrency: Number of requests in flight.
        background: Request that is sent first, stays in flight throughout and is cancelled at the end.
        repeated: Share of the requests that repeat the recording of an earlier one, 0 to 1.
    """
    random = np.random.default_rng(len(kinds))
    bodies: list[tuple[RequestKind, bytes]] = []
    for kind in kinds:
        if bodies and random.random() < repeated:
            bodies.append(bodies[random.integers(len(bodies))])
        else:
            bodies.append((kind, kind.body()))
    return asyncio.run(_run(url, bodies, concurrency, background))


async def _run(
    url: str, bodies: list[tuple[RequestKind, bytes]], concurrency: int, background: RequestKind | None
) -> Outcome:
    outcome = Outcome(requests=len(bodies))
    limits = httpx2.Limits(max_connections=concurrency + 1)
    async with (
        httpx2.AsyncClient(base_url=url, timeout=None, limits=limits) as client,
        _background_request(client, background),
    ):
        remaining = iter(bodies)
        started = time.perf_counter()
        await asyncio.gather(*(_send_remaining(client, remaining, outcome) for _ in range(concurrency)))
        outcome.wall_s = time.perf_counter() - started
    return outcome


async def _send_remaining(
    client: httpx2.AsyncClient, remaining: Iterator[tuple[RequestKind, bytes]], outcome: Outcome
) -> None:
    """Send the remaining requests one by one, each as soon as the previous one is answered."""
    for kind, body in remaining:
        started = time.perf_counter()
        try:
            response = await post(client, kind, body)
        except httpx2.HTTPError as error:
            outcome.errors.append(repr(error))
            continue
        if response.status_code == 200:
            outcome.latencies_s.setdefault(kind, []).append(time.perf_counter() - started)
        else:
            outcome.errors.append(f"{response.status_code} {response.text[:200]}")


async def arrivals(per_s: float, seconds: float) -> AsyncIterator[None]:
    """Yield at a fixed rate for some seconds, independently of the consumer; catch up when late."""
    started = time.monotonic()
    for number in range(round(per_s * seconds)):
        await asyncio.sleep(started + number / per_s - time.monotonic())
        yield


async def post(client: httpx2.AsyncClient, kind: RequestKind, body: bytes) -> httpx2.Response:
    """Send one request."""
    return await client.post(kind.path, content=body, headers=HEADERS)


@contextlib.asynccontextmanager
async def _background_request(client: httpx2.AsyncClient, kind: RequestKind | None) -> AsyncIterator[None]:
    """Keep a request in flight while the block runs.

    Raises:
        RuntimeError: The request was answered before the block ended.
    """
    if kind is None:
        yield
        return
    request = asyncio.create_task(post(client, kind, kind.body()))
    # Wait until it is uploaded and decoded, so that only its computation overlaps with the measurement.
    await asyncio.sleep(2.0 + kind.seconds / 600)
    yield
    if request.done():
        raise RuntimeError(f"{kind.path} ended before the requests beside it: {request.result().text[:200]}")
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

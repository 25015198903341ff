"""A good client in a process of its own: a hostile one beside it takes none of its interpreter's time."""

import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import quantiles

import httpx2
from recordings import new_wav

PAUSE_S = 0.05
"""Seconds between two requests: the client is a visitor, not a load."""
CLIP_S = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client got."""

    latencies_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def p95_s(self) -> float:
        """95th percentile of the latencies."""
        return quantiles(self.latencies_s, n=20, method="inclusive")[-1]


class GoodClient:
    """Asks about new short recordings, one after the other.

    Args:
        url: Of the graph.
    """

    def __init__(self, url: str) -> None:
        self._channel, others = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(url, others), daemon=True)
        self._process.start()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()

    @contextlib.contextmanager
    def asking(self) -> Iterator[Asked]:
        """Ask during the block; its end fills in what was got."""
        asked = Asked()
        self._channel.send("ask")
        try:
            yield asked
        finally:
            self._channel.send("rest")
            latencies_s, failures = self._channel.recv()
            asked.latencies_s.extend(latencies_s)
            asked.failures.extend(failures)

    def alone(self, seconds: float) -> Asked:
        """Ask for some seconds."""
        with self.asking() as asked:
            time.sleep(seconds)
        return asked


def _serve(url: str, channel: Connection) -> None:
    """Ask whenever the channel says so."""
    number = 0
    with httpx2.Client(base_url=url, timeout=60) as client:
        while channel.recv():
            asked = Asked()
            while not asked.latencies_s or not channel.poll(PAUSE_S):
                number += 1
                content = new_wav(number, CLIP_S)
                started = time.monotonic()
                try:
                    response = client.post("/detect-language", content=content)
                except httpx2.HTTPError as error:
                    asked.failures.append(repr(error))
                else:
                    if response.status_code != 200:
                        asked.failures.append(response.text)
                asked.latencies_s.append(time.monotonic() - started)
            channel.recv()
            channel.send((asked.latencies_s, asked.failures))

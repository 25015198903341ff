"""Measure what long recordings do to a short one: ``python -m benchmarks.beside``.

A client asks about clips of a second, one after the other: alone, beside a process that only keeps a core
busy, and beside other clients whose recordings last for hours. All recordings are new ones, so that none is
answered from the cache. What the busy core costs is the scheduler's; more than that is the graph's.
"""

import argparse
import contextlib
import io
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import httpx2
import numpy as np
import soundfile
from anyio.from_thread import start_blocking_portal

from benchmarks.recordings import clip, wav
from benchmarks.report import machine, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, STARTER_CONFIG, Server, running
from voxgraph.results import SAMPLE_RATE_HZ

QUESTIONS = {
    "language": "/detect-language",
    "speaker": "/embedding",
    "accent": "/classify-us-accent",
    "deepfake": "/audio/analyze-audio",
    "diarization": "/diarize",
}
"""Path of each question."""
PAUSE_S = 0.05
"""Seconds between two clips: the client is a visitor, not a load."""
TIMEOUT_S = 300.0
PERIOD_S = 60
"""Seconds of sound that a long recording repeats."""
_numbers = itertools.count(1)


def long_recording(hours: float, speech: Path | None) -> bytes:
    """Return a new FLAC of mono sound: silence, or repetitions of a recording, each time at another level.

    Args:
        hours: How long it is, not a sample longer: four are the most that a graph takes.
        speech: The recording that it repeats, 16 kHz.
    """
    number = next(_numbers)
    period = np.zeros(PERIOD_S * SAMPLE_RATE_HZ, np.int16)
    if speech is not None:
        sound, _ = soundfile.read(speech, dtype="float32")
        period[:] = np.resize(sound, len(period)) * (1 << 14) * (1 - number / 4096)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="FLAC") as file:
        left = round(hours * 3600 * SAMPLE_RATE_HZ) - SAMPLE_RATE_HZ // 10 - number
        file.write(np.full(SAMPLE_RATE_HZ // 10 + number, number % 2, np.int16))
        for start in range(0, left, len(period)):
            file.write(period[: left - start])
    return buffer.getvalue()


def query(question: str) -> dict[str, str]:
    """Return the options of a question: silence is a recording like others here."""
    return {} if question == "diarization" else {"allow_no_speech": "true"}


@contextlib.contextmanager
def asking(url: str, question: str, recordings: list[bytes]) -> Iterator[list[int]]:
    """Send long recordings at the same time, each by a client of its own, during the block.

    The clients hang up at its end, and it ends when the graph has noticed.

    Raises:
        RuntimeError: One was refused, so that nothing was measured beside it.
    """
    statuses: list[int] = []

    async def send(content: bytes) -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:
            answered = await client.post(QUESTIONS[question], params=query(question), content=content)
        statuses.append(answered.status_code)

    with start_blocking_portal() as portal:
        sent = [portal.start_task_soon(send, content) for content in recordings]
        try:
            yield statuses
        finally:
            for each in sent:
                each.cancel()
    if refused := [status for status in statuses if status != 200]:
        raise RuntimeError(f"A long recording was answered {refused[0]}.")
    while httpx2.get(f"{url}/queue-status").json()["active_requests"]:
        time.sleep(0.2)


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy by a process that has nothing to do with the graph, during the block."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def latencies_s(url: str, question: str, seconds: float) -> list[float]:
    """Ask about clips of a second for some seconds; return how long each answer took.

    Raises:
        RuntimeError: One was not answered.
    """
    taken = []
    ends = time.monotonic() + seconds
    with httpx2.Client(base_url=url, timeout=TIMEOUT_S) as client:
        while time.monotonic() < ends:
            content = wav(clip(1.0))
            started = time.perf_counter()
            answered = client.post(QUESTIONS[question], params=query(question), content=content)
            if answered.status_code != 200:
                raise RuntimeError(f"A clip was answered {answered.status_code}.")
            taken.append(time.perf_counter() - started)
            time.sleep(PAUSE_S)
    return taken


def row(name: str, taken: list[float], statuses: list[int] | None = None) -> list[str]:
    """Return the number of clips and their median, 95th and 99th percentile, as a row of the table."""
    cuts = quantiles(taken, n=100, method="inclusive")
    figures = [f"{1000 * value:.0f}" for value in (median(taken), cuts[94], cuts[98], max(taken))]
    return [name, str(len(taken)), *figures, " ".join(map(str, sorted(statuses or [])))]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument("--hours", type=float, default=4.0, help="length of the long recordings")
    parser.add_argument("--count", type=int, default=1, help="long recordings at the same time")
    parser.add_argument("--speech", type=Path, help="what they repeat; silence otherwise")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each measurement")
    parser.add_argument("--questions", nargs="+", choices=QUESTIONS, default=[*QUESTIONS])
    parser.add_argument("--clip", choices=QUESTIONS, help="what the clips are asked; the same by default")
    parser.add_argument("--config", type=Path, default=STARTER_CONFIG)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    graph = Server(["-m", "deployments", str(options.config)], "Ctrl-C stops.", BUILD / "beside.log")
    rows = []
    with running(graph):
        for question in options.questions:
            asked = options.clip or question
            recordings = [long_recording(options.hours, options.speech) for _ in range(options.count)]
            latencies_s(graph.url, asked, 2.0)
            rows.append(row(f"{asked}, alone", latencies_s(graph.url, asked, options.seconds)))
            with busy_core():
                beside = latencies_s(graph.url, asked, options.seconds)
            rows.append(row(f"{asked}, beside a busy core", beside))
            with asking(graph.url, question, recordings) as statuses:
                beside = latencies_s(graph.url, asked, options.seconds)
            rows.append(row(f"{asked}, beside {question}", beside, statuses))
            print(*rows[-3:], sep="\n", flush=True)
    text = f"{machine()} Clips of 1 s, {options.count} recordings of {options.hours:g} hours at a time.\n\n"
    names = ["question", "clips", "median ms", "p95 ms", "p99 ms", "slowest ms", "answers to the long ones"]
    publish("A clip beside long recordings", text + table(names, rows), write=options.write)


if __name__ == "__main__":
    main()

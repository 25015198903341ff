"""Time one clip alone in common formats, over HTTP: ``python -m benchmarks.uploads before=../before now=.``.

Each side is a checkout, as those of `benchmarks.compare`. The graphs run at the same time on the same
language model and answer each recording in turn, so that any disturbance of the machine affects all of them.
What a format costs is the time beside that of the plain WAV, which is decoded where it arrives.
"""

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median
from types import MappingProxyType
from urllib.parse import urlsplit

import numpy as np
import soundfile
import soxr

from benchmarks.checkpoints import ensure_checkpoint
from benchmarks.compare import Side
from benchmarks.decoding import encoded
from benchmarks.recordings import clip, wav
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, running, write_graph_config
from config.settings import Size
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

WARM_UPS = 10
TITLES = ("recording", "kB", "side", "median ms", "nine tenths", "decoded in ms", "beside the first side")


@dataclass(frozen=True, slots=True)
class Timed:
    """What one request took, in milliseconds."""

    total_ms: float
    """Until the whole answer had arrived."""
    decode_ms: float
    """For decoding, by the answer's ``Server-Timing``."""


def in_formats(waveform: Waveform) -> dict[str, bytes]:
    """Return a recording in common formats, by name; the first is decoded where it arrives."""
    large, flac = io.BytesIO(), io.BytesIO()
    wide = soxr.resample(waveform, SAMPLE_RATE_HZ, 44_100)
    soundfile.write(large, np.column_stack([wide, wide]), 44_100, format="WAV", subtype="PCM_16")
    soundfile.write(flac, waveform, SAMPLE_RATE_HZ, format="FLAC")
    return {
        "WAV, 16 kHz": wav(waveform),
        "WAV, 44.1 kHz, stereo": large.getvalue(),
        "FLAC, 16 kHz": flac.getvalue(),
        "MP3, 44.1 kHz": encoded(waveform, "mp3", "libmp3lame", 44_100),
        "M4A (AAC), 44.1 kHz": encoded(waveform, "ipod", "aac", 44_100),
        "WebM (Opus), 48 kHz": encoded(waveform, "webm", "libopus", 48_000),
    }


def ask(connection: HTTPConnection, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> Timed:
    """Ask for the language of a new recording; raises `RuntimeError` if the status is not 200."""
    started = time.perf_counter()
    connection.request("POST", "/detect-language", body, {"content-type": "audio/wav", **headers})
    response = connection.getresponse()
    text = response.read()
    total_ms = 1000 * (time.perf_counter() - started)
    if response.status != 200:
        raise RuntimeError(f"{response.status} {text[:200]!r}")
    parts = dict(part.strip().split(";dur=") for part in response.headers["server-timing"].split(","))
    return Timed(total_ms, float(parts["decode"]))


def rows(
    sides: list[str], sizes: dict[str, int], times: dict[tuple[str, str], list[Timed]]
) -> list[list[str]]:
    """Return a row for each format and side; differences are medians of those of the same recording."""
    found = []
    for name, size in sizes.items():
        first = times[name, sides[0]]
        for side in sides:
            own = times[name, side]
            totals = [each.total_ms for each in own]
            more = median(own.total_ms - other.total_ms for own, other in zip(own, first, strict=True))
            decoded = median(each.decode_ms for each in own)
            figures = f"{median(totals):.1f}", f"{np.percentile(totals, 90):.1f}", f"{decoded:.1f}"
            found.append(
                [name, f"{size / 1000:.0f}", side, *figures, "-" if side == sides[0] else f"{more:+.1f}"]
            )
    return found


def measure(sides: list[Side], size: Size, seconds: float, times: int, pause_s: float) -> list[list[str]]:
    """Run the graphs and return the rows of the table."""
    model, folder = ModelKey.LANGUAGE, BUILD / size
    ensure_checkpoint(model, size, folder)
    config = write_graph_config(BUILD / "uploads.yaml", folder, [model], {model: size}, replicas=1)
    servers = [side.server(config) for side in sides]
    found, sizes = defaultdict[tuple[str, str], list[Timed]](list), dict[str, int]()
    with running(*servers):
        connections = [HTTPConnection(urlsplit(server.url).netloc) for server in servers]
        pairs = [(side.name, connection) for side, connection in zip(sides, connections, strict=True)]
        for number in range(WARM_UPS + times):
            for name, body in in_formats(clip(seconds)).items():
                sizes[name] = len(body)
                for side, connection in pairs if number % 2 else reversed(pairs):
                    time.sleep(pause_s)
                    timed = ask(connection, body)
                    if number >= WARM_UPS:
                        found[name, side].append(timed)
    return rows([side.name for side in sides], sizes, found)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.uploads", description=__doc__)
    parser.add_argument(
        "sides", nargs="*", type=Side.parse, metavar="NAME=CHECKOUT", default=[Side.parse("now=.")]
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the recordings")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.SMALL, help="of the model")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds before each request")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    found = measure(options.sides, options.size, options.seconds, options.times, options.pause)
    text = (
        f"{cpu_name()}; {options.times} recordings of {options.seconds:g} s, one request at a time, "
        f"{options.size} model."
    )
    publish("A clip alone, by format", f"{text}\n\n{table(TITLES, found)}", write=options.write)


if __name__ == "__main__":
    main()

"""Time decoding in processes of its own against threads: ``python -m benchmarks.decoding``.

Both decode the same recordings in turn, in one run, one recording at a time. A small WAV is decoded where it
arrives, by neither.
"""

import argparse
import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from functools import partial

import av
import numpy as np
import soundfile

from benchmarks.recordings import conversation, wav
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from config.settings import AudioLimits, DecoderSettings
from deployments.api.decoders import Decoder, ThreadDecoder
from pipelines.audio.decoding import decode_recording, is_quick
from pipelines.audio.workers.pool import DecoderPool
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

TITLES = ("recording", "kB", "thread ms", "process ms", "difference ms")
PERCENTILES = (50, 90)


def encoded(waveform: Waveform, container: str, codec: str, rate: int) -> bytes:
    """Encode a waveform with FFmpeg at another rate, mono."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        context = stream.codec_context
        source = av.AudioFrame.from_ndarray(waveform.reshape(1, -1), format="flt", layout="mono")
        source.sample_rate = SAMPLE_RATE_HZ
        sized = av.AudioResampler(context.format.name, "mono", rate, frame_size=context.frame_size or 960)
        for frame in [*sized.resample(source), *sized.resample(None)]:
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def recordings(seconds: float) -> dict[str, bytes]:
    """Return an excerpt of the conversation in common formats, by name."""
    waveform = np.resize(conversation(), round(seconds * SAMPLE_RATE_HZ))
    large = io.BytesIO()
    soundfile.write(large, np.repeat(waveform, 3), 3 * SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    flac = io.BytesIO()
    soundfile.write(flac, waveform, SAMPLE_RATE_HZ, format="FLAC")
    return {
        "MP3, 44.1 kHz": encoded(waveform, "mp3", "libmp3lame", 44_100),
        "M4A (AAC), 44.1 kHz": encoded(waveform, "ipod", "aac", 44_100),
        "WebM (Opus), 48 kHz": encoded(waveform, "webm", "libopus", 48_000),
        "FLAC, 16 kHz": flac.getvalue(),
        "WAV, 48 kHz": large.getvalue(),
    }


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds that some work takes."""
    started = time.perf_counter()
    await work()
    return 1000 * (time.perf_counter() - started)


async def compare(data: bytes, thread: Decoder, process: Decoder, rounds: int) -> np.ndarray:
    """Decode a recording by both in turn; return their milliseconds, (rounds, 2)."""
    works = [partial(decoder.decode, data, None, lambda _: None) for decoder in (thread, process)]
    return np.array([[await timed(work) for work in works] for _ in range(rounds)])


def _row(name: str, data: bytes, times: np.ndarray) -> list[str]:
    columns = np.column_stack([times, times[:, 1] - times[:, 0]])
    figures = np.percentile(columns, PERCENTILES, axis=0).T
    return [
        name,
        f"{len(data) / 1000:.0f}",
        *(" / ".join(f"{value:.1f}" for value in row) for row in figures),
    ]


async def measure(seconds: float, rounds: int) -> str:
    """Return the report."""
    limits = AudioLimits()
    thread, process = ThreadDecoder(limits), DecoderPool(limits, DecoderSettings())
    start_ms = await timed(process.start)
    rows = []
    for name, data in recordings(seconds).items():
        await compare(data, thread, process, 3)
        rows.append(_row(name, data, await compare(data, thread, process, rounds)))
        print("\t".join(rows[-1]), flush=True)
    small = wav(np.resize(conversation(), round(seconds * SAMPLE_RATE_HZ)))
    here = [await timed(lambda: _here(small, limits)) for _ in range(rounds)]
    await process.close()
    return (
        f"{cpu_name()}; {seconds:g} s, {rounds} rounds, median / 90th percentile.\n\n"
        f"{table(TITLES, rows)}\n\nA WAV of 16 bits at 16 kHz, where it arrives: {np.median(here):.2f} ms."
        f" The fork server and its processes are ready after {start_ms / 1000:.2f} s."
    )


async def _here(data: bytes, limits: AudioLimits) -> None:
    assert is_quick(data)
    decode_recording(data, limits)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the recordings")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    publish("Decoding", asyncio.run(measure(options.seconds, options.rounds)), write=options.write)


if __name__ == "__main__":
    main()

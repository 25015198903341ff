"""Measure the memory of long diarizations: ``python -m benchmarks.diarization_memory 0.5 2 5 10``.

Each length runs in its own process. Small networks with random weights compute one window in `--every` (1
computes all), which leaves memory use realistic. Embeddings of simulated speakers replace those of the
network, so that clustering has its usual amount of work.
"""

import argparse
import itertools
import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import psutil

from benchmarks.checkpoints import ensure_checkpoint
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD
from config.settings import CheckpointSource, Size
from pipelines.checkpoints import locate
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ

SPEAKERS, NOISE_STD = 6, 0.5
"""Simulated speakers, and the standard deviation of their embeddings around a standard normal centroid."""
TITLES = (
    "hours", "pipeline", "windows", "voices", "networks s", "clustering s", "audio MB", "peak over it MB"
)  # fmt: skip
PIPELINES = (ModelKey.DIARIZATION_COMMUNITY_1, ModelKey.DIARIZATION_31)


class PeakMemory:
    """Record the peak resident memory of this process in a block, in 10^6 bytes."""

    def __init__(self) -> None:
        self.mb, self._stopped = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._stopped.wait(0.02):
            self.mb = max(self.mb, process.memory_info().rss / 1e6)


def measure(key: ModelKey, hours: float, every: int) -> list[str]:
    """Diarize one recording and return its row of the table."""
    os.environ["OMP_NUM_THREADS"] = "1"
    from pipelines.diarization import Diarizer

    folder = ensure_checkpoint(key, Size.SMALL, BUILD / "small")
    diarizer = Diarizer(locate(key, CheckpointSource(source=str(folder), size=Size.SMALL)), "cpu")
    generator = np.random.default_rng(0)
    clip = (0.1 * generator.normal(size=60 * SAMPLE_RATE_HZ)).astype(np.float32)
    diarizer(clip, SpeakerCount())
    voices = generator.normal(size=(SPEAKERS, 256))
    simulate_speakers(diarizer, voices, generator, every)
    before = psutil.Process().memory_info().rss / 1e6
    waveform = np.tile(clip, int(np.ceil(hours * 60)))[: int(hours * 3600 * SAMPLE_RATE_HZ)]
    audio = waveform.nbytes / 1e6
    with PeakMemory() as peak:
        started = time.perf_counter()
        outputs = diarizer.windows(waveform)
        windows_done = time.perf_counter()
        result = diarizer.turns(outputs, len(waveform), SpeakerCount())
        ended = time.perf_counter()
    assert result.turns
    return [
        f"{hours:g}", key.removeprefix("diarization_"), str(len(outputs.speech)), str(len(outputs.windows)),
        f"{windows_done - started:.0f}", f"{ended - windows_done:.0f}", f"{audio:.0f}",
        f"{peak.mb - before - audio:.0f}",
    ]  # fmt: skip


def simulate_speakers(diarizer: Any, voices: np.ndarray, generator: np.random.Generator, every: int) -> None:
    """Simulate speakers, since noise contains no speech; only the first batch is computed completely."""
    windows = diarizer.windows
    infer, embed = windows._segmentation.infer, windows._embed
    steps = {name: itertools.chain([1], itertools.repeat(every)) for name in ("segmented", "embedded")}

    def segmented(clips: Any) -> np.ndarray:
        classes = infer(clips[:: next(steps["segmented"])])
        speech: np.ndarray = np.zeros((len(clips), *classes.shape[1:]), np.float32)
        for window in speech:
            first, second = np.sort(generator.integers(0, len(window), 2))
            window[:first, 0] = window[first:second, 1] = window[second - 10 :, 0] = 1
        return speech

    def embedded(features: Any, masks: Any) -> np.ndarray:
        step = next(steps["embedded"])
        embed(features[::step], masks[::step])
        speakers = generator.integers(len(voices), size=(len(features), 3))
        noise = generator.normal(size=(*speakers.shape, voices.shape[1]))
        embeddings: np.ndarray = (voices[speakers] + NOISE_STD * noise).astype(np.float32)
        return embeddings

    windows._segmentation.infer, windows._embed = segmented, embedded


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diarization_memory", description=__doc__)
    parser.add_argument("hours", type=float, nargs="*", default=[0.5, 2, 5, 10])
    parser.add_argument("--pipelines", nargs="+", type=ModelKey, choices=PIPELINES, default=PIPELINES)
    parser.add_argument("--every", type=int, default=10, help="compute one window in N", metavar="N")
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    parser.add_argument("--row", action="store_true", help="print a single row (internal use)")
    options = parser.parse_args()
    if options.row:
        print("\t".join(measure(options.pipelines[0], options.hours[0], options.every)))
        return
    rows = []
    for key in options.pipelines:
        for hours in options.hours:
            command = [
                sys.executable, "-W", "ignore", "-m", "benchmarks.diarization_memory", str(hours), "--row",
                "--pipelines", key, "--every", str(options.every),
            ]  # fmt: skip
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows.append(printed.splitlines()[-1].split("\t"))
            print("\t".join(rows[-1]), file=sys.stderr, flush=True)
    summary = f"{cpu_name()}; {SPEAKERS} speakers; one of {options.every} windows computed."
    publish("Memory of long recordings", f"{summary}\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()

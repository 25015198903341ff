"""The limit of our own code: pipelines called in a loop, in the best batches, without HTTP or Ray."""

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.load import Ask, Outcome
from config.settings import CheckpointSource, Size
from pipelines.chunking import chunk_spans
from voxgraph.options import ChunkOptions, ModelKey, SpeakerCount
from voxgraph.results import Waveform

BATCHES = (1, 2, 4, 8)
"""Tried before the measurement; the fastest per clip is the perfect one."""
TOGETHER_LIMIT_S = 600.0

Models = Callable[[ModelKey], Any]
"""From a key to its loaded pipeline."""


class Job(StrEnum):
    """What is computed of a recording."""

    LANGUAGE = "language"
    EMBEDDING = "embedding"
    ACCENT = "accent"
    DEEPFAKE = "deepfake"
    DIARIZATION = "diarization"
    ANALYZE = "analyze"


@dataclass(frozen=True, slots=True)
class Cores:
    """How a loop takes the machine: workers of some threads each."""

    processes: int
    threads: int


@dataclass(frozen=True, slots=True)
class _Share:
    """The part of one worker in a round."""

    started: float
    ended: float
    durations: list[float]
    """Of its batches."""
    batch: int


class Bare:
    """Workers that have the models of a job loaded.

    Args:
        job: What they compute.
        folder: Has a checkpoint folder per model.
        sizes: Of the architecture of each.
        cores: Several processes share the clips of a round; one process takes clip after clip, unbatched.
    """

    def __init__(self, job: Job, folder: Path, sizes: Mapping[ModelKey, Size], cores: Cores) -> None:
        self._job, self._folder, self._sizes, self._cores = job, folder, dict(sizes), cores
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(
            cores.processes, context, _begin, (context.Barrier(cores.processes), cores.threads)
        )

    def __enter__(self) -> "Bare":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def measure(self, asks: Sequence[Ask]) -> Outcome:
        """Answer requests of one kind as fast as the cores do."""
        of, ask, requests = self._cores.processes, asks[0], len(asks)
        futures = [
            self._pool.submit(_share, self._job, self._folder, self._sizes, ask, requests, rank, of)
            for rank in range(of)
        ]
        shares = [future.result() for future in futures]
        wall_s = max(share.ended for share in shares) - min(share.started for share in shares)
        outcome = Outcome(requests, wall_s)
        if of == 1:
            outcome.latencies_s[ask] = shares[0].durations
        return outcome


_together: Barrier
"""Of this worker and its neighbours: they begin each round at once."""


def _begin(together: Barrier, threads: int) -> None:
    """Run in a new worker."""
    global _together
    _together = together
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def _share(
    job: Job, folder: Path, sizes: dict[ModelKey, Size], ask: Ask, requests: int, rank: int, of: int
) -> _Share:
    """Compute every `of`-th clip of a round, from the `rank`-th on."""

    def models(key: ModelKey) -> Any:
        return load(key, folder, sizes[key])

    cut, answer = CUTS.get(job, _whole), ANSWERS[job]
    units = [unit for _ in range(requests) for unit in cut(ask.recording())]
    batch = 1 if of == 1 else best_batch(job, lambda clips: answer(models, clips), units[0])
    mine = units[rank::of]
    durations = []
    _together.wait(TOGETHER_LIMIT_S)
    started = time.perf_counter()
    for first in range(0, len(mine), batch):
        before = time.perf_counter()
        answer(models, mine[first : first + batch])
        durations.append(time.perf_counter() - before)
    return _Share(started, time.perf_counter(), durations, batch)


_best: dict[Job, int] = {}


def best_batch(job: Job, answer: Callable[[Sequence[Waveform]], object], unit: Waveform) -> int:
    """The size of batch that takes the least time per clip here; tried once per worker."""
    if job not in _best:
        seconds: dict[int, float] = {}
        for size in BATCHES:
            answer([unit] * size)
            before = time.perf_counter()
            answer([unit] * size)
            seconds[size] = (time.perf_counter() - before) / size
        _best[job] = min(seconds, key=seconds.__getitem__)
    return _best[job]


@functools.cache
def load(key: ModelKey, folder: Path, size: Size, device: str = "cpu", precision: str = "auto") -> Any:
    """A pipeline on this machine, its engine chosen as a replica chooses it."""
    # Only in a worker: the client that counts requests needs no torch.
    from config.settings import EngineOptions
    from pipelines.accent_xlsr import XlsrAccentClassifier
    from pipelines.checkpoints import locate
    from pipelines.deepfake import DeepfakeDetector
    from pipelines.diarization import Diarizer
    from pipelines.language import LanguageIdentifier
    from pipelines.speaker import SpeakerEncoder

    classes: dict[ModelKey, Any] = {
        ModelKey.LANGUAGE: LanguageIdentifier,
        ModelKey.SPEAKER_VOXCELEB: SpeakerEncoder,
        ModelKey.SPEAKER_CNCELEB: SpeakerEncoder,
        ModelKey.ACCENT_XLSR: XlsrAccentClassifier,
        ModelKey.DEEPFAKE: DeepfakeDetector,
        ModelKey.DIARIZATION_COMMUNITY_1: Diarizer,
    }
    checkpoint = locate(key, CheckpointSource(source=str(folder / key), size=size))
    return classes[key](checkpoint, device, EngineOptions.model_validate({"precision": precision}))


def chunks(waveform: Waveform) -> list[Waveform]:
    """The overlapping chunks that deepfake detection scores."""
    return [waveform[start:end] for start, end in chunk_spans(len(waveform), ChunkOptions())]


def _whole(waveform: Waveform) -> list[Waveform]:
    return [waveform]


def _embed(models: Models, clips: Sequence[Waveform]) -> None:
    from pipelines.routing import ENCODERS, encoder_for

    encoders = [encoder_for(found.language) for found in models(ModelKey.LANGUAGE)(clips)]
    for key in ENCODERS:
        routed = [waveform for waveform, encoder in zip(clips, encoders, strict=True) if encoder == key]
        if routed:
            models(key)(routed)


def _diarize(models: Models, clips: Sequence[Waveform]) -> None:
    for waveform in clips:
        models(ModelKey.DIARIZATION_COMMUNITY_1)(waveform, SpeakerCount())


def _analyze(models: Models, clips: Sequence[Waveform]) -> None:
    _embed(models, clips)
    models(ModelKey.ACCENT_XLSR)(clips)
    for waveform in clips:
        models(ModelKey.DEEPFAKE)(chunks(waveform))
    _diarize(models, clips)


CUTS: dict[Job, Callable[[Waveform], list[Waveform]]] = {Job.DEEPFAKE: chunks}
"""What a recording is cut into before it is answered."""
ANSWERS: dict[Job, Callable[[Models, Sequence[Waveform]], object]] = {
    Job.LANGUAGE: lambda models, clips: models(ModelKey.LANGUAGE)(clips),
    Job.EMBEDDING: _embed,
    Job.ACCENT: lambda models, clips: models(ModelKey.ACCENT_XLSR)(clips),
    Job.DEEPFAKE: lambda models, clips: models(ModelKey.DEEPFAKE)(clips),
    Job.DIARIZATION: _diarize,
    Job.ANALYZE: _analyze,
}

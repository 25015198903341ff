"""Upper limit of our own code: pipelines in a loop, in the best batches, without HTTP or Ray."""

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

from benchmarks.load import Outcome, RequestKind
from config.settings import CheckpointSource, Size
from pipelines.chunking import chunk_spans
from voxgraph.options import ChunkOptions, ModelKey, SpeakerCount
from voxgraph.results import Waveform

BATCHES = (1, 2, 4, 8)
"""Batch sizes tried before the measurement; the one with the least time per clip is used."""
BARRIER_TIMEOUT_S = 600.0

Models = Callable[[ModelKey], Any]
"""Maps a model key to its loaded pipeline."""


class Job(StrEnum):
    """A computation on a recording."""

    LANGUAGE = "language"
    EMBEDDING = "embedding"
    ACCENT = "accent"
    DEEPFAKE = "deepfake"
    DIARIZATION = "diarization"
    ANALYZE = "analyze"


@dataclass(frozen=True, slots=True)
class Workers:
    """Worker processes and threads per worker."""

    processes: int
    threads: int


@dataclass(frozen=True, slots=True)
class _WorkerRound:
    """Timings of one worker in a round, in seconds of `time.perf_counter`."""

    started: float
    ended: float
    durations: list[float]
    """Seconds of each batch."""


class BareEngine:
    """Worker processes with the models of a job loaded.

    Args:
        job: Computation to run.
        folder: Folder with a checkpoint folder per model.
        sizes: Architecture size of each model.
        workers: Several processes share a round in batches; a single process computes one clip at a time.
    """

    def __init__(self, job: Job, folder: Path, sizes: Mapping[ModelKey, Size], workers: Workers) -> None:
        self._job, self._folder, self._sizes, self._workers = job, folder, dict(sizes), workers.processes
        context = get_context("spawn")
        arguments = context.Barrier(self._workers), workers.threads
        self._pool = ProcessPoolExecutor(self._workers, context, _init_worker, arguments)

    def __enter__(self) -> "BareEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def measure(self, kinds: Sequence[RequestKind]) -> Outcome:
        """Compute one round of requests, all of one kind, as fast as the workers can."""
        arguments = self._job, self._folder, self._sizes, kinds
        futures = [
            self._pool.submit(_run_round, *arguments, rank, self._workers) for rank in range(self._workers)
        ]
        rounds = [future.result() for future in futures]
        wall_s = max(one.ended for one in rounds) - min(one.started for one in rounds)
        outcome = Outcome(len(kinds), wall_s)
        if self._workers == 1:
            outcome.latencies_s[kinds[0]] = rounds[0].durations
        return outcome


_barrier: Barrier
"""Barrier of all workers, which start each round together."""


def _init_worker(barrier: Barrier, threads: int) -> None:
    """Initialise a worker process."""
    global _barrier
    _barrier = barrier
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def _run_round(
    job: Job, folder: Path, sizes: dict[ModelKey, Size], kinds: Sequence[RequestKind], rank: int, workers: int
) -> _WorkerRound:
    """Compute every `workers`-th clip of a round, starting at clip `rank`."""

    def models(key: ModelKey) -> Any:
        return load_pipeline(key, folder, sizes[key])

    split, run = SPLITTERS.get(job, _whole), RUNNERS[job]
    clips = [clip for kind in kinds for clip in split(kind.recording())]
    size = 1 if workers == 1 else best_batch_size(job, lambda batch: run(models, batch), clips[0])
    mine = clips[rank::workers]
    durations = []
    _barrier.wait(BARRIER_TIMEOUT_S)
    started = time.perf_counter()
    for first in range(0, len(mine), size):
        before = time.perf_counter()
        run(models, mine[first : first + size])
        durations.append(time.perf_counter() - before)
    return _WorkerRound(started, time.perf_counter(), durations)


_batch_sizes: dict[Job, int] = {}


def best_batch_size(job: Job, run: Callable[[Sequence[Waveform]], object], clip: Waveform) -> int:
    """Return the batch size with the least time per clip, measured once per worker."""
    if job not in _batch_sizes:
        seconds: dict[int, float] = {}
        for size in BATCHES:
            run([clip] * size)
            before = time.perf_counter()
            run([clip] * size)
            seconds[size] = (time.perf_counter() - before) / size
        _batch_sizes[job] = min(seconds, key=seconds.__getitem__)
    return _batch_sizes[job]


@functools.cache
def load_pipeline(
    key: ModelKey, folder: Path, size: Size, device: str = "cpu", precision: str = "auto"
) -> Any:
    """Load a pipeline in this process, with the engine that a replica would select."""
    # Imported in the worker only: the load generator needs no torch.
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
    """Split a recording into the overlapping chunks that deepfake detection scores."""
    return [waveform[start:end] for start, end in chunk_spans(len(waveform), ChunkOptions())]


def _whole(waveform: Waveform) -> list[Waveform]:
    return [waveform]


def _embed(models: Models, clips: Sequence[Waveform]) -> None:
    from pipelines.routing import ENCODERS, encoder_of

    encoders = [encoder_of(result) for result in models(ModelKey.LANGUAGE)(clips)]
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


SPLITTERS: dict[Job, Callable[[Waveform], list[Waveform]]] = {Job.DEEPFAKE: chunks}
"""Functions that split a recording before it is computed."""
RUNNERS: dict[Job, Callable[[Models, Sequence[Waveform]], object]] = {
    Job.LANGUAGE: lambda models, clips: models(ModelKey.LANGUAGE)(clips),
    Job.EMBEDDING: _embed,
    Job.ACCENT: lambda models, clips: models(ModelKey.ACCENT_XLSR)(clips),
    Job.DEEPFAKE: lambda models, clips: models(ModelKey.DEEPFAKE)(clips),
    Job.DIARIZATION: _diarize,
    Job.ANALYZE: _analyze,
}

"""The base classes of model replicas, without a cluster."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from config.settings import BatchTunables, EngineOptions, GraphSettings
from deployments.replica import model_replica as replica_module
from deployments.replica.autoscaling import autoscaling_stats
from deployments.replica.model_replica import WaveformReplica, assigned_device, noise
from pipelines.pieces import Piecewise
from pipelines.samples import MIN_PCM16_SAMPLES, Samples, from_pcm16, to_pcm16
from voxgraph.errors import AudioTooShort, CheckpointError, InferenceError, ModelUnavailable, VoxError
from voxgraph.options import ModelKey
from voxgraph.results import ModelInfo, Waveform

INFO = ModelInfo("language", "some/model", "abc", "hub", "cpu", 1)


class Mean:
    """A pipeline that returns a clip's mean and records its batches and threads."""

    info = INFO
    min_samples = 400

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.threads: set[str] = set()

    def __call__(self, items: list[Waveform]) -> list[float]:
        self.batches.append(len(items))
        self.threads.add(threading.current_thread().name)
        return [float(item.mean()) for item in items]


class MeanReplica(WaveformReplica[float]):
    """A replica with a given pipeline, or with an error in place of the loading."""

    supports_batching = False

    def __init__(self, pipeline: Any) -> None:
        self._loaded = pipeline
        super().__init__(ModelKey.LANGUAGE, GraphSettings())

    def _load_on_assigned_device(self, model: ModelKey, settings: GraphSettings) -> Any:
        if isinstance(self._loaded, VoxError):
            raise self._loaded
        return self._loaded


@pytest.fixture
def pipeline() -> Iterator[Mean]:
    return Mean()


async def test_a_replica_is_warm_before_it_answers(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)

    assert pipeline.batches == [1]
    assert await replica.answer(np.full(500, 0.5, np.float32)) == 0.5


async def test_a_recording_sent_as_int16_is_restored(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)
    sent = to_pcm16(np.full(MIN_PCM16_SAMPLES, -0.25, np.float32))

    assert sent.dtype == np.int16
    assert await replica.answer(sent) == -0.25


async def test_the_model_runs_on_its_own_thread(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)
    pipeline.threads.clear()

    for _ in range(5):
        await replica.answer(noise(0.1))

    (name,) = pipeline.threads
    assert name != threading.current_thread().name


class MeanOfSeconds(Piecewise[Waveform, float, float]):
    """A pipeline that hears a second at a time, and records the length of each."""

    info, min_samples = INFO, 400

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.threads: set[str] = set()

    def cut(self, samples: Samples) -> list[Waveform]:
        self.threads.add(threading.current_thread().name)
        return [from_pcm16(samples[start : start + 16_000]) for start in range(0, len(samples), 16_000)]

    def seconds_of(self, piece: Waveform) -> float:
        return len(piece) / 16_000

    def run(self, pieces: Sequence[Waveform]) -> list[float]:
        time.sleep(0.002)
        self.heard += map(len, pieces)
        return [float(piece.mean()) for piece in pieces]

    def join(self, samples: Samples, outputs: Sequence[float]) -> float:
        return float(np.mean(outputs))


@pytest.mark.parametrize("seconds", [1, 5, 30])
async def test_a_recording_in_pieces_has_the_answer_of_a_call(seconds: int) -> None:
    pipeline = MeanOfSeconds()
    replica = MeanReplica(pipeline)
    waveform = np.round(noise(seconds) * (1 << 15)).astype(np.float32) / (1 << 15)
    packed = to_pcm16(waveform)
    pipeline.threads.clear()

    answers = await asyncio.gather(
        replica.answer(waveform), replica.answer(packed), replica.answer(noise(0.5))
    )

    assert answers[:2] == pipeline([waveform]) * 2
    assert threading.current_thread().name in pipeline.threads
    assert (len(pipeline.threads) > 1) == (seconds > 16)


async def test_a_short_recording_has_its_turn_within_a_long_one_and_a_caller_may_leave_it() -> None:
    pipeline = MeanOfSeconds()
    replica = MeanReplica(pipeline)
    pipeline.heard.clear()
    long = asyncio.create_task(replica.answer(noise(600)))
    while not pipeline.heard:
        await asyncio.sleep(0.001)
    assert (await replica.record_autoscaling_stats())["audio_s"] == pytest.approx(600, abs=10)

    await replica.answer(noise(0.5))
    assert pipeline.heard.index(8_000) < 20
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)
    await replica.answer(noise(0.25))

    assert len(pipeline.heard) < 60
    assert (await replica.record_autoscaling_stats())["audio_s"] == 0.0


async def test_a_recording_that_cannot_be_cut_fails_like_one_in_the_model() -> None:
    class Uncut(MeanOfSeconds):
        def cut(self, samples: Samples) -> list[Waveform]:
            if len(samples) == 500:
                raise ZeroDivisionError
            return super().cut(samples)

    replica = MeanReplica(Uncut())

    with pytest.raises(InferenceError, match="The model failed on this recording"):
        await replica.answer(np.zeros(500, np.float32))
    assert await replica.answer(np.full(501, 0.5, np.float32)) == 0.5


async def test_a_clip_below_the_minimum_never_reaches_the_model(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)

    with pytest.raises(AudioTooShort, match=r"0\.025 s"):
        await replica.answer(np.zeros(399, np.float32))
    assert pipeline.batches == [1]


async def test_a_checkpoint_that_cannot_be_loaded_is_answered_with_its_cause() -> None:
    replica = MeanReplica(CheckpointError("model.ckpt is missing"))

    with pytest.raises(ModelUnavailable, match=r"model\.ckpt is missing"):
        await replica.answer(noise(1))
    with pytest.raises(ModelUnavailable, match=r"model\.ckpt is missing"):
        await replica.info()
    await replica.reconfigure(BatchTunables().model_dump())
    await replica.check_health()


async def test_each_health_check_updates_the_backlog_gauge(
    pipeline: Mean, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = MeanReplica(pipeline)
    backlogs: list[float] = []
    monkeypatch.setattr(replica._metrics, "set_backlog", backlogs.append)

    await replica.check_health()
    answer = asyncio.create_task(replica.answer(noise(2)))
    await asyncio.sleep(0)
    await replica.check_health()
    await answer
    await replica.check_health()

    assert backlogs == [0.0, 2.0, 0.0]


async def test_a_warm_up_that_fails_is_a_failed_start() -> None:
    class Bad(Mean):
        def __call__(self, items: list[Waveform]) -> list[float]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        MeanReplica(Bad())


async def test_batches_have_the_size_measured_at_the_start(
    pipeline: Mean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "best_batch_size", lambda run, item, is_out_of_memory: 3)
    monkeypatch.setattr(MeanReplica, "supports_batching", True)
    replica = MeanReplica(pipeline)

    await asyncio.gather(*(replica.answer(noise(1)) for _ in range(7)))

    assert (await replica.info()).batch_items == 3
    assert max(pipeline.batches) == 3
    await replica.reconfigure({"max_batch_items": 2})
    pipeline.batches.clear()
    await asyncio.gather(*(replica.answer(noise(1)) for _ in range(7)))
    assert max(pipeline.batches) == 2


async def test_tunables_change_under_a_running_replica(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)
    await replica.answer(noise(1))

    await replica.reconfigure({"max_batch_items": 2, "max_batch_s": 9.0})

    with pytest.raises(ValueError, match="extra_forbidden"):
        await replica.reconfigure({"max_batch_itmes": 2})
    assert await replica.info() == INFO


async def test_the_load_is_reported_in_seconds_of_audio(pipeline: Mean) -> None:
    released = threading.Event()
    released.set()  # The warm-up of the constructor is not held.

    class Held(Mean):
        def __call__(self, items: list[Waveform]) -> list[float]:
            released.wait(10)
            return super().__call__(items)

    replica = MeanReplica(Held())
    released.clear()
    await replica.reconfigure({"target_audio_s": 40.0})
    assert await replica.record_autoscaling_stats() == autoscaling_stats(0, 0.0, 40.0)

    tasks = [asyncio.create_task(replica.answer(noise(seconds))) for seconds in (2.0, 3.0)]
    await asyncio.sleep(0)
    assert await replica.record_autoscaling_stats() == autoscaling_stats(2, 5.0, 40.0)

    released.set()
    await asyncio.gather(*tasks)
    assert await replica.record_autoscaling_stats() == autoscaling_stats(0, 0.0, 40.0)


async def test_a_replica_without_a_checkpoint_reports_no_load() -> None:
    assert await MeanReplica(CheckpointError("missing")).record_autoscaling_stats() == {}


def test_gpu_memory_is_capped_before_the_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[object] = []

    class OnGpu(WaveformReplica[float]):
        def load_pipeline(self, checkpoint: object, device: str, engine: EngineOptions) -> Mean:
            events.append("load")
            return Mean()

    assigned = SimpleNamespace(
        get_accelerator_ids=lambda: {"GPU": ["0"]}, get_assigned_resources=lambda: {"CPU": 0.5, "GPU": 0.15}
    )
    monkeypatch.setattr(ray, "get_runtime_context", lambda: assigned)
    monkeypatch.setattr("pipelines.device.cuda_is_available", lambda: True)
    monkeypatch.setattr("pipelines.vendored.process.cap_memory", lambda *cap: events.append(cap))
    monkeypatch.setattr("pipelines.checkpoints.locate", lambda *_: events.append("locate"))

    OnGpu(ModelKey.LANGUAGE, GraphSettings())

    assert events[0] == ("cuda:0", 0.15)
    assert events[-1] == "load"


@given(st.lists(st.text("0123", min_size=1)), st.booleans(), st.booleans())
def test_the_device_follows_rays_assignment(gpu_ids: list[str], cuda: bool, fallback: bool) -> None:
    def device() -> str:
        return assigned_device(gpu_ids, lambda: cuda, fallback)

    if not gpu_ids:
        assert device() == "cpu"
    elif cuda:
        assert device() == "cuda:0"
    elif fallback:
        assert device() == "cpu"
    else:
        with pytest.raises(ModelUnavailable):
            device()

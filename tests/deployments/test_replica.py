"""What every model replica shares, without a cluster."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from config.settings import BatchTunables, EngineOptions, GraphSettings
from deployments.diarization import Conclusion, Diarization, Part
from deployments.replica import model_replica as replica_module
from deployments.replica.autoscaling import stats
from deployments.replica.model_replica import WaveformReplica, assigned_device, noise
from deployments.transport.clips import PCM16_FROM, to_pcm16
from voxgraph.errors import AudioTooShort, CheckpointError, ModelUnavailable, VoxError
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, DiarizationResult, ModelInfo, Waveform

INFO = ModelInfo("language", "some/model", "demo", "demo", "cpu", 1)


class Mean:
    """A pipeline that answers a clip's mean and remembers what it was asked."""

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
    """A replica that loads a pipeline, or fails to, without a cluster or a checkpoint."""

    supports_batching = False

    def __init__(self, pipeline: Mean | VoxError) -> None:
        self.loads = pipeline
        super().__init__(ModelKey.LANGUAGE, GraphSettings())

    def _load(self, model: ModelKey, settings: GraphSettings) -> Any:
        if isinstance(self.loads, VoxError):
            raise self.loads
        return self.loads


@pytest.fixture
def pipeline() -> Iterator[Mean]:
    return Mean()


async def test_a_replica_is_warm_before_it_answers(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)

    assert pipeline.batches == [1]
    assert await replica.answer(np.full(500, 0.5, np.float32)) == 0.5


async def test_a_recording_as_it_is_sent_is_the_recording(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)
    sent = to_pcm16(np.full(PCM16_FROM, -0.25, np.float32))

    assert sent.dtype == np.int16
    assert await replica.answer(sent) == -0.25


async def test_the_model_runs_on_a_thread_of_its_own(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)
    pipeline.threads.clear()

    for _ in range(5):
        await replica.answer(noise(0.1))

    (name,) = pipeline.threads
    assert name != threading.current_thread().name


async def test_a_clip_below_the_minimum_never_reaches_the_model(pipeline: Mean) -> None:
    replica = MeanReplica(pipeline)

    with pytest.raises(AudioTooShort, match=r"0\.025 s"):
        await replica.answer(np.zeros(399, np.float32))
    assert pipeline.batches == [1]


async def test_a_checkpoint_that_does_not_load_is_answered_with_its_cause() -> None:
    replica = MeanReplica(CheckpointError("model.ckpt is missing"))

    with pytest.raises(ModelUnavailable, match=r"model\.ckpt is missing"):
        await replica.answer(noise(1))
    with pytest.raises(ModelUnavailable, match=r"model\.ckpt is missing"):
        await replica.info()
    await replica.reconfigure(BatchTunables().model_dump())
    await replica.check_health()


async def test_what_is_in_hand_is_told_at_each_look_at_the_replicas_health(
    pipeline: Mean, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = MeanReplica(pipeline)
    told: list[float] = []
    monkeypatch.setattr(replica._metrics, "in_hand", told.append)

    await replica.check_health()
    answer = asyncio.create_task(replica.answer(noise(2)))
    await asyncio.sleep(0)
    await replica.check_health()
    await answer
    await replica.check_health()

    assert told == [0.0, 2.0, 0.0]


async def test_a_warm_up_that_fails_is_a_failed_start() -> None:
    class Bad(Mean):
        def __call__(self, items: list[Waveform]) -> list[float]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        MeanReplica(Bad())


async def test_a_batch_has_as_many_clips_as_paid_at_the_start(
    pipeline: Mean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "best_batch", lambda run, item, is_out_of_memory: 3)
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


async def test_its_load_is_reported_in_seconds_of_audio(pipeline: Mean) -> None:
    held = threading.Event()

    class Held(Mean):
        def __call__(self, items: list[Waveform]) -> list[float]:
            if len(items[0]) > SAMPLE_RATE_HZ:
                held.wait(10)
            return super().__call__(items)

    replica = MeanReplica(Held())
    await replica.reconfigure({"target_audio_s": 40.0})
    assert await replica.record_autoscaling_stats() == stats(0, 0.0, 40.0)

    tasks = [asyncio.create_task(replica.answer(noise(seconds))) for seconds in (2.0, 3.0)]
    await asyncio.sleep(0)
    assert await replica.record_autoscaling_stats() == stats(2, 5.0, 40.0)

    held.set()
    await asyncio.gather(*tasks)
    assert await replica.record_autoscaling_stats() == stats(0, 0.0, 40.0)


async def test_a_replica_without_a_checkpoint_reports_no_load() -> None:
    assert await MeanReplica(CheckpointError("missing")).record_autoscaling_stats() == {}


def test_its_share_of_a_gpu_is_its_cap_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
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


class Listener:
    """A diarization pipeline that notes what it was given, and finds nobody."""

    info = INFO
    min_samples = 1

    def __init__(self) -> None:
        self.items: list[Any] = []

    def __call__(self, items: list[Any]) -> list[Any]:
        self.items += items
        return [DiarizationResult((), (), ()) for _ in items]


class Listening(Diarization):
    def __init__(self, pipeline: Listener) -> None:
        self.loads = pipeline
        super().__init__(ModelKey.DIARIZATION_31, GraphSettings())

    def _load(self, model: ModelKey, settings: GraphSettings) -> Any:
        return self.loads


async def test_a_conclusion_counts_no_audio_that_its_parts_have_counted() -> None:
    pipeline = Listener()
    replica = Listening(pipeline)
    hour = 3600 * SAMPLE_RATE_HZ

    assert replica.samples_of(Part(np.zeros(400_000, np.float32))) == 400_000
    assert replica.samples_of(Conclusion((), hour, SpeakerCount())) == 1
    assert await replica.turns((), hour, SpeakerCount()) == DiarizationResult((), (), ())
    assert pipeline.items[-1].samples == hour

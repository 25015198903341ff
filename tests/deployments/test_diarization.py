"""The diarization deployment, without a cluster."""

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest

from config.settings import CheckpointSource, EngineOptions, GraphSettings
from deployments.diarization import Conclusion, Conversation, Diarization, ItemwiseDiarizer, Part
from pipelines.checkpoints import locate
from pipelines.steps import Steps
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, DiarizationResult, ModelInfo, Waveform


class EmptyDiarizer:
    """A diarization pipeline that records its items and finds no speaker."""

    info = ModelInfo("diarization_31", "some/model", "abc", "hub", "cpu", 1)
    min_samples = 1

    def __init__(self) -> None:
        self.items: list[Any] = []

    def __call__(self, items: list[Any]) -> list[Any]:
        self.items += items
        return [DiarizationResult((), (), ()) for _ in items]

    step = __call__


class EmptyDiarization(Diarization):
    def __init__(self, pipeline: Any) -> None:
        self._loaded = pipeline
        super().__init__(ModelKey.DIARIZATION_31, GraphSettings())

    def _load_on_assigned_device(self, model: ModelKey, settings: GraphSettings) -> Any:
        return self._loaded


async def test_a_conclusion_counts_no_audio_that_its_parts_have_counted() -> None:
    pipeline = EmptyDiarizer()
    replica = EmptyDiarization(pipeline)
    hour = 3600 * SAMPLE_RATE_HZ

    assert replica.samples_of(Part(np.zeros(400_000, np.float32))) == 400_000
    assert replica.samples_of(Conclusion((), hour, SpeakerCount())) == 0
    assert await replica.turns((), hour, SpeakerCount()) == DiarizationResult((), (), ())
    assert pipeline.items[-1].samples == hour


class Stepping:
    """A diarizer whose networks take a pass for every second of a recording."""

    info, min_samples = EmptyDiarizer.info, 1

    def __init__(self) -> None:
        self.windows = self
        self.passes: list[float] = []
        self.free = threading.Event()
        self.free.set()

    def speech_steps(self, waveform: Waveform) -> Steps[float]:
        seconds = len(waveform) / SAMPLE_RATE_HZ
        for _ in range(round(seconds)):
            time.sleep(0.002)
            self.free.wait(10)
            self.passes.append(seconds)
            yield
        return seconds

    def steps(self, waveform: Waveform) -> Steps[Any]:
        yield from self.speech_steps(waveform)
        return OUTPUTS

    def turns(self, outputs: Any, samples: int, speakers: SpeakerCount) -> DiarizationResult:
        self.passes.append(0.0)
        return DiarizationResult((), (), ())


OUTPUTS = WindowOutputs(
    np.zeros((1, 1, 3), np.uint8), 8, *(np.zeros(0, np.intp) for _ in range(2)),
    frames_alone=np.zeros(0, np.int32), embeddings=np.zeros((0, 4), np.float32),
)  # fmt: skip


def silence(seconds: float) -> Waveform:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


async def started(diarizer: Stepping, passes: int) -> None:
    while len(diarizer.passes) < passes:
        await asyncio.sleep(0.001)


async def test_a_short_recording_waits_for_one_pass_over_a_part_of_a_long_one() -> None:
    diarizer = Stepping()
    replica = EmptyDiarization(ItemwiseDiarizer(diarizer))  # type: ignore[arg-type]
    diarizer.passes.clear()  # of the warm-up
    parts = [asyncio.create_task(replica.windows(silence(25))) for _ in range(3)]
    await started(diarizer, 2)

    before = len(diarizer.passes)
    assert await replica.speech_seconds(silence(1)) == 1.0

    assert diarizer.passes.index(1.0) <= before + 2
    assert await asyncio.gather(*parts) == [OUTPUTS] * 3
    assert diarizer.passes.count(25.0) == 3 * 25


async def test_parts_of_several_conversations_take_turns() -> None:
    diarizer = Stepping()
    replica = EmptyDiarization(ItemwiseDiarizer(diarizer))  # type: ignore[arg-type]
    diarizer.passes.clear()

    await asyncio.gather(replica.windows(silence(20)), replica.windows(silence(10)))

    assert diarizer.passes[:20] == [20.0, 10.0] * 10


async def test_a_caller_that_leaves_ends_the_work_at_the_next_pass() -> None:
    diarizer = Stepping()
    replica = EmptyDiarization(ItemwiseDiarizer(diarizer))  # type: ignore[arg-type]
    diarizer.passes.clear()
    part = asyncio.create_task(replica.windows(silence(25)))
    await started(diarizer, 3)

    part.cancel()
    await asyncio.gather(part, return_exceptions=True)
    done = len(diarizer.passes)

    assert await replica.speech_seconds(silence(1)) == 1.0
    await asyncio.sleep(0.02)
    assert diarizer.passes.count(25.0) <= done + 1


async def test_a_conclusion_does_not_wait_for_the_networks() -> None:
    diarizer = Stepping()
    replica = EmptyDiarization(ItemwiseDiarizer(diarizer))  # type: ignore[arg-type]
    diarizer.passes.clear()
    part = asyncio.create_task(replica.windows(silence(25)))
    await started(diarizer, 1)
    diarizer.free.clear()

    assert await replica.turns([OUTPUTS], 160_000, SpeakerCount()) == DiarizationResult((), (), ())

    assert not part.done()
    diarizer.free.set()
    await part
    await replica.check_health()


@pytest.mark.parametrize("model", [ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1])
def test_the_starter_checkpoint_loads_under_both_keys(model: ModelKey) -> None:
    checkpoint = locate(model, CheckpointSource(source="starter"))
    replica = Diarization.__new__(Diarization)

    loaded = replica.load_pipeline(checkpoint, "cpu", EngineOptions(engine="torch"))

    assert isinstance(loaded, ItemwiseDiarizer)
    assert (loaded.info.key, loaded.info.source) == (model, "starter")
    silence = np.zeros(SAMPLE_RATE_HZ, np.float32)
    assert loaded([Conversation(silence, SpeakerCount())]) == [DiarizationResult((), (), ())]

"""The diarization deployment, without a cluster."""

from typing import Any

import numpy as np
import pytest

from config.settings import CheckpointSource, EngineOptions, GraphSettings
from deployments.diarization import Conclusion, Conversation, Diarization, ItemwiseDiarizer, Part
from pipelines.checkpoints import locate
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, DiarizationResult, ModelInfo


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
    def __init__(self, pipeline: EmptyDiarizer) -> None:
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


@pytest.mark.parametrize("model", [ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1])
def test_the_starter_checkpoint_loads_under_both_keys(
    model: ModelKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.vendored.process.lower_cpu_priority", lambda device: None)
    checkpoint = locate(model, CheckpointSource(source="starter"))
    replica = Diarization.__new__(Diarization)

    loaded = replica.load_pipeline(checkpoint, "cpu", EngineOptions(engine="torch"))

    assert isinstance(loaded, ItemwiseDiarizer)
    assert (loaded.info.key, loaded.info.source) == (model, "starter")
    silence = np.zeros(SAMPLE_RATE_HZ, np.float32)
    assert loaded([Conversation(silence, SpeakerCount())]) == [DiarizationResult((), (), ())]

"""Cached model information stays in use while a model is busy; an unknown revision is unique."""

import asyncio
from typing import Any

import pytest
from plain_handles import handle

from deployments.transport import model_info
from deployments.transport.clips import ModelHandle
from deployments.transport.model_info import INFO_TTL_S, ModelInfoCache
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded
from voxgraph.options import ModelKey
from voxgraph.results import ModelInfo

MODEL = ModelKey.LANGUAGE


class Model:
    """Returns what it has loaded, or raises."""

    def __init__(self) -> None:
        self.result: Any = ModelInfo(MODEL, "of/hub", "revision-1", "hub", "cpu", 1, ())
        self.calls = 0

    async def info(self) -> ModelInfo:
        self.calls += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result  # type: ignore[no-any-return]


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def cache(model: Model, time: Time) -> ModelInfoCache:
    return ModelInfoCache({MODEL: ModelHandle(handle(model))}, time)


async def test_an_entry_is_refreshed_when_it_expires(model: Model, time: Time, cache: ModelInfoCache) -> None:
    for time.now in (0.0, 1.0, INFO_TTL_S - 0.1, INFO_TTL_S + 0.1):
        assert (await cache.get(MODEL)).revision == "revision-1"

    assert model.calls == 2


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), Overloaded("full")])
async def test_a_busy_model_keeps_its_old_entry(
    error: Exception, model: Model, time: Time, cache: ModelInfoCache
) -> None:
    info = await cache.get(MODEL)
    model.result, time.now = error, INFO_TTL_S + 1

    assert await cache.get(MODEL) == info
    assert await cache.revision(MODEL) == "revision-1"
    assert cache.last_known(MODEL) == info
    assert model.calls == 2


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), Overloaded("full")])
async def test_a_busy_model_without_an_entry_has_a_unique_revision(
    error: Exception, model: Model, time: Time, cache: ModelInfoCache
) -> None:
    model.result = error

    with pytest.raises(type(error)):
        await cache.get(MODEL)
    first, time.now = await cache.revision(MODEL), 0.001
    assert await cache.revision(MODEL) != first
    assert cache.last_known(MODEL) is None


async def test_the_revision_of_a_model_without_a_checkpoint_is_its_error_code(
    model: Model, time: Time, cache: ModelInfoCache
) -> None:
    await cache.get(MODEL)
    model.result, time.now = ModelUnavailable("not loaded"), INFO_TTL_S + 1

    with pytest.raises(ModelUnavailable):
        await cache.get(MODEL)
    assert await cache.revision(MODEL) == ModelUnavailable.code


async def test_a_model_outside_the_graph_is_unavailable(cache: ModelInfoCache) -> None:
    with pytest.raises(ModelUnavailable, match="not part of this graph"):
        await cache.get(ModelKey.DEEPFAKE)


async def test_a_hanging_model_is_busy(
    monkeypatch: pytest.MonkeyPatch, cache: ModelInfoCache, time: Time
) -> None:
    monkeypatch.setattr(model_info, "FIRST_INFO_TIMEOUT_S", 0.0)

    with pytest.raises(DeadlineExceeded):
        await cache.get(MODEL)


async def test_only_what_must_be_known_is_waited_for(
    model: Model, cache: ModelInfoCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_info, "INFO_TIMEOUT_S", 0.01)
    answer = model.info

    async def slow() -> ModelInfo:
        await asyncio.sleep(0.2)
        return await answer()

    monkeypatch.setattr(model, "info", slow)

    assert (await cache.revision(MODEL)).startswith("deadline_exceeded ")
    assert (await cache.get(MODEL)).revision == "revision-1"

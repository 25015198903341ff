"""What a model has loaded is known while it is too busy to say; what is not known is like nothing else."""

from typing import Any

import pytest
from plain_handles import handle

from deployments.transport import model_info as infos
from deployments.transport.clips import ModelHandle
from deployments.transport.model_info import KEPT_S, ModelInfoCache
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded
from voxgraph.options import ModelKey
from voxgraph.results import ModelInfo

MODEL = ModelKey.LANGUAGE


class Model:
    """Says what it has loaded, or raises."""

    def __init__(self) -> None:
        self.says: Any = ModelInfo(MODEL, "of/hub", "revision-1", "hub", "cpu", 1, ())
        self.asked = 0

    async def info(self) -> ModelInfo:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says  # type: ignore[no-any-return]


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
def known(model: Model, time: Time) -> ModelInfoCache:
    return ModelInfoCache({MODEL: ModelHandle(handle(model))}, time)


async def test_it_is_asked_now_and_then(model: Model, time: Time, known: ModelInfoCache) -> None:
    for time.now in (0.0, 1.0, KEPT_S - 0.1, KEPT_S + 0.1):
        assert (await known.get(MODEL)).revision == "revision-1"

    assert model.asked == 2


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), Overloaded("full")])
async def test_a_busy_model_has_what_it_had(
    error: Exception, model: Model, time: Time, known: ModelInfoCache
) -> None:
    said = await known.get(MODEL)
    model.says, time.now = error, KEPT_S + 1

    assert await known.get(MODEL) == said
    assert await known.revision(MODEL) == "revision-1"
    assert known.last(MODEL) == said
    assert model.asked == 2


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), Overloaded("full")])
async def test_a_model_that_never_said_it_has_a_revision_like_no_other(
    error: Exception, model: Model, time: Time, known: ModelInfoCache
) -> None:
    model.says = error

    with pytest.raises(type(error)):
        await known.get(MODEL)
    first, time.now = await known.revision(MODEL), 0.001
    assert await known.revision(MODEL) != first
    assert known.last(MODEL) is None


async def test_a_model_without_a_checkpoint_is_known_by_its_failure(
    model: Model, time: Time, known: ModelInfoCache
) -> None:
    await known.get(MODEL)
    model.says, time.now = ModelUnavailable("not loaded"), KEPT_S + 1

    with pytest.raises(ModelUnavailable):
        await known.get(MODEL)
    assert await known.revision(MODEL) == ModelUnavailable.code


async def test_a_model_of_another_graph_is_unavailable(known: ModelInfoCache) -> None:
    with pytest.raises(ModelUnavailable, match="not part of this graph"):
        await known.get(ModelKey.DEEPFAKE)


async def test_a_model_that_hangs_is_busy(
    monkeypatch: pytest.MonkeyPatch, known: ModelInfoCache, time: Time
) -> None:
    monkeypatch.setattr(infos, "INFO_TIMEOUT_S", 0.0)

    with pytest.raises(DeadlineExceeded):
        await known.get(MODEL)

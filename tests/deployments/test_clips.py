"""Which way a recording takes to a model."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.serve._private.constants import RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH

from deployments import clips
from deployments.calls import DIRECT_BYTES
from deployments.clips import Clip, ModelHandle


def test_a_short_clip_goes_directly_and_a_long_one_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips.ray, "put", lambda value: ("put", len(value)))
    asked: list[dict[str, Any]] = []
    handle: Any = SimpleNamespace(options=lambda **options: asked.append(options) or "direct")
    model = ModelHandle(handle)
    short = Clip(np.zeros(DIRECT_BYTES // 4, np.float32))
    long = Clip(np.zeros(DIRECT_BYTES // 4 + 1, np.float32))

    assert model.given(short) == "direct"
    assert short.sent is short.waveform
    assert model.given(long) is handle
    assert long.sent == ("put", len(long.waveform))
    assert [options["_by_reference"] for options in asked] == [False]


def test_what_goes_directly_is_far_from_what_ray_takes() -> None:
    assert 2 * DIRECT_BYTES <= RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH

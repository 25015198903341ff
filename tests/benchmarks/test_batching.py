"""The replay of arrivals."""

import numpy as np
import pytest

from benchmarks.batching import WAYS, replay


@pytest.mark.parametrize("spacing_s", [0.005, 0.025])
async def test_arrivals_faster_than_the_model_are_batched(spacing_s: float) -> None:
    batched, stats = await replay(WAYS["batched"], spacing_s, 24)
    alone, _ = await replay(WAYS["one by one"], spacing_s, 24)

    assert stats.largest > 4
    assert float(np.median(batched)) < float(np.median(alone)) / 3

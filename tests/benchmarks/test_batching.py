"""Replayed arrivals are batched."""

import numpy as np
import pytest

from benchmarks.batching import MODES, replay


@pytest.mark.parametrize("spacing_s", [0.005, 0.025])
async def test_arrivals_faster_than_the_model_are_batched(spacing_s: float) -> None:
    batched, batches = await replay(MODES["batched"], spacing_s, 24)
    alone, _ = await replay(MODES["one by one"], spacing_s, 24)

    assert max(batch.items for batch in batches) > 4
    assert float(np.median(batched)) < float(np.median(alone)) / 3

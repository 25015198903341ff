"""The training loop."""

import pytest
import torch

from training.fit import fit


def test_a_line_is_fitted_and_progress_is_reported() -> None:
    torch.manual_seed(0)
    line, seen = torch.nn.Linear(1, 1), []
    x = torch.linspace(-1, 1, 32)[:, None]

    last = fit(
        line.parameters(), lambda: ((line(x) - 3 * x) ** 2).mean(), 400, 0.1, lambda *done: seen.append(done)
    )

    assert last < 1e-3
    assert seen[-1] == (400, 400)


def test_a_non_finite_gradient_stops_training() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))

    with pytest.raises(RuntimeError, match="non-finite"):
        fit([weight], lambda: torch.sqrt(weight).sum(), 100, 0.1, lambda *_: None)
    assert torch.isfinite(weight).all()

"""The training loop of all recipes."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Progress = Callable[[int, int], None]


def fit(
    parameters: Iterable[nn.Parameter],
    loss_of_batch: Callable[[], Tensor],
    steps: int,
    peak_rate: float,
    progress: Progress,
) -> float:
    """Minimise with AdamW; the learning rate rises for a tenth of the steps, then falls to almost 0.

    Args:
        parameters: The parameters to train.
        loss_of_batch: Draws a batch and returns its loss, a scalar.
        steps: Total number of batches.
        peak_rate: Peak learning rate.
        progress: Called after each step with the steps done and the total.

    Returns:
        The mean loss of the last tenth of the steps.

    Raises:
        RuntimeError: A gradient is not finite.
    """
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=peak_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=steps, pct_start=0.1)
    last: list[float] = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = loss_of_batch()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
        optimizer.step()
        schedule.step()
        if step > 0.9 * steps:
            last.append(loss.item())
        progress(step, steps)
    return sum(last) / len(last)

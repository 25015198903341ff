"""Statistics over time of the first layers of Whisper's encoder: the input of the starter's small heads."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipelines.whisper_network import WhisperEncoder

MIN_VARIANCE = 1e-10
"""Smallest variance whose root is taken."""


class PooledEncoder(nn.Module):
    """The mean and the standard deviation over time of the states of some layers.

    Args:
        encoder: Whisper's encoder; layers after the last that is asked are never computed.
        layers: Numbers of the layers, the first is 1, in ascending order.
    """

    def __init__(self, encoder: WhisperEncoder, layers: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.layers = encoder, tuple(layers)

    def forward(self, features: Tensor, shares: Tensor) -> Tensor:
        """Compute the statistics of each window.

        Args:
            features: Log-mel energies, (batch, n_mels, frames).
            shares: Weight of each state, (batch, frames / 2), which sum to 1 in each window: equal ones where
                the clip is, and 0 where silence follows it.

        Returns:
            (batch, layers, 2 * hidden): means, then deviations.
        """
        states = self.encoder.activations(features, self.layers[-1])
        return torch.stack([pooled(states[number - 1], shares) for number in self.layers], dim=1)


def pooled(states: Tensor, shares: Tensor) -> Tensor:
    """Return the weighted mean and standard deviation over time, (batch, 2 * hidden).

    Args:
        states: (batch, time, hidden).
        shares: (batch, time), which sum to 1 over time.
    """
    weights = shares[:, None]
    mean = weights @ states
    variance = (weights @ (states - mean).square())[:, 0]
    return torch.cat((mean[:, 0], variance.clamp(min=MIN_VARIANCE).sqrt()), dim=1)

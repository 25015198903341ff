"""Mix channels to mono, and notice where they cancel each other."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipelines.audio.blocks import Block
from pipelines.audio.spans import Samples

CANCELLED_SHARE = 0.1
"""The mean of the channels cancels where it has less than this share of the energy that the mean of unrelated
channels of the same levels would have (1 / n^2 of the sum of their energies). Identical channels have n, one
channel beside silent ones and unrelated ones have 1, opposite ones have 0."""
EQUAL_SHARE = 0.9
"""Channels differ where their mean has less than this share of the energy that it would have if they were
equal: two unrelated channels have half of it, and so has one beside a silent one."""


@dataclass(slots=True)
class ChannelEnergy:
    """Sums of squares of all samples with one number of channels."""

    channels: npt.NDArray[np.float64]
    mean: float = 0.0

    @property
    def is_cancelled(self) -> bool:
        """Whether the mean has far less energy than the channels."""
        unrelated = self.channels.sum() / len(self.channels) ** 2
        return bool(self.mean < CANCELLED_SHARE * unrelated)

    @property
    def differs(self) -> bool:
        """Whether the mean is much weaker than the mean of equal channels would be."""
        return bool(self.mean < EQUAL_SHARE * self.channels.mean())


@dataclass(slots=True)
class Mixer:
    """Mixes blocks to mono: the mean of the channels, or one channel.

    Args:
        chosen: Index of the channel to take, by the number of channels; others are averaged.
    """

    chosen: dict[int, int] = field(default_factory=dict)
    energies: dict[int, ChannelEnergy] = field(default_factory=dict)
    """Energy of the averaged blocks, by the number of channels."""

    def __call__(self, samples: Samples) -> Block:
        """Mix samples of shape (samples, channels) to (samples,)."""
        channels = samples.shape[1]
        # The mean of one channel is that channel; computing it would take a third of a WAV's decoding time.
        if channels == 1:
            return samples[:, 0]
        if channels in self.chosen:
            return np.ascontiguousarray(samples[:, self.chosen[channels]])
        # Channel by channel: across them, sample by sample, NumPy takes ten times as long.
        planes = np.ascontiguousarray(samples.T)
        mean: Block = planes.mean(axis=0, dtype=np.float32)
        energy = self.energies.setdefault(channels, ChannelEnergy(np.zeros(channels)))
        with np.errstate(over="ignore", invalid="ignore"):
            energy.channels += [np.dot(plane, plane) for plane in planes]
            energy.mean += float(np.dot(mean, mean))
        return mean

    def loudest_of_cancelled(self) -> dict[int, int]:
        """Return the loudest channel by the number of channels, where the mean cancels."""
        return {
            channels: int(energy.channels.argmax())
            for channels, energy in self.energies.items()
            if energy.is_cancelled
        }

    @property
    def differs(self) -> bool:
        """Whether averaged channels differ."""
        return any(energy.differs for energy in self.energies.values())

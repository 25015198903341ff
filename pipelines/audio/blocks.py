"""Keep the blocks of a waveform while it is decoded."""

import numpy as np
import numpy.typing as npt

from voxgraph.results import Waveform

Block = npt.NDArray[np.float32]
"""Consecutive samples of one channel, shape (samples,)."""


class Blocks:
    """The blocks of a waveform in the memory of this process."""

    def __init__(self) -> None:
        self._blocks = list[Block]()
        self._samples = 0

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._samples

    def append(self, block: Block) -> None:
        """Add a block."""
        self._blocks.append(block)
        self._samples += len(block)

    def truncate(self, samples: int) -> None:
        """Drop the blocks behind a number of samples that ended with a block."""
        while self._samples > samples:
            self._samples -= len(self._blocks.pop())

    def waveform(self) -> Waveform:
        """Return the waveform and give up the blocks: each is released once it is copied."""
        pending = self._blocks[::-1]
        self._blocks.clear()
        waveform = np.empty(self._samples, np.float32)
        position = 0
        while pending:
            block = pending.pop()
            waveform[position : position + len(block)] = block
            position += len(block)
        return waveform

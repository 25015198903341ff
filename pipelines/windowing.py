"""Run recordings that are too long for one forward pass as windows and average the outputs.

The memory of a network grows with the input length, that of attention with its square: an hour in one pass
would take tens of gigabytes. And nobody else is answered during a pass. Shorter recordings are not cut.

Of hours, `MAX_HEARD_S` are heard. A voice, its language and its accent are the same in all of them, and four
hours of silence in less than a megabyte took the small ECAPA network of the tests 20 s of a processor (two
cores of a Zen 4).
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.chunking import spans
from pipelines.pieces import Piecewise, Result
from pipelines.samples import Samples, from_pcm16
from pipelines.speech_windows import speech_windows
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

MAX_HEARD_S = 600
"""Seconds of a recording that are heard; of a longer one, those windows with the most energy in equal
sections. Of two voices in 23 and 25 minutes, the embedding of so many seconds had a cosine of 0.997 with
that of everything (CAM++); that of a minute 0.95."""


class MeanOfWindows(Piecewise[Samples, Tensor, Result]):
    """A pipeline whose answer about a long recording is that about the mean of its windows' rows."""

    longest: int
    """Longest input of the network in samples, whole seconds. A longer recording is cut into adjacent windows
    of this length, the last aligned to its end; one of more than `MAX_HEARD_S` is heard in part."""

    @abstractmethod
    def rows(self, clips: Sequence[Waveform]) -> Tensor:
        """Map clips of at most `longest` samples to rows, (clips, ...)."""

    @abstractmethod
    def result(self, row: Tensor, samples: Samples) -> Result:
        """Return the answer about a recording from its row, or the mean of its windows' rows, on the CPU."""

    def cut(self, samples: Samples) -> list[Samples]:
        """Return the windows of a recording that are heard."""
        heard = MAX_HEARD_S * SAMPLE_RATE_HZ
        if len(samples) > heard:
            bounds = speech_windows(samples, self.longest, heard // self.longest)
        else:
            bounds = spans(len(samples), self.longest, self.longest)
        return [samples[start:end] for start, end in bounds]

    def seconds_of(self, piece: Samples) -> float:
        """Return the length of a window."""
        return len(piece) / SAMPLE_RATE_HZ

    def run(self, pieces: Sequence[Samples]) -> list[Tensor]:
        """Run the network on some windows."""
        return list(self.rows([from_pcm16(piece) for piece in pieces]).cpu())

    def join(self, samples: Samples, outputs: Sequence[Tensor]) -> Result:
        """Return the answer about a recording."""
        return self.result(mean_of(outputs), samples)


def mean_of(rows: Sequence[Tensor]) -> Tensor:
    """Return the mean of some rows; one row is returned as it is."""
    return rows[0] if len(rows) == 1 else torch.stack([*rows]).mean(dim=0)

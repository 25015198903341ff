"""Pipelines that hear a long recording in pieces of bounded cost, between which others have their turn."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pipelines.samples import Samples, from_pcm16
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

Piece = TypeVar("Piece")
Output = TypeVar("Output")
Result = TypeVar("Result")

PIECES_AT_ONCE = 4
"""Most pieces of one recording in a forward pass of a call."""


class Piecewise(ABC, Generic[Piece, Output, Result]):
    """A pipeline whose answer about a recording is made of what it finds in each piece.

    A call answers whole recordings. A replica cuts them, runs pieces of several recordings by turns or in
    one batch, and joins what it found; the answers are the same.
    """

    @abstractmethod
    def cut(self, samples: Samples) -> list[Piece]:
        """Return the pieces of a recording, at least one; a short recording is one piece.

        This and `join` use no engine, so that they may run in another thread than `run`.

        Raises:
            AudioTooShort: The recording is shorter than the network needs.
        """

    @abstractmethod
    def seconds_of(self, piece: Piece) -> float:
        """Return the seconds of audio that the network hears of a piece."""

    @abstractmethod
    def run(self, pieces: Sequence[Piece]) -> list[Output]:
        """Run the network on some pieces; the output of each does not depend on the others."""

    @abstractmethod
    def join(self, samples: Samples, outputs: Sequence[Output]) -> Result:
        """Return the answer about a recording from the outputs of all its pieces, in their order."""

    def __call__(self, recordings: Sequence[Samples]) -> list[Result]:
        """Answer each recording; the result does not depend on the rest of the batch.

        Args:
            recordings: Each float32, or int16 as from `pipelines.samples.to_pcm16`; (samples,), 16 kHz mono.

        Raises:
            AudioTooShort: A recording is shorter than the network needs.
        """
        cuts = [self.cut(samples) for samples in recordings]
        whole = [number for number, pieces in enumerate(cuts) if len(pieces) == 1]
        outputs: dict[int, list[Output]] = {}
        if whole:
            found = self.run([cuts[number][0] for number in whole])
            outputs |= {number: [output] for number, output in zip(whole, found, strict=True)}
        for number, pieces in enumerate(cuts):
            if number not in outputs:
                starts = range(0, len(pieces), PIECES_AT_ONCE)
                parts = [self.run(pieces[start : start + PIECES_AT_ONCE]) for start in starts]
                outputs[number] = [output for part in parts for output in part]
        return [self.join(samples, outputs[number]) for number, samples in enumerate(recordings)]


class Whole(Piecewise[Waveform, Result, Result]):
    """A pipeline that hears every recording in one piece.

    Args:
        pipeline: From recordings to their answers.
    """

    def __init__(self, pipeline: Callable[[list[Waveform]], Sequence[Result]]) -> None:
        self._pipeline = pipeline

    def cut(self, samples: Samples) -> list[Waveform]:
        """Return the recording."""
        return [from_pcm16(samples)]

    def seconds_of(self, piece: Waveform) -> float:
        """Return the length of a recording."""
        return len(piece) / SAMPLE_RATE_HZ

    def run(self, pieces: Sequence[Waveform]) -> list[Result]:
        """Answer some recordings."""
        return [*self._pipeline([*pieces])]

    def join(self, samples: Samples, outputs: Sequence[Result]) -> Result:
        """Return the answer."""
        return outputs[0]

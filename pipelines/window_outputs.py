"""Define the output of the diarization networks, which travels between processes; needs no torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class WindowOutputs:
    """Output of the diarization networks for consecutive windows, before clustering.

    A pair is a window and one of its (at most three) local speakers with any speech. Pairs are sorted by
    window, then by speaker.
    """

    speech: npt.NDArray[np.uint8]
    """Speech activity, bits packed along the frames: (windows, ceil(frames / 8), speakers)."""
    frames: int
    """Number of frames in a window."""
    windows: npt.NDArray[np.intp]
    """Window index of each pair, from 0: (pairs,)."""
    speakers: npt.NDArray[np.intp]
    """Local speaker index of each pair within its window: (pairs,)."""
    frames_alone: npt.NDArray[np.int32]
    """Number of frames in which the speaker of each pair is the only one speaking: (pairs,)."""
    embeddings: npt.NDArray[np.float32]
    """Voice embedding of each pair, not normalized; NaN where there is none: (pairs, dimension)."""
    probabilities: npt.NDArray[np.uint8] | None = None
    """Probability that each speaker talks in a frame, 0..255 for 0..1: (windows, frames, speakers)."""

    @property
    def most_at_once(self) -> int:
        """The largest number of speakers in one window."""
        return int(np.bincount(self.windows).max(initial=0))

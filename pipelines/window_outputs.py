"""What the diarization networks find in windows, on its way to the clustering; needs no torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class WindowOutputs:
    """What the diarization networks say of windows that follow each other, before any clustering.

    A pair is a window and one of the (at most three) speakers in it who talks at all; pairs are by window,
    then speaker.
    """

    speech: npt.NDArray[np.uint8]
    """Who talks: bits packed along the frames, (windows, ceil(frames / 8), speakers)."""
    frames: int
    """Frames of a window."""
    windows: npt.NDArray[np.intp]
    """The window of each pair, counted from 0."""
    speakers: npt.NDArray[np.intp]
    """The speaker of each pair within its window."""
    frames_alone: npt.NDArray[np.int32]
    """Frames in which the speaker of each pair talks and nobody else does."""
    embeddings: npt.NDArray[np.float32]
    """The voice of each pair, (pairs, dimension), float32, not normalised; NaN where there is none."""

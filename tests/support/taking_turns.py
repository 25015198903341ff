"""Steps of several recordings that take turns, against whole calls."""

import numpy as np

from pipelines.diarization.conversation import WindowDiarizer
from pipelines.window_outputs import WindowOutputs
from voxgraph.results import Waveform


def check_steps(diarizer: WindowDiarizer, conversation: Waveform) -> None:
    """Check that the steps of two clips, run by turns, find in each what one call does."""
    clips = [conversation[: 12 * 16_000], conversation[12 * 16_000 :]]
    steps = [diarizer.windows.steps(clip) for clip in clips]
    found: dict[int, WindowOutputs] = {}

    passes = 0
    while len(found) < len(steps):
        for number in {*range(len(steps))} - {*found}:
            passes += 1
            try:
                next(steps[number])
            except StopIteration as end:
                found[number] = end.value

    assert passes > len(steps)
    for number, clip in enumerate(clips):
        whole = diarizer.windows(clip)
        assert np.array_equal(found[number].speech, whole.speech)
        assert np.allclose(found[number].embeddings, whole.embeddings, equal_nan=True)

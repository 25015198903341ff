"""Find how many seconds of a recording are speech, by the segmentation alone."""

import numpy as np
import torch

from pipelines.chunking import spans
from pipelines.diarization.windows import hard_and_soft
from pipelines.steps import Steps
from pipelines.vendored.pyannote import Inference
from voxgraph.results import SAMPLE_RATE_HZ, Waveform


def speech_steps(segmentation: Inference, waveform: Waveform, batch: int) -> Steps[float]:
    """Find the seconds in which at least one speaker talks, in steps; each of them within `full_float32`.

    The windows do not overlap, but the last one ends with the recording. A recording shorter than a window is
    repeated until it fills one: padded with silence, seven of 700 single words were not found, and of 150
    short noises and tones 55 % were found to be none; repeated, none of 230 and 84 %.

    Args:
        segmentation: pyannote's inference of a segmentation network.
        waveform: Float32, (samples,), 16 kHz, at least one sample.
        batch: Most windows in one forward pass.
    """
    window = round(segmentation.duration * SAMPLE_RATE_HZ)
    filled = waveform if len(waveform) >= window else np.resize(waveform, window)
    found = spans(len(filled), window, window)
    speech = []
    for first in range(0, len(found), batch):
        if first:
            yield
        windows = np.stack([filled[start:end] for start, end in found[first : first + batch]])
        speech.append(segmentation.infer(torch.from_numpy(windows)[:, None]))
    hard, _ = hard_and_soft(np.concatenate(speech))
    active = hard.max(axis=2) > 0  # (windows, frames)
    seconds, heard_until = 0.0, 0
    for (start, end), frames in zip(found, active, strict=True):
        # Of the last window, only what no other has heard counts.
        new = frames[round((heard_until - start) / window * len(frames)) :]
        seconds += float(new.mean()) * (end - heard_until) / SAMPLE_RATE_HZ if len(new) else 0.0
        heard_until = end
    return seconds * len(waveform) / len(filled)

"""Resemblyzer's speaker encoder, which judges labels of speech without the encoders of the graph.

Wan et al., "Generalized End-to-End Loss for Speaker Verification", 2018: three recurrent layers on 1.6 s of a
mel spectrogram. Its weights are in the package Resemblyzer (Apache 2.0); only they are read, not its code.
"""

from pathlib import Path

import librosa
import numpy as np
import torch
from librosa.effects import split
from numpy.typing import NDArray

from voxgraph.results import SAMPLE_RATE_HZ, Waveform

WINDOW, HOP, BANDS = 400, 160, 40
"""Samples of a frame and of its step, and bands of the mel scale."""
FRAMES, STEP = 160, 77
"""Frames of an excerpt and from one to the next: 1.3 excerpts a second."""
WIDTH, LAYERS = 256, 3
LOUDNESS_DBFS = -30.0
"""To which quieter speech is raised."""
PAUSE_DB = 35.0
"""What is this much below the loudest frame is left out. Resemblyzer's own detector needs a C extension."""


class Ge2eEncoder:
    """Turns a person's speech into a vector of length one.

    Args:
        weights: ``pretrained.pt`` of Resemblyzer.
    """

    def __init__(self, weights: Path) -> None:
        state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
        self._layers = torch.nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
        self._last = torch.nn.Linear(WIDTH, WIDTH)
        for module, name in ((self._layers, "lstm."), (self._last, "linear.")):
            own = {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
            module.load_state_dict(own)

    def __call__(self, samples: Waveform) -> NDArray[np.float64]:
        """Return the mean of all excerpts of some speech, (256,), of length one.

        Args:
            samples: At 16 kHz; what is shorter than one excerpt of 1.6 s is filled up with zeros.
        """
        spoken = without_pauses(samples)
        level = 20 * np.log10(np.sqrt(np.mean(np.square(spoken))))
        spoken = spoken * 10 ** (max(0.0, LOUDNESS_DBFS - level) / 20)
        mels = librosa.feature.melspectrogram(
            y=spoken, sr=SAMPLE_RATE_HZ, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS
        ).T.astype(np.float32)
        mels = np.pad(mels, ((0, max(0, FRAMES - len(mels))), (0, 0)))
        starts = range(0, len(mels) - FRAMES + 1, STEP)
        with torch.inference_mode():
            _, (hidden, _) = self._layers(torch.from_numpy(np.stack([mels[i : i + FRAMES] for i in starts])))
            excerpts = torch.nn.functional.normalize(torch.relu(self._last(hidden[-1])))
        mean = excerpts.double().mean(dim=0).numpy()
        return np.asarray(mean / np.linalg.norm(mean))


def without_pauses(samples: Waveform) -> Waveform:
    """Return speech without what is much quieter than its loudest frame."""
    spans = split(samples, top_db=PAUSE_DB)
    return np.concatenate([samples[start:end] for start, end in spans])

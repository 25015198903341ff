"""Compute Kaldi's log-mel energies of many clips in one pass.

The formulas are those of Kaldi's feature-window.cc and mel-computations.cc with the defaults of
``compute-fbank-feats``, without dither; `torchaudio.compliance.kaldi.fbank` gives the same result.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxgraph.results import SAMPLE_RATE_HZ

WINDOW_SAMPLES, HOP_SAMPLES = 400, 160
"""A window of 25 ms every 10 ms."""
FFT_SAMPLES = 512
PREEMPHASIS = 0.97
POVEY_EXPONENT = 0.85
"""The Povey window is a Hann window to this power."""
LOWEST_HZ, HIGHEST_HZ = 20.0, SAMPLE_RATE_HZ / 2
SMALLEST_ENERGY = torch.finfo(torch.float32).eps


def frames_of(samples: int) -> int:
    """Return the number of frames of a clip; an incomplete window at its end gives none."""
    return max(0, 1 + (samples - WINDOW_SAMPLES) // HOP_SAMPLES)


class KaldiFbank(nn.Module):
    """The front end of networks that were trained on Kaldi's features.

    Args:
        n_mels: Bands from 20 Hz to 8 kHz.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        hann = torch.hann_window(WINDOW_SAMPLES, periodic=False, dtype=torch.float64)
        self.register_buffer("window", hann.pow(POVEY_EXPONENT).float(), persistent=False)
        self.register_buffer("filters", mel_filters(n_mels), persistent=False)

    def forward(self, clips: Sequence[Tensor]) -> list[Tensor]:
        """Compute each frame on its own, so that clips do not affect each other.

        Args:
            clips: Each float32, (samples,), 16 kHz, full scale 1, at least `WINDOW_SAMPLES` long.

        Returns:
            Natural logarithms of the energies of each clip, (frames, n_mels).
        """
        lengths = [frames_of(len(clip)) for clip in clips]
        means = torch.cat([_windows(clip).mean(dim=1, keepdim=True) for clip in clips])
        # Kaldi subtracts the mean of each window before pre-emphasis. Here the whole clip is emphasised, and
        # the rest of the mean is subtracted afterwards. The first sample of a window has weight 0 anyway.
        emphasised = [functional.pad(clip[1:] - PREEMPHASIS * clip[:-1], (1, 0)) for clip in clips]
        frames = torch.cat([_windows(clip) for clip in emphasised])
        frames = frames.sub_((1 - PREEMPHASIS) * means).mul_(self.window)
        spectrum = torch.fft.rfft(frames, FFT_SAMPLES)
        power = spectrum.real.square() + spectrum.imag.square()
        energies = (power @ self.filters).clamp(min=SMALLEST_ENERGY).log()
        return list(energies.split(lengths))


def _windows(clip: Tensor) -> Tensor:
    """Return a view of the clip, (frames, `WINDOW_SAMPLES`)."""
    return clip.unfold(0, WINDOW_SAMPLES, HOP_SAMPLES)


def mel_filters(n_mels: int) -> Tensor:
    """Return triangular filters on Kaldi's mel scale, 1127 ln(1 + f / 700 Hz), in float32.

    Returns:
        (257, n_mels); the last of the 257 bins of the spectrum, at 8 kHz, has no weight.
    """
    bounds = _mel(torch.tensor([LOWEST_HZ, HIGHEST_HZ], dtype=torch.float64))
    edges = torch.linspace(float(bounds[0]), float(bounds[1]), n_mels + 2, dtype=torch.float64)
    bins = _mel(torch.arange(FFT_SAMPLES // 2 + 1, dtype=torch.float64) * SAMPLE_RATE_HZ / FFT_SAMPLES)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    filters = torch.minimum(rising, falling).clamp(min=0.0)
    filters[-1] = 0.0
    return filters.float()


def _mel(hertz: Tensor) -> Tensor:
    return 1127.0 * torch.log1p(hertz / 700.0)

"""The networks' part: windows of 10 s, each by itself, in batches.

The ResNet runs once per window instead of once per window and speaker, and not at all where nobody speaks.
What the windows say stays small: a bit per frame and speaker, a vector per speaker who talks.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from pyannote.audio.core.inference import Inference
from pyannote.audio.pipelines.speaker_verification import PyannoteAudioPretrainedSpeakerEmbedding
from torch import Tensor

from pipelines.chunking import PART_WINDOWS
from pipelines.diarization.networks import N_MELS, ResNetFrames
from pipelines.engines.run import on_engine
from pipelines.engines.select import EngineChoice
from pipelines.results import Waveform, WindowFindings

Progress = Callable[[int, int], None]
"""Told how many windows of how many are done."""
CPU_SEGMENTATION_BATCH = 4
"""Windows in one forward pass on a core, where more leave its cache: 20 ms a window of the full-size network
on a Zen 5, against 31 alone and 33 in batches of 32."""


class WindowAnalyzer:
    """Says of each window who of at most three speaks when, and how each of them sounds.

    Args:
        segmentation: pyannote's sliding inference of the loaded PyanNet.
        embedding: pyannote's wrapper of the loaded ResNet.
        choice: What the ResNet's convolutions run on; its pooling stays with torch in float32.
        exclude_overlap: Whether a voice is pooled from where it speaks alone, if that is enough.
        embedding_batch_size: (Window, speaker) pairs in one forward pass.
    """

    def __init__(
        self,
        segmentation: Inference,
        embedding: PyannoteAudioPretrainedSpeakerEmbedding,
        choice: EngineChoice,
        *,
        exclude_overlap: bool,
        embedding_batch_size: int,
    ) -> None:
        self._segmentation, self._embedding = segmentation, embedding
        sample_rate = embedding.sample_rate
        self.window = round(segmentation.duration * sample_rate)
        self.hop = round(segmentation.step * sample_rate)
        specifications = segmentation.model.specifications
        self._speakers = len(specifications.classes)
        self._batch = max(1, embedding_batch_size // self._speakers)
        frames = segmentation.model.num_frames(self.window)
        # pyannote finds this by trying lengths until the network fails, which another engine need not do.
        shortest = embedding.min_num_samples
        self._minimum_frames = int(np.ceil(frames * shortest / self.window)) if exclude_overlap else None
        self._run_frames_on(choice)

    def __call__(self, waveform: Waveform, progress: Progress | None = None) -> WindowFindings:
        """Run every window of a recording, the last padded with silence.

        Args:
            waveform: Float32, (samples,), 16 kHz mono, not empty.
            progress: Told after each batch.
        """
        total = window_count(len(waveform), self.window, self.hop)
        parts = []
        for first, last in self._batches(len(waveform), total):
            clips = torch.from_numpy(self._cut(waveform, first, last))
            parts.append(self._batch_findings(clips))
            if progress is not None:
                progress(last, total)
        return joined(parts)

    def _batches(self, samples: int, total: int) -> Iterator[tuple[int, int]]:
        """First and last + 1 of the windows of each batch, cut as pyannote cuts them."""
        whole = max(0, (samples - self.window) // self.hop + 1)
        for first in range(0, whole, self._segmentation.batch_size):
            yield first, min(first + self._segmentation.batch_size, whole)
        if whole < total:
            yield whole, total

    def _cut(self, waveform: Waveform, first: int, last: int) -> np.ndarray:
        """Some windows: float32 (windows, 1, samples)."""
        clips = np.zeros((last - first, 1, self.window), np.float32)
        for clip, start in zip(clips, range(first * self.hop, last * self.hop, self.hop), strict=True):
            part = waveform[start : start + self.window]
            clip[0, : len(part)] = part
        return clips

    def _batch_findings(self, clips: Tensor) -> WindowFindings:
        speech = self._segmentation.infer(clips)  # (windows, frames, speakers), 0 or 1
        windows, speakers = np.nonzero(speech.any(axis=1))
        embeddings = np.zeros((len(windows), self._embedding.dimension), np.float32)
        masks = used_masks(speech, self._minimum_frames)
        voiced = np.unique(windows)
        for start in range(0, len(voiced), self._batch):
            batch = voiced[start : start + self._batch]
            found = self._embedding(clips[batch], masks=torch.from_numpy(masks[batch]))
            inside = np.isin(windows, batch)
            embeddings[inside] = found[np.searchsorted(batch, windows[inside]), speakers[inside]]
        alone = speech * (speech.sum(axis=2, keepdims=True) == 1)
        return WindowFindings(
            speech=np.packbits(speech.astype(bool), axis=1),
            frames=speech.shape[1],
            windows=windows,
            speakers=speakers,
            frames_alone=alone.sum(axis=1)[windows, speakers].astype(np.int32),
            embeddings=embeddings,
        )

    def _run_frames_on(self, choice: EngineChoice) -> None:
        resnet = self._embedding.model_.resnet
        frames = on_engine(ResNetFrames(resnet), choice, (torch.zeros(2, 200, N_MELS),), ((-1, -1, N_MELS),))

        def forward(fbank: Tensor, weights: Tensor | None = None) -> Any:
            return resnet.forward_embedding(frames(fbank), weights=weights)

        resnet.forward = forward


def segmentation_batch(device: str) -> int:
    """Windows in one forward pass of the segmentation; a part has whole batches."""
    return CPU_SEGMENTATION_BATCH if device == "cpu" else PART_WINDOWS


def window_count(samples: int, window: int, hop: int) -> int:
    """Windows of a recording: the whole ones, and one more where they leave a rest."""
    if samples < window:
        return 1
    return 1 + -(-(samples - window) // hop)


def used_masks(speech: np.ndarray, minimum_frames: int | None) -> np.ndarray:
    """Frames that each speaker's embedding is pooled from, without overlap where enough are left.

    Args:
        speech: (windows, frames, speakers), 0 or 1.
        minimum_frames: More clean frames than these leave the overlap out; None keeps it.

    Returns:
        Float32 (windows, speakers, frames).
    """
    masks = speech.astype(np.float32).transpose(0, 2, 1)
    if minimum_frames is None:
        return np.ascontiguousarray(masks)
    clean = masks * (speech.sum(axis=2)[:, None, :] < 2)
    enough = clean.sum(axis=2, keepdims=True) > minimum_frames
    return np.ascontiguousarray(np.where(enough, clean, masks))


def joined(parts: Sequence[WindowFindings]) -> WindowFindings:
    """The findings of windows that follow each other."""
    counts = [len(part.speech) for part in parts]
    firsts = np.cumsum([0, *counts[:-1]])
    return WindowFindings(
        speech=np.concatenate([part.speech for part in parts]),
        frames=parts[0].frames,
        windows=np.concatenate([part.windows + first for part, first in zip(parts, firsts, strict=True)]),
        speakers=np.concatenate([part.speakers for part in parts]),
        frames_alone=np.concatenate([part.frames_alone for part in parts]),
        embeddings=np.concatenate([part.embeddings for part in parts]),
    )

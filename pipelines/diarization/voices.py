"""Run segmentation on sliding windows of 10 s, and CAM++ on each speaker's own frames.

A speaker's frames within a window are those in which nobody else talks, joined to one clip. CAM++ reads that
clip alone: pooled from the frames of a whole window, as the ResNet's, its embeddings mix the window's voices,
because each of its layers is gated by the mean of the clip.

Windows overlap by nine tenths, so most pairs of a window and a speaker consist of almost the same frames as
another pair. One of them is embedded for all (`representatives`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.campplus import CamPlusPlus
from pipelines.campplus_network import MIN_FRAMES
from pipelines.chunking import PART_WINDOWS
from pipelines.diarization.windows import (
    ProgressCallback,
    alone,
    compile_segmentation,
    concatenate,
    cut,
    hard_and_soft,
    outputs_of,
    window_count,
    windows_at_once,
)
from pipelines.kaldi_fbank import HOP_SAMPLES, WINDOW_SAMPLES, frames_of
from pipelines.steps import Steps, finish
from pipelines.vendored.process import full_float32
from pipelines.vendored.pyannote import Inference
from pipelines.window_outputs import WindowOutputs
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

MIN_ALONE_FRAMES = 40
"""Least frames of 10 ms alone; a speaker with fewer is embedded from all frames in which he talks."""
MIN_SHARED = 0.7
"""Share of common frames from which pairs get one embedding, see `VoiceAnalyzer`."""
CUDA_BATCH = 32
"""Clips in one forward pass on CUDA. On a CPU, one at a time is fastest."""

Mask = NDArray[np.bool_]


class VoiceAnalyzer:
    """Compute the speech activity of at most three local speakers in each window, and their embeddings.

    Args:
        segmentation: pyannote's sliding inference of the loaded PyanNet.
        embedding: The loaded CAM++. The segmentation runs on its engine, always in float32.
        identity: Identity of the segmentation's weights.
        min_shared: Least share of common frames, intersection over union, for pairs to get one embedding;
            with more than 1, every pair is embedded.
    """

    def __init__(
        self,
        segmentation: Inference,
        embedding: CamPlusPlus,
        identity: str,
        *,
        min_shared: float = MIN_SHARED,
    ) -> None:
        self.segmentation, self._embedding = segmentation, embedding
        self.min_shared = min_shared
        self.window = round(segmentation.duration * SAMPLE_RATE_HZ)
        self.hop = round(segmentation.step * SAMPLE_RATE_HZ)
        self._batch = windows_at_once(embedding.device.type)
        self._nearest = _nearest_frames(segmentation.model, self.window)
        compile_segmentation(segmentation, embedding.choice, identity)

    @full_float32()
    def __call__(self, waveform: Waveform, progress: ProgressCallback | None = None) -> WindowOutputs:
        """Run every window of a recording, the last padded with silence.

        Args:
            waveform: Float32, (samples,), 16 kHz mono, not empty.
            progress: Called after each block of windows.
        """
        total = window_count(len(waveform), self.window, self.hop)

        def blocks() -> Iterator[WindowOutputs]:
            for first, last in self._blocks(total):
                yield finish(self._analyze_block(cut(waveform, first, last, self.window, self.hop)))
                if progress is not None:
                    progress(last, total)

        return concatenate(blocks(), total)

    def steps(self, waveform: Waveform) -> Steps[WindowOutputs]:
        """Run every window of a recording as a call does, in steps; each of them within `full_float32`."""
        total = window_count(len(waveform), self.window, self.hop)
        blocks = []
        for first, last in self._blocks(total):
            samples = cut(waveform, first, last, self.window, self.hop)
            blocks.append((yield from self._analyze_block(samples)))
        return concatenate(blocks, total)

    def _blocks(self, total: int) -> Iterator[tuple[int, int]]:
        """Yield the first window and the last + 1 of each block.

        Blocks are those of `conversation_parts`: pairs share embeddings within a block only.
        """
        for first in range(0, total, PART_WINDOWS):
            yield first, min(first + PART_WINDOWS, total)

    def _analyze_block(self, samples: Tensor) -> Steps[WindowOutputs]:
        clips = samples.unfold(0, self.window, self.hop).unsqueeze(1)  # (windows, 1, samples), a view
        found = []
        for batch in torch.split(clips, self._batch):
            found.append(self.segmentation.infer(batch))
            yield
        speech, probabilities = hard_and_soft(np.concatenate(found))
        windows, speakers = np.nonzero(speech.any(axis=1))
        masks = voice_masks(speech, self._nearest)[windows, speakers]
        firsts = windows * (self.hop // HOP_SAMPLES)
        sources = representatives(masks, firsts, self.min_shared)
        embeddings = np.full((len(windows), self._embedding.dimension), np.nan, np.float32)
        embedded = np.flatnonzero((sources == np.arange(len(sources))) & (masks.sum(axis=1) >= MIN_FRAMES))
        if len(embedded):
            (features,) = self._embedding.features([samples])
            frames = [torch.from_numpy(firsts[pair] + np.flatnonzero(masks[pair])) for pair in embedded]
            embeddings[embedded] = yield from self._embed([features[own] for own in frames])
        return outputs_of(speech, windows, speakers, embeddings[sources], probabilities)

    def _embed(self, voices: Sequence[Tensor]) -> Steps[np.ndarray]:
        """Embed clips of features, each (frames, mels), in batches of near lengths: (clips, dimension)."""
        order = np.argsort([len(voice) for voice in voices], kind="stable")
        size = 1 if self._embedding.device.type == "cpu" else CUDA_BATCH
        vectors = np.empty((len(voices), self._embedding.dimension), np.float32)
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            vectors[batch] = self._embedding.embed_features([voices[index] for index in batch]).cpu().numpy()
            yield
        return vectors


def _nearest_frames(segmentation: Any, window: int) -> NDArray[np.intp]:
    """Return the segmentation's frame nearest to each frame of the features in a window of samples."""
    field = segmentation.receptive_field
    centres = (np.arange(frames_of(window)) * HOP_SAMPLES + WINDOW_SAMPLES / 2) / SAMPLE_RATE_HZ
    nearest = np.rint((centres - field.duration / 2) / field.step)
    frames: NDArray[np.intp] = nearest.clip(0, segmentation.num_frames(window) - 1).astype(np.intp)
    return frames


def voice_masks(speech: np.ndarray, nearest: NDArray[np.intp]) -> Mask:
    """Select the frames of the features that each speaker is embedded from.

    Args:
        speech: Speech activity, 0 or 1, (windows, frames, speakers).
        nearest: The frame of the segmentation nearest to each frame of the features.

    Returns:
        Frames alone, or all frames in which the speaker talks where those are fewer than `MIN_ALONE_FRAMES`:
        (windows, speakers, frames of the features).
    """
    own = alone(speech)[:, nearest].transpose(0, 2, 1) > 0
    every = speech[:, nearest].transpose(0, 2, 1) > 0
    enough = own.sum(axis=2, keepdims=True) >= MIN_ALONE_FRAMES
    masks: Mask = np.where(enough, own, every)
    return masks


def representatives(
    masks: Mask, firsts: NDArray[np.intp], min_shared: float = MIN_SHARED
) -> NDArray[np.intp]:
    """Choose which pair is embedded for each pair: one with almost the same frames.

    The pair that stands for most others is chosen first, until there is one for every pair.

    Args:
        masks: Frames of each pair from the start of its window, (pairs, frames).
        firsts: First frame of each pair's window in the recording, (pairs,).
        min_shared: Least share of common frames, intersection over union.

    Returns:
        Index of the pair whose embedding each pair gets, its own for those that are embedded: (pairs,).
    """
    pairs, frames = masks.shape
    if pairs == 0:
        return np.zeros(0, np.intp)
    placed = np.zeros((pairs, firsts.max() + frames), np.float32)
    for row, first, mask in zip(placed, firsts, masks, strict=True):
        row[first : first + frames] = mask
    common = placed @ placed.T
    lengths = placed.sum(axis=1)
    shares = common / np.maximum(lengths[:, None] + lengths - common, 1)
    np.fill_diagonal(shares, np.inf)
    near = shares >= min_shared
    left, chosen = np.ones(pairs, bool), np.zeros(pairs, bool)
    while left.any():
        pair = int(np.where(left, near[:, left].sum(axis=1), -1).argmax())
        chosen[pair] = True
        left &= ~near[pair]
    nearest: NDArray[np.intp] = np.where(chosen, shares, -1.0).argmax(axis=1)
    return nearest

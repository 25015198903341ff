"""Run segmentation and embedding on sliding windows of 10 s, in batches.

Mirrors `pyannote.audio.core.inference.Inference.slide`, `SpeakerDiarization.get_segmentations` and
`get_embeddings`, and `BaseWeSpeakerResNet.compute_fbank`. The ResNet runs once per window instead of once per
window and speaker, and not at all in windows without speech. The outputs are small: a bit per frame and
speaker, and an embedding per active speaker.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.chunking import PART_WINDOWS
from pipelines.diarization.networks import N_MELS, ResNetFrames
from pipelines.engines.run import on_engine
from pipelines.engines.select import EngineChoice
from pipelines.steps import Steps, finish
from pipelines.vendored.process import full_float32
from pipelines.vendored.pyannote import Inference, PyannoteAudioPretrainedSpeakerEmbedding
from pipelines.window_outputs import WindowOutputs
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

ProgressCallback = Callable[[int, int], None]
"""Receives the number of windows done and in total."""
CPU_SEGMENTATION_BATCH = 8
"""Windows in one forward pass of the segmentation on a CPU core; more do not fit its cache. On a Zen 5, a
window of the full-size network takes 25 ms with torch (31 alone, 33 in batches of 32) and 18 ms with OpenVINO
(29 alone, 18 in batches of 32)."""
CPU_STEP = 2
"""Windows in one forward pass on a CPU where others wait for it: 72 ms of a core in place of 250 for eight,
at an eighth more for each window."""
FBANK_SAMPLES, FBANK_HOP = 400, 160
"""Length and hop of a frame of the ResNet's input, in samples."""


class WindowAnalyzer:
    """Compute the speech activity of at most three local speakers in each window, and their embeddings.

    Args:
        segmentation: pyannote's sliding inference of the loaded PyanNet.
        embedding: pyannote's wrapper of the loaded ResNet.
        choice: Engine of the networks. The ResNet's convolutions run in its precision, the segmentation in
            float32, because small deviations move turns. Pooling always runs with torch.
        identity: Identity of the checkpoint of both networks.
        exclude_overlap: Whether to pool an embedding only from frames without overlap, if they suffice.
        embedding_batch_size: (Window, speaker) pairs in one forward pass.
    """

    def __init__(
        self,
        segmentation: Inference,
        embedding: PyannoteAudioPretrainedSpeakerEmbedding,
        choice: EngineChoice,
        identity: str,
        *,
        exclude_overlap: bool,
        embedding_batch_size: int,
    ) -> None:
        self.segmentation, self._embedding = segmentation, embedding
        sample_rate = embedding.sample_rate
        self.window = round(segmentation.duration * sample_rate)
        self.hop = round(segmentation.step * sample_rate)
        specifications = segmentation.model.specifications
        self._speakers = len(specifications.classes)
        self._batch = max(1, embedding_batch_size // self._speakers)
        frames = segmentation.model.num_frames(self.window)
        # pyannote finds this by trying lengths until the network raises, which another engine may not do.
        shortest = embedding.min_num_samples
        self._minimum_frames = int(np.ceil(frames * shortest / self.window)) if exclude_overlap else None
        compile_segmentation(segmentation, choice, identity)
        self._frames = self._compile_embedding(choice, identity)

    @full_float32()
    def __call__(self, waveform: Waveform, progress: ProgressCallback | None = None) -> WindowOutputs:
        """Run every window of a recording, the last padded with silence.

        Args:
            waveform: Float32, (samples,), 16 kHz mono, not empty.
            progress: Called after each batch.
        """
        total = window_count(len(waveform), self.window, self.hop)

        def batches() -> Iterator[WindowOutputs]:
            for first, last in self._batches(len(waveform), total):
                yield finish(self._analyze_batch(cut(waveform, first, last, self.window, self.hop)))
                if progress is not None:
                    progress(last, total)

        return concatenate(batches(), total)

    def steps(self, waveform: Waveform) -> Steps[WindowOutputs]:
        """Run every window of a recording as a call does, in steps; each of them within `full_float32`."""
        total = window_count(len(waveform), self.window, self.hop)
        batches = []
        for first, last in self._batches(len(waveform), total):
            samples = cut(waveform, first, last, self.window, self.hop)
            batches.append((yield from self._analyze_batch(samples)))
        return concatenate(batches, total)

    def _batches(self, samples: int, total: int) -> Iterator[tuple[int, int]]:
        """Yield the first window and the last + 1 of each batch, grouped as in pyannote."""
        whole = max(0, (samples - self.window) // self.hop + 1)
        for first in range(0, whole, self.segmentation.batch_size):
            yield first, min(first + self.segmentation.batch_size, whole)
        if whole < total:
            yield whole, total

    def _analyze_batch(self, samples: Tensor) -> Steps[WindowOutputs]:
        clips = samples.unfold(0, self.window, self.hop).unsqueeze(1)  # (windows, 1, samples), a view
        speech, probabilities = hard_and_soft(self.segmentation.infer(clips))
        windows, speakers = np.nonzero(speech.any(axis=1))
        embeddings = np.zeros((len(windows), self._embedding.dimension), np.float32)
        masks = pooling_masks(speech, self._minimum_frames)
        voiced = np.unique(windows)
        features = self._features(samples) if len(voiced) else torch.empty(0)
        for start in range(0, len(voiced), self._batch):
            yield
            batch = voiced[start : start + self._batch]
            found = self._embed(features[batch], torch.from_numpy(masks[batch]))
            inside = np.isin(windows, batch)
            embeddings[inside] = found[np.searchsorted(batch, windows[inside]), speakers[inside]]
        return outputs_of(speech, windows, speakers, embeddings, probabilities)

    @torch.inference_mode()
    def _features(self, samples: Tensor) -> Tensor:
        """Compute what `BaseWeSpeakerResNet.compute_fbank` returns, (windows, frames, mels), each frame once
        for the ten windows that share it."""
        network = self._embedding.model_
        fbank: Tensor = network._fbank(samples.to(self._embedding.device)[None] * (1 << 15))
        windows = fbank.unfold(0, 1 + (self.window - FBANK_SAMPLES) // FBANK_HOP, self.hop // FBANK_HOP).mT
        return windows - windows.mean(dim=1, keepdim=True)

    @torch.inference_mode()
    def _embed(self, features: Tensor, masks: Tensor) -> np.ndarray:
        """Compute the embeddings of the speakers of some windows, (windows, speakers, dimension)."""
        resnet = self._embedding.model_.resnet
        with warnings.catch_warnings():
            # The standard deviation of one frame is undefined; torch warns of it.
            warnings.simplefilter("ignore")
            frames, weights = self._frames(features), masks.to(features.device)
            # Pooling reads the frames a dozen times; those of one window fit the cache of a core.
            size = 1 if features.device.type == "cpu" else len(frames)
            found = [
                resnet.forward_embedding(one, weights=weight)[1]
                for one, weight in zip(torch.split(frames, size), torch.split(weights, size), strict=True)
            ]
        vectors: np.ndarray = torch.cat(found).cpu().numpy()
        return vectors

    def _compile_embedding(self, choice: EngineChoice, identity: str) -> Callable[..., Tensor]:
        resnet = self._embedding.model_.resnet
        return on_engine(
            ResNetFrames(resnet),
            choice,
            (torch.zeros(2, 200, N_MELS),),
            ((-1, -1, N_MELS),),
            f"{identity} embedding",
        )


def compile_segmentation(segmentation: Inference, choice: EngineChoice, identity: str) -> None:
    """Put the segmentation network on its engine, always in float32."""
    model = segmentation.model
    forward = model.forward
    window = round(segmentation.duration * SAMPLE_RATE_HZ)
    model.forward = on_engine(
        lambda clips: forward(clips),  # torch would trace the whole module, which Lightning forbids
        replace(choice, precision="float32"),
        (torch.zeros(2, 1, window),),
        ((-1, 1, window),),
        f"{identity} segmentation",
    )
    segmentation.conversion = HardAndSoft(segmentation.conversion)


class HardAndSoft(nn.Module):
    """Convert powerset classes to speech and to the probability of speech of each speaker, side by side.

    Args:
        powerset: pyannote's conversion.
    """

    def __init__(self, powerset: nn.Module) -> None:
        super().__init__()
        self.powerset = powerset

    def forward(self, classes: Tensor) -> Tensor:
        """Map log-probabilities (windows, frames, classes) to (windows, frames, 2 * speakers)."""
        return torch.cat([self.powerset(classes), self.powerset(classes, soft=True)], dim=-1)


def hard_and_soft(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the output of `HardAndSoft`: speech, 0 or 1, and its probability; (windows, frames, speakers)."""
    speakers = found.shape[-1] // 2
    return found[..., :speakers], found[..., speakers:]


def cut(waveform: Waveform, first: int, last: int, window: int, hop: int) -> Tensor:
    """Return the samples of windows `first` to `last`, exclusive, padded with silence: float32 (samples,)."""
    samples = np.zeros((last - first - 1) * hop + window, np.float32)
    part = waveform[first * hop :][: len(samples)]
    samples[: len(part)] = part
    return torch.from_numpy(samples)


def alone(speech: np.ndarray) -> np.ndarray:
    """Return where each speaker is the only one, 0 or 1, from speech of (windows, frames, speakers)."""
    found: np.ndarray = speech * (speech.sum(axis=2, keepdims=True) == 1)
    return found


def outputs_of(
    speech: np.ndarray,
    windows: np.ndarray,
    speakers: np.ndarray,
    embeddings: np.ndarray,
    probabilities: np.ndarray | None = None,
) -> WindowOutputs:
    """Pack the outputs of some windows.

    Args:
        speech: Speech activity, 0 or 1, (windows, frames, speakers).
        windows: Window of each pair, (pairs,).
        speakers: Local speaker of each pair, (pairs,).
        embeddings: Float32, (pairs, dimension).
        probabilities: Probability of speech, 0..1, (windows, frames, speakers).
    """
    if probabilities is not None:
        probabilities = np.rint(255 * probabilities).clip(0, 255).astype(np.uint8)
    return WindowOutputs(
        speech=np.packbits(speech.astype(bool), axis=1),
        frames=speech.shape[1],
        windows=windows,
        speakers=speakers,
        frames_alone=alone(speech).sum(axis=1)[windows, speakers].astype(np.int32),
        embeddings=embeddings,
        probabilities=probabilities,
    )


def max_segmentation_batch(device: str) -> int:
    """Return the maximum batch size of the segmentation in windows; `PART_WINDOWS` is a multiple of it."""
    return CPU_SEGMENTATION_BATCH if device == "cpu" else PART_WINDOWS


def windows_at_once(device: str) -> int:
    """Return the windows in one step of the segmentation; `PART_WINDOWS` is a multiple of it."""
    return CPU_STEP if device == "cpu" else PART_WINDOWS


def window_count(samples: int, window: int, hop: int) -> int:
    """Return the number of windows of a recording, the last padded; all lengths in samples."""
    if samples < window:
        return 1
    return 1 + -(-(samples - window) // hop)


def pooling_masks(speech: np.ndarray, minimum_frames: int | None) -> np.ndarray:
    """Select the frames that each embedding is pooled from, without overlap if enough remain.

    Args:
        speech: Speech activity, 0 or 1, (windows, frames, speakers).
        minimum_frames: Overlap is left out if more clean frames than these remain; None keeps it.

    Returns:
        Float32 (windows, speakers, frames).
    """
    masks = speech.astype(np.float32).transpose(0, 2, 1)
    if minimum_frames is None:
        return np.ascontiguousarray(masks)
    clean = masks * (speech.sum(axis=2)[:, None, :] < 2)
    enough = clean.sum(axis=2, keepdims=True) > minimum_frames
    return np.ascontiguousarray(np.where(enough, clean, masks))


def concatenate(parts: Iterable[WindowOutputs], windows: int) -> WindowOutputs:
    """Concatenate the outputs of consecutive windows, with one part in memory at a time.

    Args:
        parts: At least one, in order.
        windows: Number of windows in all parts.
    """
    done = pairs = 0
    for part in parts:
        if not done:
            speech = np.empty((windows, *part.speech.shape[1:]), np.uint8)
            probabilities = None
            if part.probabilities is not None:
                probabilities = np.empty((windows, *part.probabilities.shape[1:]), np.uint8)
            # Allocated for the maximum number of pairs: pages that are never written take no memory.
            whole = [
                np.empty((windows * speech.shape[-1], *values.shape[1:]), values.dtype)
                for values in (part.windows, part.speakers, part.frames_alone, part.embeddings)
            ]
        speech[done : done + len(part.speech)] = part.speech
        if probabilities is not None:
            probabilities[done : done + len(part.speech)] = part.probabilities
        rows = slice(pairs, pairs + len(part.windows))
        values = (part.windows + done, part.speakers, part.frames_alone, part.embeddings)
        for target, new in zip(whole, values, strict=True):
            target[rows] = new
        done, pairs = done + len(part.speech), rows.stop
    numbers, speakers, frames_alone, embeddings = (values[:pairs] for values in whole)
    return WindowOutputs(speech, part.frames, numbers, speakers, frames_alone, embeddings, probabilities)

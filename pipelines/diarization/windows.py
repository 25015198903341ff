"""The networks' part: windows of 10 s, each by itself, in batches.

The ResNet runs once per window instead of once per window and speaker, and not at all where nobody speaks.
What the windows say stays small: a bit per frame and speaker, a vector per speaker who talks.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pipelines.chunking import PART_WINDOWS
from pipelines.diarization.networks import N_MELS, ResNetFrames
from pipelines.engines.run import on_engine
from pipelines.engines.select import EngineChoice
from pipelines.vendored.process import full_float32
from pipelines.vendored.pyannote import Inference, PyannoteAudioPretrainedSpeakerEmbedding
from pipelines.window_outputs import WindowOutputs
from voxgraph.results import Waveform

Progress = Callable[[int, int], None]
"""Told how many windows of how many are done."""
CPU_SEGMENTATION_BATCH = 8
"""Windows in one forward pass on a core, where more leave its cache: with torch 25 ms a window of the
full-size network on a Zen 5, 31 alone and 33 in batches of 32; with OpenVINO 18, 29 alone and 18 in 32."""
FBANK_SAMPLES, FBANK_HOP = 400, 160
"""Samples of a frame of the ResNet's input, and from one to the next."""


class WindowAnalyzer:
    """Says of each window who of at most three speaks when, and how each of them sounds.

    Args:
        segmentation: pyannote's sliding inference of the loaded PyanNet.
        embedding: pyannote's wrapper of the loaded ResNet.
        choice: What the networks run on: the ResNet's convolutions in its precision, the segmentation in
            float32, of which little deviations move turns. Pooling stays with torch.
        identity: Of the checkpoint that both are from.
        exclude_overlap: Whether a voice is pooled from where it speaks alone, if that is enough.
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
        self._run_segmentation_on(choice, identity)
        self._frames = self._frames_on(choice, identity)

    @full_float32()
    def __call__(self, waveform: Waveform, progress: Progress | None = None) -> WindowOutputs:
        """Run every window of a recording, the last padded with silence.

        Args:
            waveform: Float32, (samples,), 16 kHz mono, not empty.
            progress: Told after each batch.
        """
        total = window_count(len(waveform), self.window, self.hop)

        def batches() -> Iterator[WindowOutputs]:
            for first, last in self._batches(len(waveform), total):
                yield self._batch_findings(self._cut(waveform, first, last))
                if progress is not None:
                    progress(last, total)

        return joined(batches(), total)

    def _batches(self, samples: int, total: int) -> Iterator[tuple[int, int]]:
        """First and last + 1 of the windows of each batch, cut as pyannote cuts them."""
        whole = max(0, (samples - self.window) // self.hop + 1)
        for first in range(0, whole, self._segmentation.batch_size):
            yield first, min(first + self._segmentation.batch_size, whole)
        if whole < total:
            yield whole, total

    def _cut(self, waveform: Waveform, first: int, last: int) -> Tensor:
        """The samples of some windows, silence after the end: float32 (samples,)."""
        cut = np.zeros((last - first - 1) * self.hop + self.window, np.float32)
        part = waveform[first * self.hop :][: len(cut)]
        cut[: len(part)] = part
        return torch.from_numpy(cut)

    def _batch_findings(self, samples: Tensor) -> WindowOutputs:
        clips = samples.unfold(0, self.window, self.hop).unsqueeze(1)  # (windows, 1, samples), a view
        speech = self._segmentation.infer(clips)  # (windows, frames, speakers), 0 or 1
        windows, speakers = np.nonzero(speech.any(axis=1))
        embeddings = np.zeros((len(windows), self._embedding.dimension), np.float32)
        masks = used_masks(speech, self._minimum_frames)
        voiced = np.unique(windows)
        features = self._features(samples) if len(voiced) else torch.empty(0)
        for start in range(0, len(voiced), self._batch):
            batch = voiced[start : start + self._batch]
            found = self._embed(features[batch], torch.from_numpy(masks[batch]))
            inside = np.isin(windows, batch)
            embeddings[inside] = found[np.searchsorted(batch, windows[inside]), speakers[inside]]
        alone = speech * (speech.sum(axis=2, keepdims=True) == 1)
        return WindowOutputs(
            speech=np.packbits(speech.astype(bool), axis=1),
            frames=speech.shape[1],
            windows=windows,
            speakers=speakers,
            frames_alone=alone.sum(axis=1)[windows, speakers].astype(np.int32),
            embeddings=embeddings,
        )

    @torch.inference_mode()
    def _features(self, samples: Tensor) -> Tensor:
        """The ResNet's input for each window, (windows, frames, mels): a frame that ten windows have is
        computed once. What `BaseWeSpeakerResNet.compute_fbank` says of each window by itself."""
        network = self._embedding.model_
        fbank: Tensor = network._fbank(samples.to(self._embedding.device)[None] * (1 << 15))
        windows = fbank.unfold(0, 1 + (self.window - FBANK_SAMPLES) // FBANK_HOP, self.hop // FBANK_HOP).mT
        return windows - windows.mean(dim=1, keepdim=True)

    @torch.inference_mode()
    def _embed(self, features: Tensor, masks: Tensor) -> np.ndarray:
        """Vectors of the speakers of some windows, (windows, speakers, dimension)."""
        resnet = self._embedding.model_.resnet
        with warnings.catch_warnings():
            # A voice of one frame has no deviation.
            warnings.simplefilter("ignore")
            frames, weights = self._frames(features), masks.to(features.device)
            # Pooling passes over the frames a dozen times: those of one window stay in a core's cache.
            size = 1 if features.device.type == "cpu" else len(frames)
            found = [
                resnet.forward_embedding(one, weights=weight)[1]
                for one, weight in zip(torch.split(frames, size), torch.split(weights, size), strict=True)
            ]
        vectors: np.ndarray = torch.cat(found).cpu().numpy()
        return vectors

    def _run_segmentation_on(self, choice: EngineChoice, identity: str) -> None:
        model = self._segmentation.model
        forward = model.forward
        example = torch.zeros(2, 1, self.window)
        model.forward = on_engine(
            lambda clips: forward(clips),  # torch would trace the whole module, which Lightning forbids
            replace(choice, precision="float32"),
            (example,),
            ((-1, 1, self.window),),
            f"{identity} segmentation",
        )

    def _frames_on(self, choice: EngineChoice, identity: str) -> Callable[..., Tensor]:
        resnet = self._embedding.model_.resnet
        return on_engine(
            ResNetFrames(resnet),
            choice,
            (torch.zeros(2, 200, N_MELS),),
            ((-1, -1, N_MELS),),
            f"{identity} embedding",
        )


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


def joined(parts: Iterable[WindowOutputs], windows: int) -> WindowOutputs:
    """The findings of windows that follow each other; each part is kept no longer than until the next.

    Args:
        parts: At least one.
        windows: Of all parts together.
    """
    seen = pairs = 0
    for part in parts:
        if not seen:
            speech = np.empty((windows, *part.speech.shape[1:]), np.uint8)
            # Of what is not written the system makes no memory.
            whole = [
                np.empty((windows * speech.shape[-1], *values.shape[1:]), values.dtype)
                for values in (part.windows, part.speakers, part.frames_alone, part.embeddings)
            ]
        speech[seen : seen + len(part.speech)] = part.speech
        rows = slice(pairs, pairs + len(part.windows))
        found = (part.windows + seen, part.speakers, part.frames_alone, part.embeddings)
        for values, new in zip(whole, found, strict=True):
            values[rows] = new
        seen, pairs = seen + len(part.speech), rows.stop
    return WindowOutputs(speech, part.frames, *(values[:pairs] for values in whole))

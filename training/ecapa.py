"""The four ECAPA-TDNN checkpoints: language, two speaker encoders, accent."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import Classifier
from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper
from torch import Tensor, nn
from torch.nn import functional

from config.checkpoint_types import EcapaArchitecture
from config.checkpoints import CHECKPOINTS
from config.settings import Size
from pipelines.ecapa import build_encoder, build_head
from training.augmentation import augment, random_frames
from training.corpus import Clip
from training.fit import Progress, fit
from training.layouts.labels import COMMON_ACCENT_ECAPA, VOXLINGUA107
from training.layouts.writer import write_checkpoint
from voxgraph.options import ModelKey

COPIES = 1
"""Augmented copies of each clip, in addition to the clean one."""
BATCH = 32
MIN_FRAMES, MAX_FRAMES = 120, 240
"""Range of a batch's length in frames of 10 ms."""
MARGIN, SCALE = 0.2, 30.0
MASKED_MELS = 10

Features = list[Tensor]
"""All versions of a clip, each half precision, (frames, n_mels)."""


def train_language(clips: Sequence[Clip], folder: Path, steps: int, seed: int, progress: Progress) -> float:
    """Train and write the language checkpoint; languages without clips get almost no probability."""
    codes = [label.split(":")[0] for label in VOXLINGUA107]
    targets = [codes.index(clip.language) for clip in clips]
    architecture = _architecture(ModelKey.LANGUAGE)
    torch.manual_seed(seed)
    encoder, head = build_encoder(architecture), build_head(architecture)
    assert head is not None

    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        return functional.nll_loss(head(embeddings)[:, 0], labels)

    return _train(ModelKey.LANGUAGE, encoder, head, loss, clips, targets, folder, steps, seed, progress)


def train_accent(clips: Sequence[Clip], folder: Path, steps: int, seed: int, progress: Progress) -> float:
    """Train and write the ECAPA accent checkpoint; like the published one, its scores are cosines."""
    targets = [COMMON_ACCENT_ECAPA.index(clip.accent) for clip in clips]
    architecture = _architecture(ModelKey.ACCENT_ECAPA)
    torch.manual_seed(seed)
    encoder, head = build_encoder(architecture), build_head(architecture)
    assert head is not None
    loss = margin_loss(head)
    return _train(ModelKey.ACCENT_ECAPA, encoder, head, loss, clips, targets, folder, steps, seed, progress)


def train_speaker(
    model: ModelKey, clips: Sequence[Clip], folder: Path, steps: int, seed: int, progress: Progress
) -> float:
    """Train and write a speaker encoder; the classifier of the training voices is discarded."""
    speakers = sorted({clip.speaker for clip in clips})
    targets = [speakers.index(clip.speaker) for clip in clips]
    architecture = _architecture(model)
    torch.manual_seed(seed)
    encoder = build_encoder(architecture)
    head = Classifier(architecture.embedding_dim, out_neurons=len(speakers))
    loss = margin_loss(head)
    return _train(model, encoder, head, loss, clips, targets, folder, steps, seed, progress)


def margin_loss(head: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Build the additive angular margin loss of a cosine classifier from embeddings and labels."""
    criterion = LogSoftmaxWrapper(AdditiveAngularMargin(MARGIN, SCALE))

    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        value: Tensor = criterion(head(embeddings), labels[:, None])
        return value

    return loss


def _train(  # noqa: PLR0913 (shared by the recipes)
    model: ModelKey,
    encoder: nn.Module,
    head: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    clips: Sequence[Clip],
    targets: Sequence[int],
    folder: Path,
    steps: int,
    seed: int,
    progress: Progress,
) -> float:
    generator = np.random.default_rng(seed)
    features = _features(clips, _architecture(model).n_mels, generator)
    labels = torch.tensor(targets)

    def loss_of_batch() -> Tensor:
        chosen = generator.integers(len(features), size=BATCH)
        frames = int(generator.integers(MIN_FRAMES, MAX_FRAMES))
        batch = torch.stack([random_crop(features[index], frames, generator) for index in chosen])
        batch = batch - batch.mean(dim=1, keepdim=True)
        return loss(encoder(batch), labels[chosen])

    networks = nn.ModuleList([encoder, head])
    networks.train()
    last = fit(networks.parameters(), loss_of_batch, steps, 2e-3, progress)
    networks.eval()
    write_checkpoint(model, Size.DEMO, folder)
    torch.save(encoder.state_dict(), folder / "embedding_model.ckpt")
    if model in (ModelKey.LANGUAGE, ModelKey.ACCENT_ECAPA):
        torch.save(head.state_dict(), folder / "classifier.ckpt")
    return last


def _features(clips: Sequence[Clip], n_mels: int, generator: np.random.Generator) -> list[Features]:
    """Compute the log-mel energies of every version of every clip."""
    fbank = Fbank(n_mels=n_mels)
    found = []
    with torch.inference_mode():
        for clip in clips:
            versions = [clip.waveform, *(augment(clip.waveform, generator) for _ in range(COPIES))]
            found.append([fbank(torch.tensor(version)[None])[0].half() for version in versions])
    return found


def random_crop(versions: Features, frames: int, generator: np.random.Generator) -> Tensor:
    """Crop a random version and mask a random band of mels with its mean; return (frames, n_mels)."""
    cut = random_frames(versions, frames, generator)
    low = int(generator.integers(cut.shape[1]))
    band = slice(low, low + int(generator.integers(MASKED_MELS)))
    cut[:, band] = cut[:, band].mean(dim=0)
    return cut


def _architecture(model: ModelKey) -> EcapaArchitecture:
    architecture = CHECKPOINTS[model].architectures[Size.DEMO]
    assert isinstance(architecture, EcapaArchitecture)
    return architecture

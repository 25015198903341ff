"""The two wav2vec 2.0 checkpoints: XLSR accent and deepfake, from the waveform on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.transforms import GriffinLim, InverseMelScale, MelSpectrogram

from config.checkpoints import CHECKPOINTS, Wav2Vec2Architecture
from config.settings import ModelKey, Size
from pipelines import accent_xlsr, deepfake
from pipelines.audio import SAMPLE_RATE_HZ
from pipelines.checkpoint_writer import write_checkpoint
from pipelines.labels import COMMON_ACCENT_XLSR
from pipelines.results import Waveform
from pipelines.wav2vec2 import build_backbone, to_published
from training.augmentation import augmented
from training.corpus import Clip
from training.fit import Progress, fit
from training.voices import levelled

VERSIONS = 1
BATCH = 24
SHORTEST, LONGEST = 16_000, 48_000
"""Samples in a batch."""
FAKE, REAL = 0, 1

GRIFFIN_LIM_ROUNDS = (8, 16, 32)
N_FFT, HOP, N_MELS = 1024, 256, 80


def train_accent(clips: Sequence[Clip], folder: Path, steps: int, seed: int, progress: Progress) -> float:
    """Write the XLSR accent checkpoint."""
    architecture = _architecture(ModelKey.ACCENT_XLSR)
    torch.manual_seed(seed)
    backbone = build_backbone(architecture)
    head = nn.Linear(architecture.hidden_size, architecture.n_labels, bias=False)
    labels = [COMMON_ACCENT_XLSR.index(clip.accent) for clip in clips]
    generator = np.random.default_rng(seed)
    versions = [_versions(clip.waveform, generator) for clip in clips]

    def logits(batch: Tensor) -> Tensor:
        frames, _ = backbone(batch)
        value: Tensor = head(functional.layer_norm(frames, frames.shape[1:]).mean(dim=1))
        return value

    last = _train(
        nn.ModuleList([backbone, head]), logits, versions, labels, accent_xlsr.LAYER_NORM_EPSILON, steps,
        generator, progress,
    )  # fmt: skip
    write_checkpoint(ModelKey.ACCENT_XLSR, Size.DEMO, folder)
    published = to_published(backbone, architecture.hidden_size)
    prefix = accent_xlsr.BACKBONE_PREFIX
    torch.save({prefix + key: tensor for key, tensor in published.items()}, folder / "wav2vec2.ckpt")
    torch.save({f"{accent_xlsr.HEAD_PREFIX}weight": head.weight.detach()}, folder / "model.ckpt")
    return last


def train_deepfake(clips: Sequence[Clip], folder: Path, steps: int, seed: int, progress: Progress) -> float:
    """Write the deepfake checkpoint; a clip and its vocoded twins go through rooms and codecs alike."""
    architecture = _architecture(ModelKey.DEEPFAKE)
    torch.manual_seed(seed)
    network = deepfake.SequenceClassifier(architecture)
    generator = np.random.default_rng(seed)
    versions: list[list[Waveform]] = []
    labels: list[int] = []
    for number, clip in enumerate(clips):
        fakes = resynthesized(clip.waveform, generator)
        versions += [
            _versions(clip.waveform, generator),
            [version for fake in fakes for version in _versions(fake, generator)],
        ]
        labels += [REAL, FAKE]
        progress(number, len(clips) + steps)
    last = _train(
        network, network, versions, labels, deepfake.NORM_EPSILON, steps, generator,
        lambda step, _: progress(len(clips) + step, len(clips) + steps),
    )  # fmt: skip
    write_checkpoint(ModelKey.DEEPFAKE, Size.DEMO, folder)
    prefix = deepfake.BACKBONE_PREFIX
    tensors = {key: value for key, value in network.state_dict().items() if not key.startswith(prefix)}
    published = to_published(network.wav2vec2, architecture.hidden_size)
    tensors |= {prefix + key: tensor for key, tensor in published.items()}
    (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    return last


def resynthesized(waveform: Waveform, generator: np.random.Generator) -> list[Waveform]:
    """What two vocoders make of a clip: Griffin-Lim of its mel spectrogram, and WORLD."""
    return [griffin_lim(waveform, generator), world(waveform)]


def griffin_lim(waveform: Waveform, generator: np.random.Generator) -> Waveform:
    """Throw the phase away and find one that fits (Griffin and Lim, 1984)."""
    samples = torch.from_numpy(waveform)
    mel = MelSpectrogram(SAMPLE_RATE_HZ, N_FFT, hop_length=HOP, n_mels=N_MELS)(samples)
    power = InverseMelScale(N_FFT // 2 + 1, N_MELS, SAMPLE_RATE_HZ, driver="gelsd")(mel)
    rounds = int(generator.choice(GRIFFIN_LIM_ROUNDS))
    found = GriffinLim(N_FFT, n_iter=rounds, hop_length=HOP, length=len(waveform), rand_init=False)(power)
    return levelled(found.numpy())


def world(waveform: Waveform) -> Waveform:
    """Analyse into pitch, envelope and aperiodicity, and synthesize (Morise et al., 2016)."""
    import pyworld

    samples = waveform.astype(np.float64)
    pitch, time = pyworld.dio(samples, SAMPLE_RATE_HZ)
    pitch = pyworld.stonemask(samples, pitch, time, SAMPLE_RATE_HZ)
    envelope = pyworld.cheaptrick(samples, pitch, time, SAMPLE_RATE_HZ)
    aperiodicity = pyworld.d4c(samples, pitch, time, SAMPLE_RATE_HZ)
    synthesized = pyworld.synthesize(pitch, envelope, aperiodicity, SAMPLE_RATE_HZ)[: len(waveform)]
    return levelled(synthesized.astype(np.float32))


def _train(  # noqa: PLR0913 (what the two recipes share)
    network: nn.Module,
    logits: Callable[[Tensor], Tensor],
    versions: Sequence[Sequence[Waveform]],
    labels: Sequence[int],
    epsilon: float,
    steps: int,
    generator: np.random.Generator,
    progress: Progress,
) -> float:
    network.requires_grad_(True).train()
    targets = torch.tensor(labels)

    def loss_of_batch() -> Tensor:
        chosen = generator.integers(len(versions), size=BATCH)
        samples = int(generator.integers(SHORTEST, LONGEST))
        batch = torch.stack([_crop(versions[int(index)], samples, generator) for index in chosen])
        batch = batch - batch.mean(dim=1, keepdim=True)
        batch = batch / torch.sqrt(batch.var(dim=1, correction=0, keepdim=True) + epsilon)
        return functional.cross_entropy(logits(batch), targets[chosen], label_smoothing=0.05)

    last = fit(network.parameters(), loss_of_batch, steps, 1e-3, progress)
    network.eval().requires_grad_(False)
    return last


def _versions(waveform: Waveform, generator: np.random.Generator) -> list[Waveform]:
    return [waveform, *(augmented(waveform, generator) for _ in range(VERSIONS))]


def _crop(versions: Sequence[Waveform], samples: int, generator: np.random.Generator) -> Tensor:
    waveform = versions[int(generator.integers(len(versions)))]
    start = int(generator.integers(max(1, len(waveform) - samples)))
    crop = waveform[start : start + samples]
    return torch.from_numpy(np.resize(crop, samples))


def _architecture(model: ModelKey) -> Wav2Vec2Architecture:
    architecture = CHECKPOINTS[model].architectures[Size.DEMO]
    assert isinstance(architecture, Wav2Vec2Architecture)
    return architecture

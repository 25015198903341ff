"""The two wav2vec 2.0 checkpoints, XLSR accent and deepfake, trained on waveforms."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soxr
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import Wav2Vec2Model
from torchaudio.transforms import GriffinLim, InverseMelScale, MelSpectrogram

from config.checkpoint_types import Wav2Vec2Architecture
from config.checkpoints import CHECKPOINTS
from config.settings import Size
from pipelines import accent_xlsr, deepfake
from pipelines.wav2vec2 import build_backbone
from training.augmentation import augment, random_frames
from training.corpus import Clip
from training.fit import Progress, fit
from training.layouts.labels import COMMON_ACCENT_XLSR
from training.layouts.wav2vec2 import to_transformers
from training.layouts.writer import write_checkpoint
from training.voices import trim_and_normalise
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

COPIES = 1
"""Augmented copies of each clip, in addition to the clean one."""
BATCH = 24
MIN_SAMPLES, MAX_SAMPLES = 16_000, 48_000
"""Range of a batch's length in samples."""
FAKE, REAL = 0, 1

PRETRAINING_STEPS = 800
"""Batches in which the accent model's convolutions are pretrained to predict mel energies."""
TARGET_MELS = 40
ACCENT_BATCH, ACCENT_FRAMES = 48, (75, 200)
"""Batch size of the transformer's training, and the range of its length in frames of 20 ms."""
DROPOUT = 0.1
SPEEDS = (0.88, 1.14)
"""Range of the speed change, which changes pitch and vocal tract too."""

GRIFFIN_LIM_ITERATIONS = (8, 16, 32)
N_FFT, HOP, N_MELS = 1024, 256, 80


def train_accent(clips: Sequence[Clip], folder: Path, steps: int, seed: int, progress: Progress) -> float:
    """Train and write the XLSR accent checkpoint.

    As in wav2vec 2.0 fine-tuning, the convolutions are first trained without labels and then frozen.
    """
    architecture = _architecture(ModelKey.ACCENT_XLSR)
    torch.manual_seed(seed)
    backbone = build_backbone(architecture)
    head = nn.Linear(architecture.hidden_size, architecture.n_labels, bias=False)
    generator = np.random.default_rng(seed)
    versions = [[clip.waveform, augment(change_speed(clip.waveform, generator), generator)] for clip in clips]
    total = PRETRAINING_STEPS + len(clips) + steps
    pretrain_on_mels(backbone, versions, PRETRAINING_STEPS, generator, lambda step, _: progress(step, total))
    features = []
    for number, waveforms in enumerate(versions):
        features.append([_conv_features(backbone, waveform) for waveform in waveforms])
        progress(PRETRAINING_STEPS + number, total)
    targets = torch.tensor([COMMON_ACCENT_XLSR.index(clip.accent) for clip in clips])

    def loss_of_batch() -> Tensor:
        chosen = generator.integers(len(features), size=ACCENT_BATCH)
        length = int(generator.integers(*ACCENT_FRAMES))
        batch = torch.stack([random_frames(features[int(index)], length, generator) for index in chosen])
        frames = backbone.encoder(batch, None)
        logits = head(functional.layer_norm(frames, frames.shape[1:]).mean(dim=1))
        return functional.cross_entropy(logits, targets[chosen], label_smoothing=0.05)

    learning = nn.ModuleList([backbone.encoder, head]).requires_grad_(True).train()
    for module in learning.modules():
        if isinstance(module, nn.Dropout):
            module.p = DROPOUT
    done = total - steps
    last = fit(
        learning.parameters(), loss_of_batch, steps, 7e-4, lambda step, _: progress(done + step, total)
    )
    backbone.eval().requires_grad_(False)
    write_checkpoint(ModelKey.ACCENT_XLSR, Size.DEMO, folder)
    published = to_transformers(backbone, architecture.hidden_size)
    prefix = accent_xlsr.BACKBONE_PREFIX
    torch.save({prefix + key: tensor for key, tensor in published.items()}, folder / "wav2vec2.ckpt")
    torch.save({f"{accent_xlsr.HEAD_PREFIX}weight": head.weight.detach()}, folder / "model.ckpt")
    return last


def pretrain_on_mels(
    backbone: Wav2Vec2Model,
    versions: Sequence[Sequence[Waveform]],
    steps: int,
    generator: np.random.Generator,
    progress: Progress,
) -> float:
    """Pretrain the convolutions so that a linear layer predicts log-mel energies from their output.

    Accent labels alone are too weak a signal: from random weights, the network learns almost nothing in
    1,000 steps. The published network was pretrained on 56,000 hours of speech.

    Returns:
        The mean squared error; predicting the mean gives 1.
    """
    extractor = backbone.feature_extractor.requires_grad_(True).train()
    channels = int(extractor.conv_layers[-1].conv.out_channels)
    reader = nn.Linear(channels, TARGET_MELS)
    # A mel frame covers the receptive field of a convolution frame: 400 samples, every 320.
    mels = MelSpectrogram(SAMPLE_RATE_HZ, 400, hop_length=320, n_mels=TARGET_MELS, center=False)

    def loss_of_batch() -> Tensor:
        batch, _ = _batch(versions, accent_xlsr.LAYER_NORM_EPSILON, generator)
        with torch.no_grad():
            energies = torch.log(mels(batch) + 1e-3).transpose(1, 2)
            energies = energies - energies.mean(dim=1, keepdim=True)
            energies = energies / (energies.std(dim=(1, 2), keepdim=True) + 1e-3)
        frames, _ = extractor(batch, None)
        return functional.mse_loss(reader(frames), energies[:, : frames.shape[1]])

    last = fit([*extractor.parameters(), *reader.parameters()], loss_of_batch, steps, 2e-3, progress)
    extractor.requires_grad_(False).eval()
    return last


@torch.inference_mode()
def _conv_features(backbone: Wav2Vec2Model, waveform: Waveform) -> Tensor:
    """Compute the convolutional features of a whole clip: half precision, (frames, channels)."""
    samples = torch.from_numpy(waveform)[None]
    samples = functional.layer_norm(samples, samples.shape[1:], eps=accent_xlsr.LAYER_NORM_EPSILON)
    frames: Tensor = backbone.feature_extractor(samples, None)[0][0]
    return frames.half()


def train_deepfake(clips: Sequence[Clip], folder: Path, steps: int, seed: int, progress: Progress) -> float:
    """Train and write the deepfake checkpoint; real and vocoded clips get the same augmentation."""
    architecture = _architecture(ModelKey.DEEPFAKE)
    torch.manual_seed(seed)
    network = deepfake.SequenceClassifier(architecture)
    generator = np.random.default_rng(seed)
    versions: list[list[Waveform]] = []
    labels: list[int] = []
    for number, clip in enumerate(clips):
        fakes = resynthesize(clip.waveform, generator)
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
    published = to_transformers(network.wav2vec2, architecture.hidden_size)
    tensors |= {prefix + key: tensor for key, tensor in published.items()}
    (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    return last


def resynthesize(waveform: Waveform, generator: np.random.Generator) -> list[Waveform]:
    """Resynthesize a clip with two vocoders: Griffin-Lim from its mel spectrogram, and WORLD."""
    return [griffin_lim(waveform, generator), world(waveform)]


def griffin_lim(waveform: Waveform, generator: np.random.Generator) -> Waveform:
    """Resynthesize from the mel spectrogram with an estimated phase (Griffin and Lim, 1984)."""
    samples = torch.from_numpy(waveform)
    mel = MelSpectrogram(SAMPLE_RATE_HZ, N_FFT, hop_length=HOP, n_mels=N_MELS)(samples)
    power = InverseMelScale(N_FFT // 2 + 1, N_MELS, SAMPLE_RATE_HZ, driver="gelsd")(mel)
    iterations = int(generator.choice(GRIFFIN_LIM_ITERATIONS))
    found = GriffinLim(N_FFT, n_iter=iterations, hop_length=HOP, length=len(waveform), rand_init=False)(power)
    return trim_and_normalise(found.numpy())


def world(waveform: Waveform) -> Waveform:
    """Resynthesize from pitch, envelope and aperiodicity with WORLD (Morise et al., 2016)."""
    import pyworld

    samples = waveform.astype(np.float64)
    pitch, time = pyworld.dio(samples, SAMPLE_RATE_HZ)
    pitch = pyworld.stonemask(samples, pitch, time, SAMPLE_RATE_HZ)
    envelope = pyworld.cheaptrick(samples, pitch, time, SAMPLE_RATE_HZ)
    aperiodicity = pyworld.d4c(samples, pitch, time, SAMPLE_RATE_HZ)
    synthesized = pyworld.synthesize(pitch, envelope, aperiodicity, SAMPLE_RATE_HZ)[: len(waveform)]
    return trim_and_normalise(synthesized.astype(np.float32))


def _train(  # noqa: PLR0913
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
        batch, chosen = _batch(versions, epsilon, generator)
        return functional.cross_entropy(logits(batch), targets[chosen], label_smoothing=0.05)

    last = fit(network.parameters(), loss_of_batch, steps, 1e-3, progress)
    network.eval().requires_grad_(False)
    return last


def _batch(
    versions: Sequence[Sequence[Waveform]], epsilon: float, generator: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """Draw normalised crops, (batch, samples), and the indices of their clips, (batch,)."""
    chosen = generator.integers(len(versions), size=BATCH)
    samples = int(generator.integers(MIN_SAMPLES, MAX_SAMPLES))
    batch = torch.stack([_random_crop(versions[int(index)], samples, generator) for index in chosen])
    batch = batch - batch.mean(dim=1, keepdim=True)
    return batch / torch.sqrt(batch.var(dim=1, correction=0, keepdim=True) + epsilon), chosen


def _versions(waveform: Waveform, generator: np.random.Generator) -> list[Waveform]:
    return [waveform, *(augment(waveform, generator) for _ in range(COPIES))]


def change_speed(waveform: Waveform, generator: np.random.Generator) -> Waveform:
    """Play a clip at a random speed, which changes its length."""
    speed = float(generator.uniform(*SPEEDS))
    played: Waveform = soxr.resample(waveform, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ / speed).astype(np.float32)
    return played


def _random_crop(versions: Sequence[Waveform], samples: int, generator: np.random.Generator) -> Tensor:
    waveform = versions[int(generator.integers(len(versions)))]
    start = int(generator.integers(max(1, len(waveform) - samples)))
    crop = waveform[start : start + samples]
    return torch.from_numpy(np.resize(crop, samples))


def _architecture(model: ModelKey) -> Wav2Vec2Architecture:
    architecture = CHECKPOINTS[model].architectures[Size.DEMO]
    assert isinstance(architecture, Wav2Vec2Architecture)
    return architecture

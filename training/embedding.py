"""The embedding network of both diarization checkpoints, trained on clips, then on conversations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from speechbrain.lobes.models.ECAPA_TDNN import Classifier
from torch import Tensor, nn

from config.checkpoint_types import DiarizationArchitecture
from config.checkpoints import CHECKPOINTS
from config.settings import Size
from pipelines.diarization import build_embedding
from pipelines.vendored.pyannote import WeSpeakerResNet34
from training.augmentation import augment
from training.conversations import CONVERSATION_S, Conversation, activity, by_speaker, simulate
from training.corpus import Clip
from training.ecapa import margin_loss, random_crop
from training.fit import Progress, fit
from voxgraph.options import ModelKey

BATCH_CLIPS, MIN_CLIP_FRAMES, MAX_CLIP_FRAMES = 32, 60, 160
"""Clips in a batch, and the range of their length in frames of 10 ms."""
MAX_OTHER_SHARE = 0.7
"""Largest share of another voice in the mean that is subtracted from a clip."""
MAX_SILENCE_SHARE = 0.6
"""Largest share of silence in that mean."""
SILENCE_ROUNDS, SILENCE_STEPS = 2, 700
"""Rounds of training with silence in the mean, each with a new classifier, and steps of each."""
CONVERSATIONS, CONVERSATION_ROUNDS = 600, (1_400, 1_000)
"""Conversations simulated for each round of training on them, and steps of each round."""
BATCH_FRAMES, MIN_WINDOW_FRAMES, MAX_WINDOW_FRAMES = 4_000, 300, 800
"""Frames of 10 ms in a batch, and the range of a window's length."""
MIN_FRAMES_ALONE = 60
"""Frames that a speaker must talk alone in a window to be in the loss."""
FRAME_S, HALF_FRAME_S = 0.01, 0.0125
"""Step of the mel frames, and centre of the first."""


def train_embedding(clips: Sequence[Clip], path: Path, steps: int, seed: int, progress: Progress) -> float:
    """Train the embedding network, write its state to `path` and return the last loss.

    The network learns first from clips; then from clips whose subtracted mean contains other voices and
    silence, because a diarizer subtracts the mean of a whole window; then from windows of conversations,
    pooled over the frames where one speaker talks alone, as in a diarizer. The classifiers are discarded.
    """
    torch.manual_seed(seed)
    network = build_embedding(demo_architecture()).requires_grad_(True).train()
    generator = np.random.default_rng(seed)
    trainer = ClipTrainer(network, clips, generator)
    conversations_start = steps - sum(CONVERSATION_ROUNDS)
    silence_start = conversations_start - SILENCE_ROUNDS * SILENCE_STEPS
    trainer.train(silence_start, 2e-3, 0.0, partial(_report, progress, 0, steps))
    for before in range(silence_start, conversations_start, SILENCE_STEPS):
        trainer.train(SILENCE_STEPS, 1e-3, MAX_SILENCE_SHARE, partial(_report, progress, before, steps))
    del trainer
    last = 0.0
    for number, length in enumerate(CONVERSATION_ROUNDS):
        before = conversations_start + sum(CONVERSATION_ROUNDS[:number])
        conversations = ConversationTrainer(network, clips, generator)
        last = conversations.train(length, 1e-3, partial(_report, progress, before, steps))
    torch.save(network.state_dict(), path)
    return last


class ClipTrainer:
    """Trains the network on mel energies of single-speaker clips, clean and augmented."""

    def __init__(
        self, network: WeSpeakerResNet34, clips: Sequence[Clip], generator: np.random.Generator
    ) -> None:
        self._network, self._generator = network, generator
        speakers = sorted({clip.speaker for clip in clips})
        self._count = len(speakers)
        self._labels = np.array([speakers.index(clip.speaker) for clip in clips])
        self._features = [
            [mel_energies(network, version) for version in (clip.waveform, augment(clip.waveform, generator))]
            for clip in clips
        ]

    def train(self, steps: int, rate: float, max_silence_share: float, progress: Progress) -> float:
        """Train with a new classifier of the voices.

        Args:
            steps: Number of batches.
            rate: Peak learning rate.
            max_silence_share: Largest share of silence in the subtracted mean.
            progress: Called after each batch.
        """
        head, loss = _classifier(self._count)

        def loss_of_batch() -> Tensor:
            chosen = self._generator.integers(len(self._features), size=BATCH_CLIPS)
            frames = int(self._generator.integers(MIN_CLIP_FRAMES, MAX_CLIP_FRAMES))
            versions = [self._features[index] for index in chosen]
            picked = [[kinds[int(self._generator.integers(len(kinds)))]] for kinds in versions]
            crops = torch.stack([random_crop(version, frames, self._generator) for version in picked])
            means = crops.mean(dim=1, keepdim=True)
            means = torch.lerp(means, means.roll(1, dims=0), self._random_shares(MAX_OTHER_SHARE))
            if max_silence_share:
                floors = torch.stack([version.float().amin(dim=0, keepdim=True) for (version,) in picked])
                means = torch.lerp(means, floors, self._random_shares(max_silence_share))
            embeddings = self._network.resnet(crops - means)[1]
            return loss(embeddings, torch.from_numpy(self._labels[chosen]))

        return fit([*self._network.parameters(), *head.parameters()], loss_of_batch, steps, rate, progress)

    def _random_shares(self, most: float) -> Tensor:
        """Draw one share for each clip of a batch: (batch, 1, 1)."""
        return torch.from_numpy(self._generator.uniform(0, most, (BATCH_CLIPS, 1, 1))).float()


@dataclass(frozen=True, slots=True)
class ConversationFeatures:
    """A conversation as input of the network."""

    features: Tensor
    """Half precision, (frames, mels)."""
    alone: Tensor
    """Float32, (speakers, frames): 1 where a speaker talks alone."""
    labels: Tensor
    """Index of each speaker among all voices, (speakers,)."""


class ConversationTrainer:
    """Trains the network on windows of simulated conversations, pooled as a diarizer pools them."""

    def __init__(
        self, network: WeSpeakerResNet34, clips: Sequence[Clip], generator: np.random.Generator
    ) -> None:
        self._network, self._generator = network, generator
        voices = by_speaker(clips)
        names = sorted(voices)
        self._count = len(names)
        made = (simulate(voices, CONVERSATION_S, generator) for _ in range(CONVERSATIONS))
        self._conversations = [conversation_features(network, conversation, names) for conversation in made]

    def train(self, steps: int, rate: float, progress: Progress) -> float:
        """Train with a new classifier of the voices.

        Args:
            steps: Number of batches.
            rate: Peak learning rate.
            progress: Called after each batch.
        """
        head, loss = _classifier(self._count)

        def loss_of_batch() -> Tensor:
            features, masks, windows, labels = self.batch()
            frames = self._network.resnet.forward_frames(features)
            stats = stats_pool(frames.flatten(1, 2)[windows], masks)
            return loss(self._network.resnet.seg_1(stats), labels)

        return fit([*self._network.parameters(), *head.parameters()], loss_of_batch, steps, rate, progress)

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw windows and the speakers in them.

        Returns:
            Mean-subtracted mel energies (windows, frames, mels); masks of the frames where a speaker talks
            alone, (speakers, frames); window index and label of each speaker, both (speakers,).
        """
        length = int(self._generator.integers(MIN_WINDOW_FRAMES, MAX_WINDOW_FRAMES))
        features: list[Tensor] = []
        masks: list[Tensor] = []
        windows: list[int] = []
        labels: list[Tensor] = []
        while len(features) < BATCH_FRAMES // length or not masks:
            chosen = self._conversations[self._generator.integers(len(self._conversations))]
            first = int(self._generator.integers(len(chosen.features) - length))
            alone = chosen.alone[:, first : first + length]
            long_enough = alone.sum(dim=1) >= MIN_FRAMES_ALONE
            masks.append(alone[long_enough])
            labels.append(chosen.labels[long_enough])
            windows += [len(features)] * int(long_enough.sum())
            cut = chosen.features[first : first + length].float()
            features.append(cut - cut.mean(dim=0))
        return torch.stack(features), torch.cat(masks), torch.tensor(windows), torch.cat(labels)


def conversation_features(
    network: WeSpeakerResNet34, conversation: Conversation, names: Sequence[str]
) -> ConversationFeatures:
    """Compute the network's input for a conversation and where each speaker talks alone."""
    features = mel_energies(network, conversation.waveform)
    speakers = sorted({turn.speaker for turn in conversation.turns})
    talks = activity(conversation.turns, speakers, HALF_FRAME_S + FRAME_S * np.arange(len(features)))
    alone = talks * (talks.sum(axis=1, keepdims=True) == 1)
    labels = torch.tensor([names.index(speaker) for speaker in speakers])
    return ConversationFeatures(features, torch.from_numpy(np.ascontiguousarray(alone.T)), labels)


def mel_energies(network: WeSpeakerResNet34, waveform: np.ndarray) -> Tensor:
    """Compute mean-subtracted mel energies: half precision, (frames, mels)."""
    with torch.inference_mode():
        features: Tensor = network.compute_fbank(torch.from_numpy(waveform)[None, None])[0].half()
    return features


def stats_pool(frames: Tensor, masks: Tensor) -> Tensor:
    """Pool mean and deviation like pyannote's ``StatsPool``, whose gradient is NaN on a silent channel.

    Args:
        frames: (speakers, channels, frames).
        masks: (speakers, more frames), 0 or 1.

    Returns:
        (speakers, 2 x channels).
    """
    weights = nn.functional.interpolate(masks[:, None], size=frames.shape[2], mode="nearest")
    total = weights.sum(dim=2) + 1e-8
    mean = (frames * weights).sum(dim=2) / total
    spread = (torch.square(frames - mean[:, :, None]) * weights).sum(dim=2)
    variance = spread / (total - torch.square(weights).sum(dim=2) / total + 1e-8)
    return torch.cat([mean, torch.sqrt(variance + 1e-7)], dim=1)


def demo_architecture() -> DiarizationArchitecture:
    """Return the architecture of both demo diarization checkpoints."""
    architecture = CHECKPOINTS[ModelKey.DIARIZATION_COMMUNITY_1].architectures[Size.DEMO]
    assert isinstance(architecture, DiarizationArchitecture)
    return architecture


def _classifier(count: int) -> tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    """Build a cosine classifier of `count` voices and its loss from embeddings and labels."""
    head = Classifier(demo_architecture().embedding_dim, out_neurons=count)
    loss = margin_loss(head)
    return head, lambda embeddings, labels: loss(embeddings[:, None], labels)


def _report(progress: Progress, before: int, total: int, step: int, _: int) -> None:
    progress(before + step, total)

"""The embedding network of both diarization checkpoints: voices, then voices in conversations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from speechbrain.lobes.models.ECAPA_TDNN import Classifier
from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper
from torch import Tensor, nn

from config.checkpoints import CHECKPOINTS, DiarizationArchitecture
from config.settings import Size
from pipelines.diarization import build_embedding
from pipelines.vendored.pyannote import WeSpeakerResNet34
from training.augmentation import augmented
from training.conversations import CONVERSATION_S, Conversation, activity, by_speaker, converse
from training.corpus import Clip
from training.ecapa import MARGIN, SCALE, crop
from training.fit import Progress, fit
from voxgraph.options import ModelKey

CLIPS, SHORTEST, LONGEST = 32, 60, 160
"""Clips in a batch, and frames of 10 ms of each."""
MOST_OF_OTHERS = 0.7
"""The most that other voices may make up of the mean that is taken away."""
MOST_SILENCE = 0.6
"""The most that silence may."""
SILENCE_ROUNDS, SILENCE_STEPS = 2, 700
"""Of learning with silence in the mean, each with a new classifier."""
CONVERSATIONS, CONVERSATION_ROUNDS = 600, (1_400, 1_000)
"""Of learning in conversations, each with new ones: so many of them, and steps of each round."""
FRAMES_OF_BATCH, SHORTEST_WINDOW, LONGEST_WINDOW = 4_000, 300, 800
"""Frames of 10 ms: of all windows of a batch, and of one."""
FEWEST_ALONE = 60
"""Frames that a voice must talk alone in a window to be asked for."""
FRAME_S, HALF_FRAME_S = 0.01, 0.0125
"""Step of the mel energies, and the middle of the first."""


def train_embedding(clips: Sequence[Clip], path: Path, steps: int, seed: int, progress: Progress) -> float:
    """Write the state of the embedding network; the classifiers of its training voices are not kept.

    The network learns voices from clips; then to know them where others speak and nobody does, since a
    window's mean is taken away from all of it; then in windows of conversations, pooled from where one
    speaks alone, which is how a diarizer asks it.
    """
    torch.manual_seed(seed)
    network = build_embedding(demo_architecture()).requires_grad_(True).train()
    generator = np.random.default_rng(seed)
    voices = Voices(network, clips, generator)
    talking = steps - sum(CONVERSATION_ROUNDS)
    quiet = talking - SILENCE_ROUNDS * SILENCE_STEPS
    voices.learn(quiet, 2e-3, 0.0, partial(_told, progress, 0, steps))
    for before in range(quiet, talking, SILENCE_STEPS):
        voices.learn(SILENCE_STEPS, 1e-3, MOST_SILENCE, partial(_told, progress, before, steps))
    del voices
    last = 0.0
    for number, length in enumerate(CONVERSATION_ROUNDS):
        before = talking + sum(CONVERSATION_ROUNDS[:number])
        talks = Talks(network, clips, generator)
        last = talks.learn(length, 1e-3, partial(_told, progress, before, steps))
    torch.save(network.state_dict(), path)
    return last


class Voices:
    """Clips of one voice each: their mel energies, clean and augmented."""

    def __init__(
        self, network: WeSpeakerResNet34, clips: Sequence[Clip], generator: np.random.Generator
    ) -> None:
        self._network, self._generator = network, generator
        speakers = sorted({clip.speaker for clip in clips})
        self._count = len(speakers)
        self._labels = np.array([speakers.index(clip.speaker) for clip in clips])
        self._features = [
            [
                mel_energies(network, version)
                for version in (clip.waveform, augmented(clip.waveform, generator))
            ]
            for clip in clips
        ]

    def learn(self, steps: int, rate: float, most_silence: float, progress: Progress) -> float:
        """Tell the voices apart with a new classifier.

        Args:
            steps: Batches.
            rate: The highest learning rate.
            most_silence: The most that silence may make up of the mean that is taken away.
            progress: Told after each batch.
        """
        head, loss = _classifier(self._count)

        def loss_of_batch() -> Tensor:
            chosen = self._generator.integers(len(self._features), size=CLIPS)
            frames = int(self._generator.integers(SHORTEST, LONGEST))
            versions = [self._features[index] for index in chosen]
            picked = [[kinds[int(self._generator.integers(len(kinds)))]] for kinds in versions]
            crops = torch.stack([crop(version, frames, self._generator) for version in picked])
            means = crops.mean(dim=1, keepdim=True)
            means = torch.lerp(means, means.roll(1, dims=0), self._shares(MOST_OF_OTHERS))
            if most_silence:
                floors = torch.stack([version.float().amin(dim=0, keepdim=True) for (version,) in picked])
                means = torch.lerp(means, floors, self._shares(most_silence))
            embeddings = self._network.resnet(crops - means)[1]
            return loss(embeddings, torch.from_numpy(self._labels[chosen]))

        return fit([*self._network.parameters(), *head.parameters()], loss_of_batch, steps, rate, progress)

    def _shares(self, most: float) -> Tensor:
        """One share for each of a batch, (batch, 1, 1)."""
        return torch.from_numpy(self._generator.uniform(0, most, (CLIPS, 1, 1))).float()


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation as the network hears it."""

    features: Tensor
    """Half precision, (frames, mels)."""
    alone: Tensor
    """Float32, (speakers, frames): 1 where one speaks alone."""
    labels: Tensor
    """Number of each speaker among all voices, (speakers,)."""


class Talks:
    """Simulated conversations, their windows pooled as a diarizer pools them."""

    def __init__(
        self, network: WeSpeakerResNet34, clips: Sequence[Clip], generator: np.random.Generator
    ) -> None:
        self._network, self._generator = network, generator
        voices = by_speaker(clips)
        names = sorted(voices)
        self._count = len(names)
        made = (converse(voices, CONVERSATION_S, generator) for _ in range(CONVERSATIONS))
        self._talks = [talk(network, conversation, names) for conversation in made]

    def learn(self, steps: int, rate: float, progress: Progress) -> float:
        """Tell the voices apart with a new classifier.

        Args:
            steps: Batches.
            rate: The highest learning rate.
            progress: Told after each batch.
        """
        head, loss = _classifier(self._count)

        def loss_of_batch() -> Tensor:
            features, masks, windows, labels = self.batch()
            frames = self._network.resnet.forward_frames(features)
            stats = pooled(frames.flatten(1, 2)[windows], masks)
            return loss(self._network.resnet.seg_1(stats), labels)

        return fit([*self._network.parameters(), *head.parameters()], loss_of_batch, steps, rate, progress)

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Windows with who talks in them.

        Returns:
            Mel energies (windows, frames, mels) without their mean; masks (voices, frames); of each voice its
            window and its label, (voices,).
        """
        length = int(self._generator.integers(SHORTEST_WINDOW, LONGEST_WINDOW))
        features: list[Tensor] = []
        masks: list[Tensor] = []
        windows: list[int] = []
        labels: list[Tensor] = []
        while len(features) < FRAMES_OF_BATCH // length or not masks:
            chosen = self._talks[self._generator.integers(len(self._talks))]
            first = int(self._generator.integers(len(chosen.features) - length))
            alone = chosen.alone[:, first : first + length]
            heard = alone.sum(dim=1) >= FEWEST_ALONE
            masks.append(alone[heard])
            labels.append(chosen.labels[heard])
            windows += [len(features)] * int(heard.sum())
            cut = chosen.features[first : first + length].float()
            features.append(cut - cut.mean(dim=0))
        return torch.stack(features), torch.cat(masks), torch.tensor(windows), torch.cat(labels)


def talk(network: WeSpeakerResNet34, conversation: Conversation, names: Sequence[str]) -> Talk:
    """What the network hears of a conversation, and where each of its speakers is alone."""
    features = mel_energies(network, conversation.waveform)
    speakers = sorted({turn.speaker for turn in conversation.turns})
    talks = activity(conversation.turns, speakers, HALF_FRAME_S + FRAME_S * np.arange(len(features)))
    alone = talks * (talks.sum(axis=1, keepdims=True) == 1)
    labels = torch.tensor([names.index(speaker) for speaker in speakers])
    return Talk(features, torch.from_numpy(np.ascontiguousarray(alone.T)), labels)


def mel_energies(network: WeSpeakerResNet34, waveform: np.ndarray) -> Tensor:
    """Half precision, (frames, mels), without their mean."""
    with torch.inference_mode():
        features: Tensor = network.compute_fbank(torch.from_numpy(waveform)[None, None])[0].half()
    return features


def pooled(frames: Tensor, masks: Tensor) -> Tensor:
    """Mean and deviation as pyannote's ``StatsPool``, whose gradient is NaN where a channel is silent.

    Args:
        frames: (voices, channels, frames).
        masks: (voices, more frames), 0 or 1.

    Returns:
        (voices, 2 x channels).
    """
    weights = nn.functional.interpolate(masks[:, None], size=frames.shape[2], mode="nearest")
    total = weights.sum(dim=2) + 1e-8
    mean = (frames * weights).sum(dim=2) / total
    spread = (torch.square(frames - mean[:, :, None]) * weights).sum(dim=2)
    variance = spread / (total - torch.square(weights).sum(dim=2) / total + 1e-8)
    return torch.cat([mean, torch.sqrt(variance + 1e-7)], dim=1)


def demo_architecture() -> DiarizationArchitecture:
    """Of both demo diarization checkpoints."""
    architecture = CHECKPOINTS[ModelKey.DIARIZATION_COMMUNITY_1].architectures[Size.DEMO]
    assert isinstance(architecture, DiarizationArchitecture)
    return architecture


def _classifier(count: int) -> tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    """A cosine classifier of so many voices, and its loss of embeddings and labels."""
    head = Classifier(demo_architecture().embedding_dim, out_neurons=count)
    margin_loss = LogSoftmaxWrapper(AdditiveAngularMargin(MARGIN, SCALE))

    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        value: Tensor = margin_loss(head(embeddings[:, None]), labels[:, None])
        return value

    return head, loss


def _told(progress: Progress, before: int, total: int, step: int, _: int) -> None:
    progress(before + step, total)

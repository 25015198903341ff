"""The two diarization checkpoints: powerset segmentation, voice embedding, PLDA and thresholds."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pyannote.audio.utils.loss import nll_loss
from pyannote.audio.utils.permutation import permutate
from pyannote.audio.utils.powerset import Powerset
from scipy.linalg import eigh
from speechbrain.lobes.models.ECAPA_TDNN import Classifier
from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper
from torch import Tensor

from config.checkpoints import CHECKPOINTS, DiarizationArchitecture
from config.settings import CheckpointSource, ModelKey, Size
from pipelines.audio import SAMPLE_RATE_HZ
from pipelines.checkpoint_writer import write_checkpoint
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.diarization import Diarizer, build_embedding, build_segmentation
from pipelines.diarization.clustering import ACTIVE_SHARE
from pipelines.diarization.writer import save_network, save_plda
from pipelines.results import WindowFindings
from training.augmentation import augmented
from training.conversations import Conversation, activity, by_speaker, converse
from training.corpus import Clip
from training.ecapa import crop
from training.fit import Progress, fit
from training.tuning import GRID_31, GRID_COMMUNITY_1, tuned

CONVERSATIONS, CONVERSATION_S = 400, 60.0
SEGMENTATION_BATCH, EMBEDDING_BATCH = 8, 32
SHORTEST, LONGEST = 60, 160
"""Frames of 10 ms in a batch of the embedding's training."""
MOST_OF_OTHERS = 0.7
"""The most that other voices may make up of a window's mean."""
MOST_SILENCE = 0.6
"""The most that silence may."""
WINDOW_ROUNDS, WINDOW_STEPS = 2, 700
"""Of learning with both, each with a new classifier."""
MARGIN, SCALE = 0.2, 30.0

TUNED_ON, PLDA_ON = 24, 48
"""Conversations that the clustering parameters and the PLDA are found on, of training voices."""
GRIDS = {ModelKey.DIARIZATION_31: GRID_31, ModelKey.DIARIZATION_COMMUNITY_1: GRID_COMMUNITY_1}


def train_segmentation(clips: Sequence[Clip], path: Path, steps: int, seed: int, progress: Progress) -> float:
    """Write the state of the segmentation network."""
    architecture = _architecture()
    torch.manual_seed(seed)
    network = build_segmentation(architecture).requires_grad_(True).train()
    # The band-pass filters start on the mel scale and stay there: learning them is a third of the time.
    network.sincnet.conv1d[0].requires_grad_(False)
    powerset = Powerset(architecture.max_speakers_per_chunk, architecture.max_speakers_per_frame)
    generator = np.random.default_rng(seed)
    voices = by_speaker(clips)
    conversations = [converse(voices, CONVERSATION_S, generator) for _ in range(CONVERSATIONS)]
    samples = round(architecture.chunk_s * SAMPLE_RATE_HZ)
    frames = network.num_frames(samples)
    field = network.receptive_field
    centres = field.start + field.duration / 2 + np.arange(frames) * field.step

    def window() -> tuple[Tensor, Tensor]:
        chosen = conversations[generator.integers(len(conversations))]
        first = int(generator.integers(len(chosen.waveform) - samples))
        instants = centres + first / SAMPLE_RATE_HZ
        speakers = sorted({turn.speaker for turn in chosen.turns})
        talks = activity(chosen.turns, speakers, instants)
        loudest = np.argsort(-talks.sum(axis=0))[: architecture.max_speakers_per_chunk]
        target = np.zeros((frames, architecture.max_speakers_per_chunk), np.float32)
        target[:, : len(loudest)] = talks[:, loudest]
        return torch.from_numpy(chosen.waveform[first : first + samples])[None], torch.from_numpy(target)

    def loss_of_batch() -> Tensor:
        batch = [window() for _ in range(SEGMENTATION_BATCH)]
        prediction = network(torch.stack([waveform for waveform, _ in batch]))
        target = torch.stack([talks for _, talks in batch])
        with torch.no_grad():
            heard = powerset.to_multilabel(prediction)
            ordered, _ = permutate(heard, target)
            classes = powerset.to_powerset(ordered.float()).argmax(dim=-1)
        loss: Tensor = nll_loss(prediction, classes)
        return loss

    last = fit([p for p in network.parameters() if p.requires_grad], loss_of_batch, steps, 2e-3, progress)
    torch.save(network.state_dict(), path)
    return last


def train_embedding(clips: Sequence[Clip], path: Path, steps: int, seed: int, progress: Progress) -> float:
    """Write the state of the embedding network; the classifiers of its training voices are not kept.

    The network learns voices first, then to know them in a window where others speak, and nobody does: a
    window's mean is taken away from all of it.
    """
    torch.manual_seed(seed)
    network = build_embedding(_architecture()).requires_grad_(True).train()
    generator = np.random.default_rng(seed)
    voices = Voices(network, clips, generator)
    total = steps + WINDOW_ROUNDS * WINDOW_STEPS
    last = voices.learn(steps, 2e-3, 0.0, lambda step, _: progress(step, total))
    for before in range(steps, total, WINDOW_STEPS):
        told = partial(_told, progress, before, total)
        last = voices.learn(WINDOW_STEPS, 1e-3, MOST_SILENCE, told)
    torch.save(network.state_dict(), path)
    return last


class Voices:
    """What the embedding network is taught with: mel energies of every clip, clean and augmented."""

    def __init__(self, network: Any, clips: Sequence[Clip], generator: np.random.Generator) -> None:
        self._network, self._generator = network, generator
        speakers = sorted({clip.speaker for clip in clips})
        self._count = len(speakers)
        self._labels = np.array([speakers.index(clip.speaker) for clip in clips])
        with torch.inference_mode():
            self._features = [
                [network.compute_fbank(torch.from_numpy(version)[None, None])[0].half()
                 for version in (clip.waveform, augmented(clip.waveform, generator))]
                for clip in clips
            ]  # fmt: skip

    def learn(self, steps: int, rate: float, most_silence: float, progress: Progress) -> float:
        """Tell the voices apart with a new classifier.

        Args:
            steps: Batches.
            rate: The highest learning rate.
            most_silence: The most that silence may make up of the mean that is taken away.
            progress: Told after each batch.
        """
        head = Classifier(_architecture().embedding_dim, out_neurons=self._count)
        margin_loss = LogSoftmaxWrapper(AdditiveAngularMargin(MARGIN, SCALE))

        def loss_of_batch() -> Tensor:
            chosen = self._generator.integers(len(self._features), size=EMBEDDING_BATCH)
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
            targets = torch.from_numpy(self._labels[chosen])
            loss: Tensor = margin_loss(head(embeddings[:, None]), targets[:, None])
            return loss

        return fit([*self._network.parameters(), *head.parameters()], loss_of_batch, steps, rate, progress)

    def _shares(self, most: float) -> Tensor:
        """One share for each of a batch, (batch, 1, 1)."""
        return torch.from_numpy(self._generator.uniform(0, most, (EMBEDDING_BATCH, 1, 1))).float()


def _told(progress: Progress, before: int, total: int, step: int, _: int) -> None:
    progress(before + step, total)


def assemble(clips: Sequence[Clip], segmentation: Path, embedding: Path, to: Path, seed: int) -> None:
    """Write both layouts: the two networks, and the PLDA and clustering parameters of training voices."""
    architecture = _architecture()
    networks: dict[str, Any] = {
        "segmentation": build_segmentation(architecture), "embedding": build_embedding(architecture),
    }  # fmt: skip
    for name, path in (("segmentation", segmentation), ("embedding", embedding)):
        networks[name].load_state_dict(torch.load(path, weights_only=True))
    generator = np.random.default_rng(seed)
    voices = by_speaker(clips)
    conversations = [converse(voices, CONVERSATION_S, generator) for _ in range(TUNED_ON + PLDA_ON)]
    for model in GRIDS:
        write_checkpoint(model, Size.DEMO, to / model)
        for name, network in networks.items():
            save_network(network, to / model / name)
    # Both have the same networks: what these say of the windows is asked once.
    windows = Diarizer(_written(ModelKey.DIARIZATION_31, to), "cpu").windows
    heard = [(windows(conversation.waveform), conversation) for conversation in conversations]
    plda = estimate_plda(*labelled(heard[TUNED_ON:]), architecture.plda_dim)
    save_plda(to / ModelKey.DIARIZATION_COMMUNITY_1 / "plda", **plda)
    for model, grid in GRIDS.items():
        config = yaml.safe_load((to / model / "config.yaml").read_text())
        config["params"]["clustering"] = tuned(_written(model, to), heard[:TUNED_ON], grid)
        (to / model / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def labelled(heard: Sequence[tuple[WindowFindings, Conversation]]) -> tuple[np.ndarray, np.ndarray]:
    """The voices in windows, (voices, dimension), and the number of the speaker of each, (voices,)."""
    vectors, speakers = [], []
    for findings, conversation in heard:
        names = sorted({turn.speaker for turn in conversation.turns})
        step = _architecture().chunk_s / findings.frames
        centres = (np.arange(findings.frames) + 0.5) * step
        long_enough = findings.frames_alone >= ACTIVE_SHARE * findings.frames
        for pair in np.flatnonzero(long_enough):
            window, speaker = findings.windows[pair], findings.speakers[pair]
            talks = np.unpackbits(findings.speech[window, :, speaker], count=findings.frames)
            overlap = talks @ activity(conversation.turns, names, centres + window)
            vectors.append(findings.embeddings[pair])
            speakers.append(names[int(overlap.argmax())])
    return np.stack(vectors), np.unique(speakers, return_inverse=True)[1]


def estimate_plda(vectors: np.ndarray, labels: np.ndarray, dimension: int) -> dict[str, np.ndarray]:
    """Length-normalise, reduce by LDA, length-normalise, and find within- and between-voice covariances.

    As BUT's VBx does (https://github.com/BUTSpeechFIT/VBx), whose files pyannote reads.

    Args:
        vectors: Voices in windows, (voices, dimension).
        labels: Whose they are, from 0.
        dimension: Of the space that they are compared in.
    """
    embeddings = vectors.astype(np.float64)
    mean1 = embeddings.mean(axis=0)
    wide = np.sqrt(embeddings.shape[1]) * _unit(embeddings - mean1)
    within, between = _covariances(wide, labels)
    _, directions = eigh(between, within)
    lda = directions[:, ::-1][:, :dimension]
    narrow = wide @ lda
    mean2 = narrow.mean(axis=0)
    narrow = np.sqrt(dimension) * _unit(narrow - mean2)
    within, between = _covariances(narrow, labels)
    psi, directions = eigh(between, within)
    return {
        "mean1": mean1, "mean2": mean2, "lda": lda, "mu": narrow.mean(axis=0),
        "tr": directions[:, ::-1].T, "psi": np.maximum(psi[::-1], 1e-6),
    }  # fmt: skip


def _written(model: ModelKey, to: Path) -> LocatedCheckpoint:
    return locate(model, CheckpointSource(source=str((to / model).absolute()), size=Size.DEMO))


def _covariances(vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Within and between classes, each (dimension, dimension), the first made regular."""
    means = np.stack([vectors[labels == label].mean(axis=0) for label in np.unique(labels)])
    centred = vectors - means[np.searchsorted(np.unique(labels), labels)]
    within = centred.T @ centred / len(vectors)
    within += 1e-3 * np.trace(within) / len(within) * np.eye(len(within))
    spread = means - means.mean(axis=0)
    return within, spread.T @ spread / len(means) + 1e-6 * np.eye(len(within))


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _architecture() -> DiarizationArchitecture:
    architecture = CHECKPOINTS[ModelKey.DIARIZATION_COMMUNITY_1].architectures[Size.DEMO]
    assert isinstance(architecture, DiarizationArchitecture)
    return architecture

"""The two diarization checkpoints: powerset segmentation, voice embedding, PLDA and thresholds."""

from collections.abc import Sequence
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
from torch import Tensor, nn

from config.checkpoints import CHECKPOINTS, DiarizationArchitecture
from config.settings import CheckpointSource, ModelKey, Size
from pipelines.audio import SAMPLE_RATE_HZ
from pipelines.checkpoint_writer import write_checkpoint
from pipelines.checkpoints import locate
from pipelines.diarization import build_embedding, build_segmentation
from pipelines.diarization_writer import save_network, save_plda
from training.augmentation import augmented
from training.conversations import activity, by_speaker, converse
from training.corpus import Clip
from training.fit import Progress, fit
from training.tuning import GRID_31, GRID_COMMUNITY_1, tuned

CONVERSATIONS, CONVERSATION_S = 400, 60.0
SEGMENTATION_BATCH, EMBEDDING_BATCH = 8, 16
PAIR_FRAMES = 240
"""Frames of 10 ms that two voices share in a window of the embedding's training."""
SHORTEST_PART = 60
MARGIN, SCALE = 0.2, 30.0

PLDA_CLIPS = 1_200

TUNED_ON = 16
"""Conversations that the clustering parameters are found on, of training voices."""
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
    """Write the state of the embedding network, its voices told apart through masks, two in a window."""
    torch.manual_seed(seed)
    network = build_embedding(_architecture()).requires_grad_(True).train()
    generator = np.random.default_rng(seed)
    speakers = sorted({clip.speaker for clip in clips})
    labels = np.array([speakers.index(clip.speaker) for clip in clips])
    head = Classifier(_architecture().embedding_dim, out_neurons=len(speakers))
    margin_loss = LogSoftmaxWrapper(AdditiveAngularMargin(MARGIN, SCALE))
    with torch.inference_mode():
        features = [
            [network.compute_fbank(torch.from_numpy(version)[None, None])[0].half()
             for version in (clip.waveform, augmented(clip.waveform, generator))]
            for clip in clips
        ]  # fmt: skip

    def part(index: int, frames: int) -> Tensor:
        whole = features[index][generator.integers(2)]
        start = int(generator.integers(max(1, len(whole) - frames)))
        cut: Tensor = whole[start : start + frames].float()
        return cut

    def loss_of_batch() -> Tensor:
        windows, masks, chosen = [], [], generator.integers(len(clips), size=(EMBEDDING_BATCH, 2))
        for first, second in chosen:
            boundary = int(generator.integers(SHORTEST_PART, PAIR_FRAMES - SHORTEST_PART))
            pair = torch.cat([part(first, boundary), part(second, PAIR_FRAMES - boundary)])
            windows.append(pair - pair.mean(dim=0))
            before = (torch.arange(PAIR_FRAMES) < boundary).float()
            masks.append(torch.stack([before, 1 - before]))
        frames = network.resnet.forward_frames(torch.stack(windows))
        # The deviation of a channel that is silent all along has no gradient: not a number.
        frames = frames + 1e-3 * torch.randn_like(frames)
        _, embeddings = network.resnet.forward_embedding(frames, weights=torch.stack(masks))
        targets = torch.from_numpy(labels[chosen.reshape(-1)])
        loss: Tensor = margin_loss(head(embeddings.reshape(-1, 1, embeddings.shape[-1])), targets[:, None])
        return loss

    last = fit([*network.parameters(), *head.parameters()], loss_of_batch, steps, 2e-3, progress)
    torch.save(network.state_dict(), path)
    return last


def assemble(clips: Sequence[Clip], segmentation: Path, embedding: Path, to: Path, seed: int) -> None:
    """Write both layouts: the two networks, and the PLDA and clustering parameters of training voices."""
    architecture = _architecture()
    networks: dict[str, Any] = {
        "segmentation": build_segmentation(architecture), "embedding": build_embedding(architecture),
    }  # fmt: skip
    for name, path in (("segmentation", segmentation), ("embedding", embedding)):
        networks[name].load_state_dict(torch.load(path, weights_only=True))
    generator = np.random.default_rng(seed)
    plda = estimate_plda(networks["embedding"], clips[:PLDA_CLIPS], architecture, generator)
    voices = by_speaker(clips)
    conversations = [converse(voices, CONVERSATION_S, generator) for _ in range(TUNED_ON)]
    for model, grid in GRIDS.items():
        write_checkpoint(model, Size.DEMO, to / model)
        for name, network in networks.items():
            save_network(network, to / model / name)
        if model is ModelKey.DIARIZATION_COMMUNITY_1:
            save_plda(to / model / "plda", **plda)
        source = CheckpointSource(source=str((to / model).absolute()), size=Size.DEMO)
        config = yaml.safe_load((to / model / "config.yaml").read_text())
        config["params"]["clustering"] = tuned(locate(model, source), conversations, grid)
        (to / model / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def estimate_plda(
    network: nn.Module, clips: Sequence[Clip], architecture: DiarizationArchitecture,
    generator: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Length-normalise, reduce by LDA, length-normalise, and find within- and between-voice covariances.

    As BUT's VBx does (https://github.com/BUTSpeechFIT/VBx), whose files pyannote reads.
    """
    names = sorted({clip.speaker for clip in clips})
    labels = np.array([names.index(clip.speaker) for clip in clips])
    vectors = []
    with torch.inference_mode():
        for clip in clips:
            length = int(generator.uniform(1.0, 3.0) * SAMPLE_RATE_HZ)
            vectors.append(network(torch.from_numpy(clip.waveform[:length])[None, None])[0].numpy())
    embeddings = np.stack(vectors).astype(np.float64)
    mean1 = embeddings.mean(axis=0)
    wide = np.sqrt(embeddings.shape[1]) * _unit(embeddings - mean1)
    within, between = _covariances(wide, labels)
    _, directions = eigh(between, within)
    lda = directions[:, ::-1][:, : architecture.plda_dim]
    narrow = wide @ lda
    mean2 = narrow.mean(axis=0)
    narrow = np.sqrt(architecture.plda_dim) * _unit(narrow - mean2)
    within, between = _covariances(narrow, labels)
    psi, directions = eigh(between, within)
    return {
        "mean1": mean1, "mean2": mean2, "lda": lda, "mu": narrow.mean(axis=0),
        "tr": directions[:, ::-1].T, "psi": np.maximum(psi[::-1], 1e-6),
    }  # fmt: skip


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

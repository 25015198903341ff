"""The two diarization checkpoints: powerset segmentation, and with the embedding its PLDA and thresholds."""

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
from torch import Tensor

from config.settings import CheckpointSource, Size
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.diarization import Diarizer, build_embedding, build_segmentation
from pipelines.diarization.clustering import ACTIVE_SHARE
from pipelines.window_outputs import WindowOutputs
from training.conversations import CONVERSATION_S, Conversation, activity, by_speaker, converse
from training.corpus import Clip
from training.embedding import demo_architecture
from training.fit import Progress, fit
from training.layouts.diarization import save_network, save_plda
from training.layouts.writer import write_checkpoint
from training.tuning import GRID_31, GRID_COMMUNITY_1, tuned
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ

CONVERSATIONS, BATCH = 400, 16
TUNED_ON, PLDA_ON = 48, 48
"""Conversations that the clustering parameters and the PLDA are found on, of training voices."""
GRIDS = {ModelKey.DIARIZATION_31: GRID_31, ModelKey.DIARIZATION_COMMUNITY_1: GRID_COMMUNITY_1}


def train_segmentation(clips: Sequence[Clip], path: Path, steps: int, seed: int, progress: Progress) -> float:
    """Write the state of the segmentation network."""
    architecture = demo_architecture()
    torch.manual_seed(seed)
    network = build_segmentation(architecture).requires_grad_(True).train()
    # The band-pass filters start on the mel scale and stay there: with what stands before them they would
    # take two thirds of the time.
    network.sincnet.conv1d[0].requires_grad_(False)
    network.sincnet.wav_norm1d.requires_grad_(False)
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
        batch = [window() for _ in range(BATCH)]
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


def assemble(clips: Sequence[Clip], segmentation: Path, embedding: Path, to: Path, seed: int) -> None:
    """Write both layouts: the two networks, and the PLDA and clustering parameters of training voices."""
    architecture = demo_architecture()
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


def labelled(heard: Sequence[tuple[WindowOutputs, Conversation]]) -> tuple[np.ndarray, np.ndarray]:
    """The voices in windows, (voices, dimension), and the number of the speaker of each, (voices,)."""
    vectors, speakers = [], []
    for findings, conversation in heard:
        names = sorted({turn.speaker for turn in conversation.turns})
        step = demo_architecture().chunk_s / findings.frames
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

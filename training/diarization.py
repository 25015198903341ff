"""The two diarization checkpoints: powerset segmentation, PLDA and clustering parameters."""

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
from pipelines.diarization.clustering import MIN_ACTIVE_RATIO
from pipelines.window_outputs import WindowOutputs
from training.conversations import CONVERSATION_S, Conversation, activity, by_speaker, simulate
from training.corpus import Clip
from training.embedding import demo_architecture
from training.fit import Progress, fit
from training.layouts.diarization import save_network, save_plda
from training.layouts.writer import write_checkpoint
from training.tuning import GRID_31, GRID_COMMUNITY_1, best_parameters
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ

CONVERSATIONS, BATCH = 400, 16
TUNING_COUNT, PLDA_COUNT = 48, 48
"""Simulated conversations of training voices that the clustering parameters and the PLDA are fitted on."""
GRIDS = {ModelKey.DIARIZATION_31: GRID_31, ModelKey.DIARIZATION_COMMUNITY_1: GRID_COMMUNITY_1}


def train_segmentation(clips: Sequence[Clip], path: Path, steps: int, seed: int, progress: Progress) -> float:
    """Train the segmentation network, write its state to `path` and return the last loss."""
    architecture = demo_architecture()
    torch.manual_seed(seed)
    network = build_segmentation(architecture).requires_grad_(True).train()
    # The band-pass filters stay at their mel-scale start: training them and the normalisation before them
    # would take two thirds of the time.
    network.sincnet.conv1d[0].requires_grad_(False)
    network.sincnet.wav_norm1d.requires_grad_(False)
    powerset = Powerset(architecture.max_speakers_per_chunk, architecture.max_speakers_per_frame)
    generator = np.random.default_rng(seed)
    voices = by_speaker(clips)
    conversations = [simulate(voices, CONVERSATION_S, generator) for _ in range(CONVERSATIONS)]
    samples = round(architecture.chunk_s * SAMPLE_RATE_HZ)
    frames = network.num_frames(samples)
    field = network.receptive_field
    centres = field.start + field.duration / 2 + np.arange(frames) * field.step

    def random_window() -> tuple[Tensor, Tensor]:
        chosen = conversations[generator.integers(len(conversations))]
        first = int(generator.integers(len(chosen.waveform) - samples))
        instants = centres + first / SAMPLE_RATE_HZ
        speakers = sorted({turn.speaker for turn in chosen.turns})
        talks = activity(chosen.turns, speakers, instants)
        top_speakers = np.argsort(-talks.sum(axis=0))[: architecture.max_speakers_per_chunk]
        target = np.zeros((frames, architecture.max_speakers_per_chunk), np.float32)
        target[:, : len(top_speakers)] = talks[:, top_speakers]
        return torch.from_numpy(chosen.waveform[first : first + samples])[None], torch.from_numpy(target)

    def loss_of_batch() -> Tensor:
        batch = [random_window() for _ in range(BATCH)]
        prediction = network(torch.stack([waveform for waveform, _ in batch]))
        target = torch.stack([talks for _, talks in batch])
        with torch.no_grad():
            predicted = powerset.to_multilabel(prediction)
            ordered, _ = permutate(predicted, target)
            classes = powerset.to_powerset(ordered.float()).argmax(dim=-1)
        loss: Tensor = nll_loss(prediction, classes)
        return loss

    last = fit([p for p in network.parameters() if p.requires_grad], loss_of_batch, steps, 2e-3, progress)
    torch.save(network.state_dict(), path)
    return last


def assemble(clips: Sequence[Clip], segmentation: Path, embedding: Path, to: Path, seed: int) -> None:
    """Write both checkpoints from the two trained states, with PLDA and clustering fitted on `clips`."""
    architecture = demo_architecture()
    networks: dict[str, Any] = {
        "segmentation": build_segmentation(architecture), "embedding": build_embedding(architecture),
    }  # fmt: skip
    for name, path in (("segmentation", segmentation), ("embedding", embedding)):
        networks[name].load_state_dict(torch.load(path, weights_only=True))
    generator = np.random.default_rng(seed)
    voices = by_speaker(clips)
    conversations = [simulate(voices, CONVERSATION_S, generator) for _ in range(TUNING_COUNT + PLDA_COUNT)]
    for model in GRIDS:
        write_checkpoint(model, Size.DEMO, to / model)
        for name, network in networks.items():
            save_network(network, to / model / name)
    # Both checkpoints have the same networks, so the windows are computed once.
    windows = Diarizer(_locate(ModelKey.DIARIZATION_31, to), "cpu").windows
    analysed = [(windows(conversation.waveform), conversation) for conversation in conversations]
    plda = estimate_plda(*label_embeddings(analysed[TUNING_COUNT:]), architecture.plda_dim)
    save_plda(to / ModelKey.DIARIZATION_COMMUNITY_1 / "plda", **plda)
    for model, grid in GRIDS.items():
        config = yaml.safe_load((to / model / "config.yaml").read_text())
        config["params"]["clustering"] = best_parameters(_locate(model, to), analysed[:TUNING_COUNT], grid)
        (to / model / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def label_embeddings(analysed: Sequence[tuple[WindowOutputs, Conversation]]) -> tuple[np.ndarray, np.ndarray]:
    """Label each embedding with the reference speaker that overlaps it longest.

    Returns:
        Embeddings (embeddings, dimension) and speaker indices (embeddings,); short ones are left out.
    """
    vectors, speakers = [], []
    for outputs, conversation in analysed:
        names = sorted({turn.speaker for turn in conversation.turns})
        step = demo_architecture().chunk_s / outputs.frames
        centres = (np.arange(outputs.frames) + 0.5) * step
        long_enough = outputs.frames_alone >= MIN_ACTIVE_RATIO * outputs.frames
        for pair in np.flatnonzero(long_enough):
            window, speaker = outputs.windows[pair], outputs.speakers[pair]
            talks = np.unpackbits(outputs.speech[window, :, speaker], count=outputs.frames)
            overlap = talks @ activity(conversation.turns, names, centres + window)
            vectors.append(outputs.embeddings[pair])
            speakers.append(names[int(overlap.argmax())])
    return np.stack(vectors), np.unique(speakers, return_inverse=True)[1]


def estimate_plda(vectors: np.ndarray, labels: np.ndarray, dimension: int) -> dict[str, np.ndarray]:
    """Length-normalise, reduce by LDA, length-normalise, and estimate the PLDA.

    Follows BUT's VBx (https://github.com/BUTSpeechFIT/VBx), whose file format pyannote reads.

    Args:
        vectors: Embeddings, (embeddings, embedding_dim).
        labels: Speaker index of each, from 0, (embeddings,).
        dimension: Dimension after the LDA.

    Returns:
        The arrays that `save_plda` takes.
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


def _locate(model: ModelKey, to: Path) -> LocatedCheckpoint:
    return locate(model, CheckpointSource(source=str((to / model).absolute()), size=Size.DEMO))


def _covariances(vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return within- and between-class covariances, (dimension, dimension), both regularised."""
    means = np.stack([vectors[labels == label].mean(axis=0) for label in np.unique(labels)])
    centred = vectors - means[np.searchsorted(np.unique(labels), labels)]
    within = centred.T @ centred / len(vectors)
    within += 1e-3 * np.trace(within) / len(within) * np.eye(len(within))
    spread = means - means.mean(axis=0)
    return within, spread.T @ spread / len(means) + 1e-6 * np.eye(len(within))


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit

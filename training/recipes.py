"""All recipes with their data, number of steps and seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training import diarization, ecapa, embedding, wav2vec2
from training.corpus import Clip, Utterance, accented, is_asian, multilingual
from training.fit import Progress
from voxgraph.options import ModelKey


@dataclass(frozen=True, slots=True)
class Corpus:
    """A set of clips that several recipes share."""

    size: int
    seed: int
    make: Callable[..., list[Utterance]]
    held_out: bool


CORPORA = {
    "multilingual-train": Corpus(9_600, 1, multilingual, False),
    "multilingual-test": Corpus(1_200, 2, multilingual, True),
    "conversations-test": Corpus(2_400, 5, multilingual, True),
    "accented-train": Corpus(2_600, 3, accented, False),
    "accented-more": Corpus(5_200, 6, accented, False),
    "accented-test": Corpus(500, 4, accented, True),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one network of a demo checkpoint is trained."""

    corpus: str
    clips: int
    """Number of clips drawn from the corpus with the seed."""
    steps: int
    seed: int
    train: Callable[[Sequence[Clip], Path, int, int, Progress], float]
    """Takes clips, the output path, steps, seed and progress callback; returns the last loss."""
    keep: Callable[[Clip], bool] = lambda clip: True


def _speaker(model: ModelKey) -> Callable[[Sequence[Clip], Path, int, int, Progress], float]:
    def train(clips: Sequence[Clip], folder: Path, steps: int, seed: int, progress: Progress) -> float:
        return ecapa.train_speaker(model, clips, folder, steps, seed, progress)

    return train


RECIPES = {
    "segmentation": Recipe("multilingual-train", 4_000, 2_400, 11, diarization.train_segmentation),
    "deepfake": Recipe("multilingual-train", 800, 2_000, 12, wav2vec2.train_deepfake),
    "embedding": Recipe("multilingual-train", 4_800, 6_400, 13, embedding.train_embedding),
    "speaker_voxceleb": Recipe(
        "multilingual-train", 4_500, 1_400, 14, _speaker(ModelKey.SPEAKER_VOXCELEB), lambda c: not is_asian(c)
    ),
    "speaker_cnceleb": Recipe(
        "multilingual-train", 3_200, 1_200, 15, _speaker(ModelKey.SPEAKER_CNCELEB), is_asian
    ),
    "language": Recipe("multilingual-train", 4_800, 1_000, 16, ecapa.train_language),
    "accent_xlsr": Recipe("accented-more", 5_200, 2_000, 17, wav2vec2.train_accent),
    "accent_ecapa": Recipe("accented-train", 2_600, 600, 18, ecapa.train_accent),
}
"""Sorted by duration, longest first, so that two processes finish at about the same time."""

NETWORKS = ("segmentation", "embedding")
"""Recipes whose network is part of both diarization checkpoints."""


def select_clips(recipe: Recipe, clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips of a recipe, drawn with its seed."""
    kept = [clip for clip in clips if recipe.keep(clip)]
    order = np.random.default_rng(recipe.seed).permutation(len(kept))
    return [kept[index] for index in order[: recipe.clips]]

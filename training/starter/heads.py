"""What the training of the starter's two heads shares: clips, statistics, fitting and left-out scores.

A folder of speech has a ``manifest.tsv``, as `evaluation.manifest` describes it.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import save
from sklearn.linear_model import LogisticRegression

from config.settings import STARTER, AudioLimits, EngineOptions, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from evaluation.manifest import Clip, read_manifest
from pipelines.audio.decoding import decode
from pipelines.checkpoints import STARTER_FOLDER, LocatedCheckpoint
from pipelines.whisper_head import HEAD, WindowStatistics
from training.augmentation import augment
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

Floats = NDArray[np.float64]
VERSIONS = 2
"""Versions of each clip: as recorded, and augmented."""
SAVE_EVERY = 200
GROUPS = 5
RIDGE = 3.0
"""What `fit` adds to the variance of each standardized statistic unless a head has a value of its own. The
deepfake head was hardly another with 0.1 to 3."""


@dataclass(frozen=True, slots=True)
class Example:
    """The statistics of one clip, as recorded or augmented."""

    clip: Clip
    windows: NDArray[np.float32]
    """(windows, statistics)."""


def drawn(clips: Iterable[Clip], count: int, generator: np.random.Generator) -> list[Clip]:
    """Draw at most `count` clips without replacement and keep their order."""
    found = list(clips)
    if len(found) <= count:
        return found
    return [found[index] for index in sorted(generator.choice(len(found), count, replace=False))]


def one_for_each_speaker(clips: Iterable[Clip], generator: np.random.Generator) -> list[Clip]:
    """Draw one clip of each speaker."""
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    return [own[int(generator.integers(len(own)))] for own in by_speaker.values()]


class Corpus:
    """Clips and their statistics, which are kept in a file because they take long to compute.

    Args:
        statistics: Computes the statistics of a clip.
        cut: Applied to each clip before anything else.
        cache: An ``.npz`` file, created if missing. None: nothing is kept.
    """

    def __init__(
        self,
        statistics: WindowStatistics,
        cut: Callable[[Waveform], Waveform] = lambda waveform: waveform,
        cache: Path | None = None,
    ) -> None:
        self._statistics, self._cut, self._cache = statistics, cut, cache
        self._known: dict[str, NDArray[np.float32]] = {}
        if cache is not None and cache.exists():
            with np.load(cache) as kept:
                self._known = dict(kept)

    def examples(self, folder: Path, clips: Sequence[Clip], version: int) -> list[Example]:
        """Return the statistics of clips.

        Args:
            folder: Folder of the recordings.
            clips: Clips of one recording should be adjacent, so that it is decoded once.
            version: 0 for the clips as recorded, another number for an augmentation of that number.
        """
        found, name, recording = [], "", np.zeros(0, np.float32)
        for number, clip in enumerate(clips):
            key = f"{clip.file} {clip.start_s:.3f} {version}"
            if key not in self._known:
                if clip.file != name:
                    name, recording = clip.file, decode((folder / clip.file).read_bytes(), AudioLimits())
                self._known[key] = self._compute(cut_out(recording, clip), [version, number])
                if len(self._known) % SAVE_EVERY == 0:
                    self.save()
            found.append(Example(clip, self._known[key]))
        self.save()
        return found

    def _compute(self, waveform: Waveform, seed: list[int]) -> NDArray[np.float32]:
        """Return the statistics of a waveform, augmented unless the first number of the seed is 0."""
        waveform = self._cut(waveform)
        if seed[0]:
            waveform = augment(waveform, np.random.default_rng(seed))
        statistics: NDArray[np.float32] = self._statistics([waveform])[0].flatten(1).numpy()
        return statistics

    def save(self) -> None:
        """Write the cache, if there is one."""
        if self._cache is not None:
            np.savez(self._cache, **self._known)  # type: ignore[arg-type]


Train = Callable[[Sequence[Example], Sequence[Example], Path, Console], None]
"""Teaches with the first examples, measures with the second, and writes a head into the folder."""


def run(
    model: ModelKey,
    folder: str,
    description: str | None,
    chosen: Callable[[Sequence[Clip]], list[Clip]],
    train: Train,
    cut: Callable[[Waveform], Waveform] = lambda waveform: waveform,
) -> None:
    """Train a head on the folders of the command line.

    Args:
        model: Whose head it is.
        folder: Where in the folder of the starter checkpoints it is written unless the command line says.
        description: What the command does.
        chosen: Chooses among the clips of a folder of speech.
        train: Teaches and measures the head.
        cut: Applied to each clip before anything else.
    """
    parser = argparse.ArgumentParser(prog=f"python -m training.starter.{folder}", description=description)
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="folders with manifest.tsv")
    parser.add_argument("--to", type=Path, default=STARTER_FOLDER / folder)
    parser.add_argument("--cache", type=Path, help="a file that keeps the statistics of the clips")
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpus = Corpus(WindowStatistics(starter_head(model), "cpu", EngineOptions()), cut, options.cache)
    taught, tested = both_versions(corpus, options.speech, chosen)
    train(taught, tested, options.to, Console(width=120))


def both_versions(
    corpus: Corpus, folders: Iterable[Path], chosen: Callable[[Sequence[Clip]], list[Clip]]
) -> tuple[list[Example], list[Example]]:
    """Return the clips to teach with, as recorded and augmented, and those to test, as recorded.

    Args:
        corpus: Computes the statistics.
        folders: Folders with a ``manifest.tsv``.
        chosen: Chooses among the clips of a folder.
    """
    taught: list[Example] = []
    tested: list[Example] = []
    for folder in folders:
        clips = chosen(read_manifest(folder))
        versions = [corpus.examples(folder, clips, version) for version in range(VERSIONS)]
        tested += versions[0]
        taught += [example for version in versions for example in version]
    return taught, tested


def cut_out(recording: Waveform, clip: Clip) -> Waveform:
    """Return the samples of a clip."""
    start = round(clip.start_s * SAMPLE_RATE_HZ)
    end = None if clip.duration_s is None else start + round(clip.duration_s * SAMPLE_RATE_HZ)
    return recording[start:end].copy()


def balanced_weights(sources: Sequence[str], targets: Sequence[bool]) -> Floats:
    """Return a weight for each clip: equal sums for each class and, within it, for each source; mean 1."""
    cells = Counter(zip(sources, targets, strict=True))
    parts = Counter(target for _, target in cells)
    weights = np.array([1 / (cells[cell] * parts[cell[1]]) for cell in zip(sources, targets, strict=True)])
    return np.asarray(weights / weights.mean())


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear function of the statistics."""

    weights: Floats
    bias: float

    def score(self, example: Example) -> float:
        """Return the mean over the windows of a clip; above 0, the class ``True`` is nearer."""
        return float((example.windows @ self.weights + self.bias).mean())


def fit(examples: Sequence[Example], targets: Sequence[bool], ridge: float = RIDGE) -> Linear:
    """Fit a linear discriminant that does not learn how sources differ, on standardized statistics.

    Clips of one source and one class are a cell. The covariance is the mean of the cells', plus `ridge`; the
    direction between the classes is the mean of the differences within the sources that have both. Where no
    source has both, it is the difference of the classes, each the mean of its sources.

    Args:
        examples: Clips of both classes; each is the mean of its windows.
        targets: Class of each clip.
        ridge: Addition to the variance of each standardized statistic.
    """
    inputs = np.stack([example.windows.mean(axis=0) for example in examples]).astype(np.float64)
    means, scales = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    members = defaultdict(list)
    for row, example, target in zip((inputs - means) / scales, examples, targets, strict=True):
        members[example.clip.source, target].append(row)
    cells = {key: np.stack(members[key]) for key in sorted(members)}
    centres = {key: rows.mean(axis=0) for key, rows in cells.items()}
    no, yes = (np.mean([centres[key] for key in centres if key[1] == kind], axis=0) for kind in (False, True))
    pairs = [
        centre - centres[name, False]
        for (name, kind), centre in centres.items()
        if kind and (name, False) in centres
    ]
    direction = np.mean(pairs, axis=0) if pairs else yes - no
    spread = [(rows - centres[key]) / np.sqrt(len(rows) * len(cells)) for key, rows in cells.items()]
    discriminant = _regularized(np.concatenate(spread), direction, ridge)
    weights = discriminant / scales
    return Linear(weights, float(-discriminant @ (no + yes) / 2 - weights @ means))


def _regularized(spread: Floats, direction: Floats, ridge: float) -> Floats:
    """Solve ``(spread' spread + ridge) x = direction``, for fewer clips than statistics (Woodbury)."""
    inner = spread @ spread.T + ridge * np.eye(len(spread))
    found: Floats = (direction - spread.T @ np.linalg.solve(inner, spread @ direction)) / ridge
    return found


def left_out_scores(
    examples: Sequence[Example],
    targets: Sequence[bool],
    tested: Sequence[Example],
    groups: Callable[[Example], str],
    ridge: float = RIDGE,
) -> Floats:
    """Score each tested clip by a head that has heard no clip of its group.

    Args:
        examples: Clips to train with.
        targets: Class of each of them.
        tested: Clips to score.
        groups: The group of a clip, for instance its source.
        ridge: As for `fit`.

    Returns:
        (tested,).
    """
    scores = np.zeros(len(tested))
    for group in sorted({groups(example) for example in tested}):
        kept = [index for index, example in enumerate(examples) if groups(example) != group]
        head = fit([examples[index] for index in kept], [targets[index] for index in kept], ridge)
        for index, example in enumerate(tested):
            if groups(example) == group:
                scores[index] = head.score(example)
    return scores


def source_group(example: Example) -> str:
    """Return the source of a clip."""
    return example.clip.source


def speaker_group(example: Example) -> str:
    """Return one of `GROUPS` names, the same for all clips of a speaker."""
    return str(sum((example.clip.source + example.clip.speaker).encode()) % GROUPS)


def fit_calibration(scores: Floats, targets: NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    """Return scale and offset of the logistic function of a score (Platt's scaling)."""
    model = LogisticRegression(C=1e6).fit(scores[:, None], targets, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def sigmoid(values: Floats) -> Floats:
    """Return the logistic function."""
    return np.asarray(0.5 + 0.5 * np.tanh(values / 2))


def write_head(head: Linear, folder: Path) -> None:
    """Write ``head.safetensors``, in float32."""
    weight = torch.from_numpy(head.weights.astype(np.float32))[None].contiguous()
    tensors = {"weight": weight, "bias": torch.tensor([head.bias], dtype=torch.float32)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEAD).write_bytes(save(tensors))


def starter_head(model: ModelKey) -> LocatedCheckpoint:
    """Locate the encoder of a starter checkpoint whose head need not exist yet."""
    row = STARTER_CHECKPOINTS[model]
    parts = {name: STARTER_FOLDER / str(part.starter_folder) for name, part in row.parts.items()}
    return LocatedCheckpoint(row, STARTER_FOLDER, row.architectures[Size.STARTER], STARTER, "", parts)

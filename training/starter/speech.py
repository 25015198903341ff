"""``python -m training.starter.speech``: teach the language starter to tell speech from other sounds.

Whisper's ``<|nospeech|>`` is as probable for letters that are read out one by one as for noise. The state of
the decoder that it is told from knows better: a logistic regression on it is one more row of the output
embedding. The sounds are made up, and mixed of the samples of Sonic Pi (Debian's ``sonic-pi-samples``, CC0).
"""

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from torch import nn

from config.settings import STARTER, CheckpointSource
from pipelines.checkpoints import STARTER_FOLDER, locate
from pipelines.language_calibration import LANGUAGE
from pipelines.language_whisper import whisper_windows
from pipelines.whisper_checkpoint import load_whisper
from pipelines.whisper_features import log_mel, mel_filters
from pipelines.whisper_network import WhisperNetwork
from training.layouts.whisper import write_speech
from training.starter.language_calibration import clips_of, evenly_spaced
from training.starter.sounds import made_up, mixed
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

CLIPS = 80
"""Most clips of one source of speech."""
MIN_SECONDS, SHORT_SOURCES = 3.0, ("emodb", "xiaozhi")
UNKNOWN_LANGUAGES = ("tn",)
"""Languages that Whisper does not have; they are speech, but are kept to measure with."""
SEED = 7
STRENGTH = 0.002
"""Inverse regularization (C) of the regression on standardized states. With 0.0006 to 0.02, hardly any sound
of a kind that was left out was taken for speech."""
MIXED = "samples"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class States:
    """States of the decoder's first step."""

    rows: Floats
    """(clips, hidden), the mean over the windows of a clip."""
    groups: NDArray[np.str_]
    """Source of the speech, or kind of the sound, (clips,)."""
    is_speech: NDArray[np.bool_]
    """(clips,)."""

    def only(self, chosen: NDArray[np.bool_]) -> "States":
        """Return the chosen clips, (clips,)."""
        return States(self.rows[chosen], self.groups[chosen], self.is_speech[chosen])

    def weights(self) -> Floats:
        """Return a weight for each clip: the same sums for speech and sounds, and their groups; mean 1."""
        clips = Counter(self.groups.tolist())
        weights: Floats = np.array([1 / clips[group] for group in self.groups.tolist()])
        for kind in (False, True):
            weights[self.is_speech == kind] /= weights[self.is_speech == kind].sum()
        return weights * len(weights) / 2


def main() -> None:
    """Fit, print what a fit without each group says of it, and write the weights."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.speech", description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="a folder with manifest.tsv")
    parser.add_argument("--sounds", type=Path, required=True, help="a folder of <kind>_<name>.flac")
    parser.add_argument("--to", type=Path, default=STARTER_FOLDER / LANGUAGE)
    options = parser.parse_args()
    states = listen(options.speech, options.sounds)
    table = Table("group", "clips", "taken for speech by a fit without it")
    for group in sorted({*states.groups.tolist()}):
        own = states.groups == group
        weight, bias = fit(states.only(~own))
        table.add_row(group, str(own.sum()), f"{(states.rows[own] @ weight + bias > 0).mean():.3f}")
    Console(width=120).print(table)
    weight, bias = fit(states)
    write_speech(torch.from_numpy(weight), bias, options.to)


def listen(folder: Path, samples: Path) -> States:
    """Run the network over the chosen clips and the sounds."""
    torch.set_num_threads(1)
    network = load_whisper(locate(ModelKey.LANGUAGE, CheckpointSource(source=STARTER)))
    hidden = network.decoder.tokens.shape[1]
    # The output is then the state itself.
    network.decoder.tokens = nn.Parameter(torch.eye(hidden), requires_grad=False)
    network.decoder.speech = None
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as lines:
        rows = chosen_rows(list(csv.DictReader(lines, delimiter="\t")))
    sounds = [*made_up(), *((MIXED, clip) for _, clip in mixed(samples, np.random.default_rng(SEED)))]
    groups = [row["source"] for row in rows] + [kind for kind, _ in sounds]
    clips = chain(clips_of(folder, rows), (clip for _, clip in sounds))
    found = np.stack([*_states(network, clips)])
    return States(found, np.array(groups), np.arange(len(groups)) < len(rows))


def chosen_rows(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return at most `CLIPS` clips of each source, evenly spaced, in the order of files."""
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        is_long = float(row["duration_s"]) >= MIN_SECONDS or row["source"] in SHORT_SOURCES
        if is_long and row["lang"] not in UNKNOWN_LANGUAGES:
            groups[row["source"]].append(row)
    chosen = [row for group in groups.values() for row in evenly_spaced(group, CLIPS)]
    return sorted(chosen, key=lambda row: row["file"])


@torch.inference_mode()
def _states(network: WhisperNetwork, clips: Iterator[Waveform]) -> Iterator[Floats]:
    filters = mel_filters(network.encoder.conv1.in_channels)
    for clip in clips:
        windows = torch.from_numpy(np.concatenate([piece.samples for piece in whisper_windows(clip)]))
        yield network(log_mel(windows, filters)).double().mean(dim=0).numpy()


def fit(states: States) -> tuple[Floats, float]:
    """Return weights and bias of the logit of speech; the states need not be standardized for them."""
    means, scales = states.rows.mean(axis=0), states.rows.std(axis=0) + 1e-6
    model = LogisticRegression(C=STRENGTH, max_iter=3000)
    model.fit((states.rows - means) / scales, states.is_speech, sample_weight=states.weights())
    weight: Floats = model.coef_[0] / scales
    return weight, float(model.intercept_[0] - weight @ means)


if __name__ == "__main__":
    main()

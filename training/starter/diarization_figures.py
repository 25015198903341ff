"""``python -m training.starter.diarization_figures``: tune the starter's clustering, and measure it.

Both use conversations that `training.starter.conversations` simulates, by different speakers. The last row is
the real conversation inside pyannote.audio, on which nothing is tuned.
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate
from rich.console import Console
from rich.table import Table

from config.settings import STARTER, AudioLimits, CheckpointSource, Size
from pipelines.audio.decoding import decode
from pipelines.checkpoints import locate
from pipelines.diarization.campplus_diarizer import CamPlusPlusDiarizer
from pipelines.window_outputs import WindowOutputs
from training.layouts.campplus_diarization import PARAMETERS, save_parameters
from training.starter.conversations import Conversation, Voices, read_voices, simulate, split
from training.starter.tuning import Parameters, best_parameters, has_right_number, to_annotation
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import Turn

SEED = 23
MOST_SPEAKERS = 5
CONVERSATIONS = 6
"""Conversations with each number of speakers, for tuning and as many for the figures."""
SOURCES = ("speechocean762", "mimic3", "speechocean762", "mimic3", "speechocean762", "emodb")
LENGTHS_S = (30.0, 45.0, 60.0, 60.0, 30.0, 45.0)
"""Source and length of each of them: read sentences, synthetic voices, and acted emotions."""
MIN_CLUSTER_SIZE = 12
"""Value of pipeline 3.1. It is not tuned: in short conversations, a tenth of the pairs is a lower bound."""
GRID: list[Parameters] = [
    {"method": "centroid", "min_cluster_size": MIN_CLUSTER_SIZE, "threshold": round(float(threshold), 2)}
    for threshold in np.arange(0.5, 1.0, 0.05)
]
TITLES = ("conversations", "number", "DER", "missed", "false alarm", "confusion", "right number of speakers")


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation, the outputs of its windows, and the groups of the table that it belongs to."""

    groups: tuple[str, ...]
    conversation: Conversation
    outputs: WindowOutputs


def main() -> None:
    """Print the best parameters and a table of the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m training.starter.diarization_figures", description=__doc__
    )
    parser.add_argument("--speech", type=Path, required=True, help="a folder with manifest.tsv")
    parser.add_argument("--checkpoint", default=STARTER, help="starter, or a folder in its layout")
    parser.add_argument("--write", type=Path, help="folder for the tuned config.yaml; none: measure as it is")
    parser.add_argument("--exact", action="store_true", help="embed every speaker of every window")
    options = parser.parse_args()
    torch.set_num_threads(1)
    source = CheckpointSource(source=options.checkpoint, size=Size.STARTER)
    diarizer = CamPlusPlusDiarizer(locate(ModelKey.DIARIZATION_31, source), "cpu")
    if options.exact:
        diarizer.windows.min_shared = math.inf
    voices = {name: read_voices(options.speech, name) for name in sorted(set(SOURCES))}
    console = Console(width=140)
    if options.write is not None:
        tuning = [(one.outputs, one.conversation) for one in analysed(diarizer, voices, part=0)]
        best = best_parameters(diarizer, tuning, GRID)
        diarizer.clustering.instantiate(best)
        save_parameters(PARAMETERS | {"clustering": best}, options.write)
    console.print(diarizer.clustering.parameters(instantiated=True))
    console.print(figures(diarizer, [*analysed(diarizer, voices, part=1), pyannote_sample(diarizer)]))


def analysed(diarizer: CamPlusPlusDiarizer, voices: Mapping[str, Voices], part: int) -> Iterator[Sample]:
    """Simulate conversations of every second speaker, and run the networks.

    Args:
        voices: Speakers and their utterances, by source.
        part: 0 or 1: which half of the speakers.
    """
    for speakers in range(1, MOST_SPEAKERS + 1):
        for index in range(CONVERSATIONS):
            generator = np.random.default_rng([SEED, part, speakers, index])
            chosen = split(voices[SOURCES[index]], 2, part)
            conversation = simulate(chosen, speakers, LENGTHS_S[index], generator)
            groups = (f"{speakers} speakers", "all simulated", SOURCES[index])
            yield Sample(groups, conversation, diarizer.windows(conversation.waveform))


def pyannote_sample(diarizer: CamPlusPlusDiarizer) -> Sample:
    """Return the real conversation of two speakers inside pyannote.audio."""
    package = find_spec("pyannote.audio")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "sample" / "sample"
    waveform = decode(path.with_suffix(".wav").read_bytes(), AudioLimits())
    tracks = load_rttm(path.with_suffix(".rttm"))["sample"].itertracks(yield_label=True)
    turns = tuple(Turn(turn.start, turn.end, str(speaker)) for turn, _, speaker in tracks)
    return Sample(("pyannote.audio's",), Conversation(waveform, turns), diarizer.windows(waveform))


def figures(diarizer: CamPlusPlusDiarizer, samples: Sequence[Sample]) -> Table:
    """Return a table with a row for each group of conversations."""
    table = Table(*TITLES)
    for group in dict.fromkeys(group for sample in samples for group in sample.groups):
        chosen = [sample for sample in samples if group in sample.groups]
        table.add_row(group, str(len(chosen)), *row(diarizer, chosen))
    return table


def row(diarizer: CamPlusPlusDiarizer, samples: Sequence[Sample]) -> Iterator[str]:
    """Yield the error rate of some conversations, its three parts, and the share with the right number."""
    metric, right = DiarizationErrorRate(collar=0.0, skip_overlap=False), []
    for sample in samples:
        found = diarizer.turns(sample.outputs, len(sample.conversation.waveform), SpeakerCount())
        metric(to_annotation(sample.conversation.turns), to_annotation(found.turns))
        right.append(has_right_number(found, sample.conversation))
    parts = ("missed detection", "false alarm", "confusion")
    yield f"{abs(metric):.3f}"
    yield from (f"{metric[part] / metric['total']:.3f}" for part in parts)
    yield f"{np.mean(right):.2f}"


if __name__ == "__main__":
    main()

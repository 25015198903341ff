"""Clustering parameters of the demo diarization, found on simulated conversations of training voices."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

from pipelines.checkpoints import LocatedCheckpoint
from pipelines.diarization import Diarizer
from pipelines.window_outputs import WindowOutputs
from training.conversations import Conversation
from voxgraph.options import SpeakerCount
from voxgraph.results import DiarizationResult, Turn

Parameters = dict[str, Any]

GRID_31: list[Parameters] = [
    {"method": "centroid", "min_cluster_size": size, "threshold": round(float(threshold), 3)}
    for size, threshold in product((2, 6, 12), np.arange(0.4, 1.2, 0.07))
]
GRID_COMMUNITY_1: list[Parameters] = [
    {"threshold": round(float(threshold), 3), "Fa": fa, "Fb": fb}
    for threshold, fa, fb in product(np.arange(0.45, 1.1, 0.1), (0.07, 0.3, 1.0), (3.0, 10.0, 30.0))
]
MISCOUNT = 0.25
"""What a wrong number of speakers weighs beside the error rate."""


def tuned(
    checkpoint: LocatedCheckpoint,
    heard: Sequence[tuple[WindowOutputs, Conversation]],
    grid: Sequence[Parameters],
) -> Parameters:
    """The parameters with the least error on conversations and what the networks say of them."""
    diarizer = Diarizer(checkpoint, "cpu")
    errors = np.zeros(len(grid))
    for findings, conversation in heard:
        for index, parameters in enumerate(grid):
            diarizer.clustering.instantiate(parameters)
            found = diarizer.turns(findings, len(conversation.waveform), SpeakerCount())
            errors[index] += error(found, conversation)
    return grid[int(errors.argmin())]


def error(found: DiarizationResult, conversation: Conversation) -> float:
    """The error rate of one conversation, and the weight of a wrong number of speakers."""
    rate = DiarizationErrorRate(collar=0.0)(annotation(conversation.turns), annotation(found.turns))
    miscounted = len(found.speakers) != len({turn.speaker for turn in conversation.turns})
    return float(rate) + MISCOUNT * miscounted


def annotation(turns: Sequence[Turn]) -> Annotation:
    """Turns as pyannote's metrics take them."""
    found = Annotation()
    for number, turn in enumerate(turns):
        found[Segment(turn.start_s, turn.end_s), number] = turn.speaker
    return found

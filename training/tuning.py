"""Grid search of the demo clustering parameters on simulated conversations of training voices."""

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
MISCOUNT_WEIGHT = 0.25
"""Penalty for a wrong number of speakers, added to the error rate."""


def best_parameters(
    checkpoint: LocatedCheckpoint,
    analysed: Sequence[tuple[WindowOutputs, Conversation]],
    grid: Sequence[Parameters],
) -> Parameters:
    """Return the grid's parameters with the smallest total error on conversations and their outputs."""
    diarizer = Diarizer(checkpoint, "cpu")
    errors = np.zeros(len(grid))
    for outputs, conversation in analysed:
        for index, parameters in enumerate(grid):
            diarizer.clustering.instantiate(parameters)
            found = diarizer.turns(outputs, len(conversation.waveform), SpeakerCount())
            errors[index] += error(found, conversation)
    return grid[int(errors.argmin())]


def error(found: DiarizationResult, conversation: Conversation) -> float:
    """Return the error rate of one conversation plus the penalty for a wrong number of speakers."""
    rate = DiarizationErrorRate(collar=0.0)(to_annotation(conversation.turns), to_annotation(found.turns))
    miscounted = len(found.speakers) != len({turn.speaker for turn in conversation.turns})
    return float(rate) + MISCOUNT_WEIGHT * miscounted


def to_annotation(turns: Sequence[Turn]) -> Annotation:
    """Convert turns to the annotation that pyannote's metrics take."""
    found = Annotation()
    for number, turn in enumerate(turns):
        found[Segment(turn.start_s, turn.end_s), number] = turn.speaker
    return found

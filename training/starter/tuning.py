"""Grid search of clustering parameters on simulated conversations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

from pipelines.diarization.conversation import WindowDiarizer
from pipelines.window_outputs import WindowOutputs
from training.starter.conversations import Conversation
from voxgraph.options import SpeakerCount
from voxgraph.results import DiarizationResult, Turn

Parameters = dict[str, Any]

MISCOUNT_WEIGHT = 0.25
"""Penalty for a wrong number of speakers, added to the error rate."""


def best_parameters(
    diarizer: WindowDiarizer,
    analysed: Sequence[tuple[WindowOutputs, Conversation]],
    grid: Sequence[Parameters],
) -> Parameters:
    """Return the grid's parameters with the smallest total error; the diarizer gets the grid's last.

    Args:
        diarizer: Clusters the outputs.
        analysed: Outputs of all windows of each conversation.
        grid: Parameters of the diarizer's clustering.
    """
    errors = np.zeros(len(grid))
    for index, parameters in enumerate(grid):
        diarizer.clustering.instantiate(parameters)
        for outputs, conversation in analysed:
            found = diarizer.turns(outputs, len(conversation.waveform), SpeakerCount())
            errors[index] += error(found, conversation)
    return grid[int(errors.argmin())]


def error(found: DiarizationResult, conversation: Conversation) -> float:
    """Return the error rate of one conversation plus the penalty for a wrong number of speakers."""
    rate = DiarizationErrorRate(collar=0.0)(to_annotation(conversation.turns), to_annotation(found.turns))
    return float(rate) + MISCOUNT_WEIGHT * (not has_right_number(found, conversation))


def has_right_number(found: DiarizationResult, conversation: Conversation) -> bool:
    """Whether as many speakers were found as talk."""
    return len(found.speakers) == len({turn.speaker for turn in conversation.turns})


def to_annotation(turns: Sequence[Turn]) -> Annotation:
    """Convert turns to the annotation that pyannote's metrics take."""
    found = Annotation()
    for number, turn in enumerate(turns):
        found[Segment(turn.start_s, turn.end_s), number] = turn.speaker
    return found

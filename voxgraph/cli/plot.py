"""The timeline of a conversation as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxgraph.cli.exits import NotInstalled, UsageError

LANE = 0.8
"""Height of a turn; the lanes of two speakers are 1 apart."""


def draw(answer: Mapping[str, Any], name: str, path: Path) -> None:
    """Draw the turns of a diarization, a lane for each speaker, into a file of the kind of its suffix.

    Raises:
        NotInstalled: There is no matplotlib.
        UsageError: The file cannot be written, or its kind is not known.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise NotInstalled("--plot needs matplotlib, which is not installed.") from error
    speakers = answer["speakers"]
    figure = Figure(figsize=(12, 1.5 + 0.4 * len(speakers)), layout="constrained")
    axes = figure.subplots()
    for lane, speaker in enumerate(speakers):
        turns = [
            (turn["start"], turn["end"] - turn["start"])
            for turn in answer["diarization_results"]
            if turn["speaker"] == speaker
        ]
        axes.broken_barh(turns, (lane - LANE / 2, LANE), facecolors=f"C{lane % 10}")
    axes.set_yticks(range(len(speakers)), speakers)
    axes.invert_yaxis()
    axes.set_xlim(0.0, answer["audio_duration"])
    axes.set_xlabel("seconds")
    axes.set_title(name)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"The picture cannot be written: {error}.") from error

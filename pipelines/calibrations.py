"""Read ``calibration.json`` of a checkpoint: how its outputs become probabilities.

The parameters are fitted on labelled real speech; the card beside the file says on which.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.checkpoints import LocatedCheckpoint
from voxgraph.calibration import SpeakerCalibration
from voxgraph.errors import CheckpointError

CALIBRATION = "calibration.json"
SAME_SPEAKER = "same_speaker"


def read_calibration(checkpoint: LocatedCheckpoint) -> dict[str, Any] | None:
    """Return the content of the file; None if the layout of the checkpoint has no such file.

    Raises:
        CheckpointError: The file is missing although the layout has it, or it is not a JSON object.
    """
    if CALIBRATION not in {file.name for file in checkpoint.row.files}:
        return None
    return read_object(checkpoint.file(CALIBRATION))


def read_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        CheckpointError: The file is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is not JSON.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} is not an object.")
    return content


def number(content: Mapping[str, Any], name: str, above: float = -math.inf, file: str = CALIBRATION) -> float:
    """Return a finite number of a JSON object that is greater than `above`.

    Args:
        content: The object.
        name: Key of the number.
        above: Largest number that is refused.
        file: Name of the file, for the message.

    Raises:
        CheckpointError: The number is missing, is none, or is not in range.
    """
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CheckpointError(f"{file} says {name} {value!r}, which is not a number.")
    if not (math.isfinite(value) and value > above):
        raise CheckpointError(f"{file} says {name} {value}; it must be finite and above {above:g}.")
    return float(value)


def speaker_calibration(checkpoint: LocatedCheckpoint) -> SpeakerCalibration | None:
    """Return the calibration of a speaker encoder; None if its layout has none.

    Raises:
        CheckpointError: As `read_calibration` and `number` do, or the object is missing.
    """
    content = read_calibration(checkpoint)
    if content is None:
        return None
    found = content.get(SAME_SPEAKER)
    if not isinstance(found, dict):
        raise CheckpointError(f"{CALIBRATION} has no object {SAME_SPEAKER}.")
    return SpeakerCalibration(number(found, "slope", above=0.0), number(found, "intercept"))

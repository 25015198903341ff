"""Find conversations with a reference: recordings with an RTTM file of the same stem beside them."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from pyannote.core import Annotation
from pyannote.database.util import load_rttm

from evaluation.errors import DataError


@dataclass(frozen=True, slots=True)
class Conversation:
    """A recording and who speaks when in it."""

    file: str
    """Path of the recording relative to the folder."""
    reference: Annotation


def find_conversations(folder: Path) -> list[Conversation]:
    """Return every recording below the folder that has an RTTM file, sorted by path.

    Raises:
        DataError: A reference cannot be read, or does not belong to exactly one recording.
    """
    return [
        Conversation(str(_recording(path).relative_to(folder)), read_reference(path))
        for path in sorted(folder.rglob("*.rttm"))
    ]


def read_reference(path: Path) -> Annotation:
    """Read the turns of one conversation; raises `DataError` unless the file has those of exactly one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: dict[str, Annotation] = load_rttm(path)
    except Exception as error:  # pandas raises many kinds for a file that is not a table of turns
        raise DataError(f"{path} is not an RTTM file: {error}") from error
    spoken = [annotation for annotation in found.values() if annotation]
    if len(spoken) != 1:
        raise DataError(f"{path} has turns of {len(spoken)} recordings; it must have those of one.")
    return spoken[0]


def _recording(reference: Path) -> Path:
    beside = sorted(reference.parent.glob("*"))
    same = [path for path in beside if path.stem == reference.stem and path.suffix not in (".rttm", ".txt")]
    if len(same) != 1:
        names = ", ".join(path.name for path in same) or "none"
        raise DataError(f"{reference} needs one recording {reference.stem}.* beside it; found: {names}.")
    return same[0]

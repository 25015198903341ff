"""Read ``manifest.tsv``: one line of labels for each clip, with the columns of `COLUMNS`.

Only ``file`` is required. A question is not asked if its labels are missing. Columns that are not in
`COLUMNS` are ignored.
"""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.errors import DataError

NAME = "manifest.tsv"
MAX_SHOWN = 20
"""Maximum number of faults in one message."""
CODES = {"iw": "he", "jw": "jv", "in": "id", "ji": "yi", "fil": "tl", "cmn": "zh", "nb": "no"}
"""Codes of languages that the models do not use, and those that they use in their place."""
FAKE, REAL = "fake", "real"


@dataclass(frozen=True, slots=True)
class Clip:
    """A span of a recording, with what is known about it; empty or None if it is not known."""

    file: str
    """Path relative to the folder."""
    start_s: float = 0.0
    duration_s: float | None = None
    """Length in seconds; None: to the end of the recording."""
    source: str = ""
    """Where the recording comes from, e.g. the name of a corpus."""
    lang: str = ""
    """ISO 639 code in lower case, without region."""
    speaker: str = ""
    """Name of the speaker, unique within the source."""
    sex: str = ""
    """``f`` or ``m``."""
    age: int | None = None
    accent: str = ""
    us: bool | None = None
    """Whether the accent is American."""
    label: str = ""
    """``real`` or ``fake``."""
    generator: str = ""
    """What has generated a fake."""

    @property
    def voice(self) -> tuple[str, str]:
        """The speaker, or the clip itself if he is not known; clips of one voice are not independent."""
        return (self.source, self.speaker) if self.speaker else (self.file, f"{self.start_s}")


def read_manifest(folder: Path) -> list[Clip]:
    """Read the labels of all clips, in the order of the lines.

    Args:
        folder: The folder with ``manifest.tsv``; the names of recordings in it are relative to it.

    Raises:
        DataError: The file is missing or wrong; the message has the first faults with their lines.
    """
    path = folder / NAME
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, delimiter="\t")
            check_header(path, reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise DataError(f"There is no {NAME} in {folder}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table in UTF-8 with tabs between the cells: {error}") from error
    faults: list[str] = []
    clips = [parse(folder, line, row, faults) for line, row in rows]
    if not rows:
        faults.append("it has no line below the header.")
    if faults:
        more = f"\n... and {len(faults) - MAX_SHOWN} more" if len(faults) > MAX_SHOWN else ""
        raise DataError(f"{path} is wrong:\n" + "\n".join(faults[:MAX_SHOWN]) + more)
    return clips


def check_header(path: Path, names: Sequence[str]) -> None:
    """Raise `DataError` unless the header names the columns once each, and ``file`` among them."""
    if "file" not in names:
        hint = "" if len(names) > 1 else " Are its cells separated by tabs?"
        raise DataError(f"{path} has no column `file`; its header is: {', '.join(names) or 'empty'}.{hint}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path} has the same column twice: {', '.join(twice)}.")


def parse(folder: Path, line: int, row: dict[str | Any, Any], faults: list[str]) -> Clip:
    """Parse one line, and append what is wrong with it to `faults`."""
    if None in row:
        faults.append(f"line {line}: it has more cells than the header.")
    values: dict[str, Any] = {}
    for name, read in COLUMNS.items():
        cell = (row.get(name) or "").strip()
        try:
            if cell:
                values[name] = read(cell)
        except ValueError as error:
            faults.append(f"line {line}: {name} is {cell!r}; {error}")
    file = values.setdefault("file", "")
    if not file:
        faults.append(f"line {line}: file is empty.")
    elif not (folder / file).is_file():
        faults.append(f"line {line}: there is no file {file} in the folder.")
    return Clip(**values)


def _inside(cell: str) -> str:
    path = Path(cell)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("it must be a path below the folder.")
    return str(path)


def _seconds(cell: str) -> float:
    value = _number(cell)
    if value < 0:
        raise ValueError("it must not be negative.")
    return value


def _positive_seconds(cell: str) -> float:
    value = _number(cell)
    if value <= 0:
        raise ValueError("it must be more than 0.")
    return value


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("it must be a number.")
    return value


def _age(cell: str) -> int:
    value = _number(cell)
    if not 0 <= value <= 130:
        raise ValueError("it must be years from 0 to 130.")
    return int(value)


def _language(cell: str) -> str:
    code = cell.lower().replace("_", "-").partition("-")[0]
    if not code.isascii() or not code.isalpha():
        raise ValueError("it must be an ISO 639 code such as en.")
    return CODES.get(code, code)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if cell.lower() not in allowed:
            raise ValueError(f"it must be {' or '.join(allowed)}, or empty.")
        return cell.lower()

    return read


def _us(cell: str) -> bool:
    return _one_of("0", "1")(cell) == "1"


COLUMNS: dict[str, Callable[[str], Any]] = {
    "file": _inside,
    "start_s": _seconds,
    "duration_s": _positive_seconds,
    "source": str,
    "lang": _language,
    "speaker": str,
    "sex": _one_of("f", "m"),
    "age": _age,
    "accent": str,
    "us": _us,
    "label": _one_of(REAL, FAKE),
    "generator": str,
}
"""The columns, and the function that reads a cell that is not empty."""

"""From the arguments of the command to recordings: files, folders, patterns and standard input."""

import glob
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxgraph.cli.exits import UsageError
from voxgraph.client import Recording

STDIN = "-"
SUFFIXES = frozenset(
    [
        ".3gp",
        ".aac",
        ".ac3",
        ".aif",
        ".aiff",
        ".amr",
        ".ape",
        ".au",
        ".avi",
        ".caf",
        ".flac",
        ".flv",
        ".m4a",
        ".m4b",
        ".m4v",
        ".mka",
        ".mkv",
        ".mov",
        ".mp2",
        ".mp3",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mpga",
        ".mxf",
        ".oga",
        ".ogg",
        ".ogv",
        ".opus",
        ".ra",
        ".rf64",
        ".ts",
        ".tta",
        ".w64",
        ".wav",
        ".wave",
        ".webm",
        ".wma",
        ".wmv",
        ".wv",
    ]
)
"""Suffixes of the files of a folder that are taken for recordings. A file that is named is taken anyway."""


@dataclass(frozen=True, slots=True)
class Input:
    """One recording of a run."""

    name: str
    """The path, or ``-``."""
    output: Path
    """Path of its answer below the folder of answers, without suffix."""

    def recording(self) -> Recording:
        """Return what the client sends."""
        return sys.stdin.buffer if self.name == STDIN else self.name


def find_inputs(arguments: Sequence[str]) -> list[Input]:
    """Return the recordings that the arguments name, each once, in their order; those of a folder sorted.

    Raises:
        UsageError: An argument names nothing.
    """
    found: dict[str, Input] = {}
    for argument in arguments:
        recordings = list(_inputs_of(argument))
        if not recordings:
            raise UsageError(f"{argument} names no recording.")
        found |= {each.name: each for each in recordings if each.name not in found}
    return _with_own_outputs(list(found.values()))


def _inputs_of(argument: str) -> Iterator[Input]:
    path = Path(argument)
    if argument == STDIN:
        yield Input(STDIN, Path("stdin"))
    elif path.is_dir():
        yield from _inputs_in(path)
    elif path.exists():
        yield Input(argument, Path(path.stem))
    elif any(char in argument for char in "*?["):
        for name in sorted(glob.glob(argument, recursive=True)):
            if Path(name).is_file():
                yield Input(name, Path(Path(name).stem))
    else:
        raise UsageError(f"There is no file {argument}.")


def _inputs_in(folder: Path) -> Iterator[Input]:
    """Yield the recordings in a folder and all folders below, but not the hidden ones."""
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inner.parts)
        if path.suffix.lower() in SUFFIXES and not hidden and not path.is_dir():
            yield Input(str(path), inner.with_suffix(""))


def _with_own_outputs(inputs: list[Input]) -> list[Input]:
    """Give recordings whose answers would be one file the whole names of their files, then numbers."""
    shared = Counter(each.output for each in inputs)
    named = [
        each
        if shared[each.output] == 1
        else replace(each, output=each.output.with_name(Path(each.name).name))
        for each in inputs
    ]
    seen: Counter[Path] = Counter()
    numbered = []
    for each in named:
        seen[each.output] += 1
        number = seen[each.output]
        output = each.output if number == 1 else each.output.with_name(f"{each.output.name}-{number}")
        numbered.append(replace(each, output=output))
    return numbered

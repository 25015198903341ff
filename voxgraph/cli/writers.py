"""Where answers go: to standard output as they come, or as one document at the end, or to files."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from voxgraph.cli import rendering
from voxgraph.cli.arguments import Output
from voxgraph.cli.exits import UsageError
from voxgraph.cli.inputs import Input

Answer = Mapping[str, Any]


class Writer(Protocol):
    """Takes the answers of a run in the order in which they come."""

    def is_done(self, recording: Input) -> bool:
        """Return whether the answer is there from an earlier run."""
        ...

    def write(self, recording: Input, answer: Answer) -> None:
        """Take an answer."""
        ...

    def fail(self, recording: Input, error: Answer) -> None:
        """Take the error of a recording without an answer."""
        ...

    def close(self) -> None:
        """Take note that nothing follows."""
        ...


def writer_for(command: str, output: Output, inputs: Sequence[Input]) -> Writer:
    """Return the writer that the options of a command name.

    Raises:
        UsageError: The options exclude each other.
    """
    to_files = output.output_dir is not None
    if output.skip_existing and not to_files:
        raise UsageError("--skip-existing needs --output-dir.")
    chosen = rendering.choose_format(
        command, output.format, is_json=output.json, is_terminal=sys.stdout.isatty(), to_files=to_files
    )
    if output.output_dir is not None:
        return FileWriter(command, chosen, output.output_dir, skip=output.skip_existing)
    if len(inputs) > 1 and chosen not in rendering.JOINABLE:
        raise UsageError(f"{chosen} holds one recording: write several with --output-dir.")
    if chosen == rendering.JSON:
        return DocumentWriter(inputs)
    return StreamWriter(command, chosen)


class StreamWriter:
    """Writes each answer to standard output when it comes."""

    def __init__(self, command: str, format: str) -> None:
        self._command, self._format = command, format

    def is_done(self, _recording: Input) -> bool:
        """Return False: nobody knows what an earlier run has written."""
        return False

    def write(self, recording: Input, answer: Answer) -> None:
        """Write a table, a line or turns."""
        if self._format == rendering.TABLE:
            from voxgraph.cli.tables import print_answer

            print_answer(self._command, recording.name, answer)
            return
        sys.stdout.write(rendering.render(self._command, recording.name, answer, self._format))
        sys.stdout.flush()

    def fail(self, recording: Input, error: Answer) -> None:
        """Write the error as a line of NDJSON; the other formats have no place for it."""
        if self._format == rendering.NDJSON:
            sys.stdout.write(rendering.line(rendering.document(recording.name, {"error": error})))
            sys.stdout.flush()

    def close(self) -> None:
        """Do nothing."""


class DocumentWriter:
    """Writes one JSON document at the end: the answer, or a list of all in the order of the inputs."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._names = [each.name for each in inputs]
        self._found: dict[str, Answer] = {}

    def is_done(self, _recording: Input) -> bool:
        """Return False."""
        return False

    def write(self, recording: Input, answer: Answer) -> None:
        """Keep an answer."""
        self._found[recording.name] = rendering.document(recording.name, answer)

    def fail(self, recording: Input, error: Answer) -> None:
        """Keep an error."""
        self._found[recording.name] = rendering.document(recording.name, {"error": error})

    def close(self) -> None:
        """Write the document."""
        found = [self._found[name] for name in self._names if name in self._found]
        content = found[0] if len(self._names) == 1 and found else found
        print(json.dumps(content, indent=2, ensure_ascii=False))


class FileWriter:
    """Writes each answer to its own file; a file is there only when it is whole."""

    def __init__(self, command: str, format: str, folder: Path, *, skip: bool) -> None:
        self._command, self._format, self._folder, self._skip = command, format, folder, skip

    def is_done(self, recording: Input) -> bool:
        """Return whether the file is there, if such recordings are to be skipped."""
        return self._skip and self._path(recording).is_file()

    def write(self, recording: Input, answer: Answer) -> None:
        """Write a file beside its final name, and rename it.

        Raises:
            UsageError: The file cannot be written.
        """
        path = self._path(recording)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        content = rendering.render(self._command, recording.name, answer, self._format)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(content, encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from error

    def fail(self, _recording: Input, _error: Answer) -> None:
        """Write nothing, so that the next run asks again."""

    def close(self) -> None:
        """Do nothing."""

    def _path(self, recording: Input) -> Path:
        return self._folder / (str(recording.output) + rendering.suffix_of(self._format))

"""The formats of the command: which of them an answer has, and an answer written in one of them."""

import json
from collections.abc import Mapping
from typing import Any

from voxgraph.cli.exits import UsageError
from voxgraph.client import answers
from voxgraph.formats import CHUNK_FORMATS, FORMATS, TURN_FORMATS, uri_of, write, write_chunks

TABLE, JSON, NDJSON = "table", "json", "ndjson"
ALL = (TABLE, JSON, NDJSON)
OF_COMMAND = {
    "analyze": (*ALL, *TURN_FORMATS),
    "diarize": (*ALL, *TURN_FORMATS),
    "deepfake": (*ALL, *CHUNK_FORMATS),
}
"""Formats of the commands whose answers have times; the others have `ALL`."""
JOINABLE = frozenset({*ALL, "rttm"})
"""Formats in which several answers may follow each other: RTTM names the recording in each line."""
ALIASES = {"aud": "audacity"}
"""Names of whisperx."""


def choose_format(
    command: str, given: str | None, *, is_json: bool, is_terminal: bool, to_files: bool
) -> str:
    """Return the format of the answers of a command.

    Raises:
        UsageError: The command has no such format, or another one than JSON is named beside ``--json``.
    """
    if is_json and given not in (None, JSON):
        raise UsageError(f"--json and --format {given} exclude each other.")
    if given is None:
        return JSON if is_json or to_files else TABLE if is_terminal else NDJSON
    known = OF_COMMAND.get(command, ALL)
    chosen = ALIASES.get(given.lower(), given.lower())
    if chosen not in known:
        raise UsageError(f"There is no format {given!r} for {command}; the formats are {', '.join(known)}.")
    if chosen == TABLE and to_files:
        raise UsageError("A table is for people; --output-dir takes one of the other formats.")
    return chosen


def suffix_of(format: str) -> str:
    """Return the suffix of the files of a format."""
    return ".ndjson" if format == NDJSON else FORMATS[format].suffix


def render(command: str, name: str, answer: Mapping[str, Any], format: str) -> str:
    """Write an answer in a format that is not a table, with its last line break.

    Args:
        command: The command that asked.
        name: Name of the recording.
        answer: JSON of the server.
        format: One of the command's formats.

    Raises:
        UsageError: The answer has no times: its tasks did not include any.
    """
    if format == JSON:
        return json.dumps(document(name, answer), indent=2, ensure_ascii=False) + "\n"
    if format == NDJSON:
        return line(document(name, answer))
    if command == "deepfake":
        return write_chunks(answers.deepfake(answer).chunks, format)
    found = answer.get("diarization") if command == "analyze" else answer
    if found is None:
        raise UsageError(f"{format} needs the task diarization.")
    return write(
        answers.diarization(found).turns, format, uri=uri_of(name), duration_s=answer["audio_duration"]
    )


def document(name: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with the name of its recording."""
    return {"file": name, **answer}


def line(content: Mapping[str, Any]) -> str:
    """Return one line of NDJSON."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"

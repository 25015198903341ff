"""Writers of turns in the formats that other tools read: RTTM, WebVTT, SRT, CSV, TSV, TextGrid, Audacity.

Times are exact to the millisecond and the same as those of the JSON answers. A name may contain anything:
each writer escapes or replaces what its format cannot hold. Only the standard library is imported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxgraph.errors import InvalidOptions
from voxgraph.formats.rttm import write_rttm
from voxgraph.formats.spans import Span, TimedTurn, milliseconds, one_line, span, spans_of
from voxgraph.formats.subtitles import write_srt, write_vtt
from voxgraph.formats.tables import write_audacity, write_csv, write_tsv
from voxgraph.formats.textgrid import write_textgrid

if TYPE_CHECKING:
    from voxgraph.results import DeepfakeChunk

__all__ = [
    "CHUNK_FORMATS", "FORMATS", "JSON", "TURN_FORMATS", "Format", "TimedTurn", "file_name", "one_line",
    "uri_of", "write", "write_chunks",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is called elsewhere."""

    media_type: str
    suffix: str
    """Suffix of its files, with the dot."""


JSON = "json"
FORMATS: dict[str, Format] = {
    JSON: Format("application/json", ".json"),
    "rttm": Format("text/plain; charset=utf-8", ".rttm"),
    "vtt": Format("text/vtt; charset=utf-8", ".vtt"),
    "srt": Format("application/x-subrip; charset=utf-8", ".srt"),
    "csv": Format("text/csv; charset=utf-8; header=present", ".csv"),
    "tsv": Format("text/tab-separated-values; charset=utf-8", ".tsv"),
    "textgrid": Format("text/plain; charset=utf-8", ".TextGrid"),
    "audacity": Format("text/plain; charset=utf-8", ".txt"),
}
"""Every format of an answer, by its name; the best known first. JSON is the answer itself, with all its
fields; the others hold its turns."""
TURN_FORMATS = tuple(name for name in FORMATS if name != JSON)
"""Formats of `write`."""
CHUNK_FORMATS = ("csv", "tsv", "audacity")
"""Formats of `write_chunks`: those whose spans may overlap and have any label."""

DEFAULT_URI = "recording"
MAX_URI_CHARS = 100


def write(
    turns: Sequence[TimedTurn],
    format: str,
    *,
    uri: str,
    duration_s: float,
    names: Mapping[str, str] | None = None,
    note: str | None = None,
) -> str:
    """Write who speaks when.

    Args:
        turns: In any order; they may overlap.
        format: One of `TURN_FORMATS`.
        uri: Name of the recording, as of `uri_of`; only RTTM has a place for it.
        duration_s: Duration of the recording in seconds; only TextGrid has a place for it.
        names: Name to write in place of a speaker's label; other labels are written as they are.
        note: A comment, such as model and revision; only WebVTT has a place for it.

    Raises:
        InvalidOptions: There is no such format.
    """
    _check(format, TURN_FORMATS)
    spans = spans_of(turns, names)
    if format == "rttm":
        return write_rttm(spans, uri)
    if format == "vtt":
        return write_vtt(spans, note)
    if format == "textgrid":
        return write_textgrid(spans, milliseconds(duration_s))
    return write_srt(spans) if format == "srt" else _table(spans, format, ("speaker", "confidence"))


def write_chunks(chunks: "Sequence[DeepfakeChunk]", format: str) -> str:
    """Write the verdict on each chunk of a recording; tables add the probability that it is AI-generated.

    Raises:
        InvalidOptions: The format is none of `CHUNK_FORMATS`.
    """
    _check(format, CHUNK_FORMATS)
    spans = [
        span(chunk.start_s, chunk.end_s, chunk.score.verdict.value, chunk.score.ai_generated)
        for chunk in chunks
    ]
    return _table(spans, format, ("verdict", "ai_generated"))


def uri_of(name: str) -> str:
    """Return the name of a recording from that of its file: without folders and suffix, in one line."""
    base = one_line(name).replace("\\", "/").rstrip("/").rpartition("/")[2]
    stem = base.rpartition(".")[0] or base
    return stem.strip(". ")[:MAX_URI_CHARS].strip() or DEFAULT_URI


def file_name(uri: str, format: str) -> str:
    """Return the name of the file that a recording's answer is saved in."""
    return uri + FORMATS[format].suffix


def _table(spans: Sequence[Span], format: str, columns: tuple[str, str]) -> str:
    if format == "audacity":
        return write_audacity(spans)
    return write_csv(spans, columns) if format == "csv" else write_tsv(spans, columns)


def _check(format: str, known: Sequence[str]) -> None:
    if format not in known:
        raise InvalidOptions(f"There is no format {format!r} here; the formats are {', '.join(known)}.")

"""WebVTT and SRT: a cue for each turn, whose text is the speaker's name."""

import html
from collections.abc import Sequence

from voxgraph.formats.spans import Span, one_line

_SRT_SUBSTITUTES = str.maketrans({"<": "\u2039", ">": "\u203a"})
"""SRT has no escapes: players take what stands between ``<`` and ``>`` for a tag, and ``-->`` for a time."""


def write_vtt(spans: Sequence[Span], note: str | None = None) -> str:
    """Write WebVTT (W3C) with voice tags; overlapping turns become overlapping cues.

    Args:
        spans: Sorted by start.
        note: What stands in a comment at the top, in one line.
    """
    comment = "" if note is None else f"NOTE {_escaped(one_line(note))}\n\n"
    voices = {label: f"<v {_escaped(label)}>{_escaped(label)}" for label in {span.label for span in spans}}
    cues = (
        f"{_time(span.start_ms, '.')} --> {_time(span.end_ms, '.')}\n{voices[span.label]}\n\n"
        for span in spans
    )
    return f"WEBVTT\n\n{comment}{''.join(cues)}"


def write_srt(spans: Sequence[Span]) -> str:
    """Write SubRip subtitles, numbered from 1."""
    return "".join(
        f"{number}\n{_time(span.start_ms, ',')} --> {_time(span.end_ms, ',')}\n"
        f"{span.label.translate(_SRT_SUBSTITUTES)}\n\n"
        for number, span in enumerate(spans, 1)
    )


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _time(milliseconds: int, decimal: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{decimal}{rest:03}"

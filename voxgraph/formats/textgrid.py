"""TextGrid of Praat: one interval tier for each speaker, silence filled with empty intervals."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from voxgraph.formats.spans import Span

_NO_SPEAKER = "speaker"
"""Name of the only tier of a recording in which nobody speaks: Praat needs one."""


def write_textgrid(spans: Sequence[Span], duration_ms: int) -> str:
    """Write a TextGrid in Praat's long text format, in UTF-8.

    Args:
        spans: Sorted by start. Those of one label that overlap become one interval, because intervals of a
            tier must not overlap.
        duration_ms: Duration of the recording; the tiers end there, or at the last span if that ends later.
    """
    end_ms = max([duration_ms, 1, *(span.end_ms for span in spans)])
    labels = list(dict.fromkeys(span.label for span in spans)) or [_NO_SPEAKER]
    tiers = [
        _tier(number, label, _joined(span for span in spans if span.label == label), end_ms)
        for number, label in enumerate(labels, 1)
    ]
    head = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
        f"xmin = 0\nxmax = {_seconds(end_ms)}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:\n"
    )
    return head + "".join(tiers)


def _tier(number: int, label: str, spoken: Sequence[tuple[int, int]], end_ms: int) -> str:
    text = _quoted(label)
    intervals = list(_with_silence(spoken, end_ms))
    head = (
        f'    item [{number}]:\n        class = "IntervalTier"\n        name = {text}\n        xmin = 0\n'
        f"        xmax = {_seconds(end_ms)}\n        intervals: size = {len(intervals)}\n"
    )
    rows = (
        f"        intervals [{row}]:\n            xmin = {_seconds(start)}\n"
        f"            xmax = {_seconds(end)}\n            text = {text if is_spoken else _quoted('')}\n"
        for row, (start, end, is_spoken) in enumerate(intervals, 1)
    )
    return head + "".join(rows)


def _with_silence(spoken: Sequence[tuple[int, int]], end_ms: int) -> Iterator[tuple[int, int, bool]]:
    """Yield start, end and whether somebody speaks, without a gap from 0 to the end."""
    edges = [(0, 0), *spoken, (end_ms, end_ms)]
    for (_, previous_end), (start, end) in pairwise(edges):
        if previous_end < start:
            yield previous_end, start, False
        if start < end:
            yield start, end, True


def _joined(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Join the spans of one label that overlap; those that only touch stay apart."""
    joined: list[tuple[int, int]] = []
    for span in spans:
        if joined and span.start_ms < joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], span.end_ms)
        else:
            joined.append((span.start_ms, span.end_ms))
    return joined


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'

"""Labelled spans in whole milliseconds: what every writer of a format takes."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

MIN_MS = 1
"""Length of the shortest span in milliseconds. A shorter one would have no duration in most formats, which
their readers refuse."""
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, lone surrogates, and separators of lines and paragraphs."""


class TimedTurn(Protocol):
    """A turn of `voxgraph.results`: one speaker from one second to another."""

    @property
    def start_s(self) -> float:
        """Seconds from the start of the recording."""
        ...

    @property
    def end_s(self) -> float:
        """Seconds from the start of the recording."""
        ...

    @property
    def speaker(self) -> str:
        """Label of the speaker."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a recording with a label of one line, not empty."""

    start_ms: int
    end_ms: int
    """At least `MIN_MS` later than `start_ms`."""
    label: str
    score: float | None = None
    """How sure the label is, 0..1; None if nobody knows."""


def span(start_s: float, end_s: float, label: str, score: float | None = None) -> Span:
    """Round times to milliseconds as the JSON answers do, to a span that is never empty."""
    start_ms = max(0, milliseconds(start_s))
    return Span(start_ms, max(milliseconds(end_s), start_ms + MIN_MS), label, score)


def milliseconds(seconds: float) -> int:
    """Round seconds to whole milliseconds; the same as ``round(seconds, 3)`` in every digit."""
    return round(round(seconds, 3) * 1000)


def spans_of(turns: Iterable[TimedTurn], names: Mapping[str, str] | None = None) -> list[Span]:
    """Return the spans of turns, sorted by start and end.

    Args:
        turns: In any order; they may overlap.
        names: Name to write in place of a label. A name without a visible character is not used.
    """
    turns, given = list(turns), names or {}
    labels = {turn.speaker for turn in turns}
    shown = {label: one_line(given.get(label, "")) or one_line(label) or "-" for label in labels}
    spans = [
        span(turn.start_s, turn.end_s, shown[turn.speaker], getattr(turn, "confidence", None))
        for turn in turns
    ]
    return sorted(spans, key=lambda one: (one.start_ms, one.end_ms))


def one_line(name: str) -> str:
    """Return a name in one line: runs of whitespace and control characters become one space each."""
    return " ".join("".join(" " if unicodedata.category(char) in _CONTROL else char for char in name).split())


def distinct(labels: Iterable[str], clean: Callable[[str], str]) -> dict[str, str]:
    """Return the clean form of each label, so that labels that differ have forms that differ.

    The second label with the form ``Ann_B`` becomes ``Ann_B_2``.
    """
    forms: dict[str, str] = {}
    taken: set[str] = set()
    for label in labels:
        if label in forms:
            continue
        form, number = clean(label), 1
        while form in taken:
            number += 1
            form = f"{clean(label)}_{number}"
        forms[label] = form
        taken.add(form)
    return forms

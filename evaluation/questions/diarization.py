"""Diarization: how much of a conversation goes to the wrong speaker, and whether all speakers were found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate

from deployments.api.schemas.turns import TurnsAnswer
from evaluation.asking import Answered
from evaluation.metrics.resampling import Floats, interval
from evaluation.section import Cell, Section, Table

FORGIVING_S = 0.25
"""Seconds before and after each border of the reference that are not scored in the forgiving figure."""
COLUMNS = (
    "conversation", "speech, s", "DER", "missed", "false alarm", "confusion", "DER, 0.25 s forgiven",
    "speakers", "found",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Errors:
    """Seconds of one conversation."""

    total: float
    """Speech in the reference; a second in which two talk counts twice."""
    missed: float
    false_alarm: float
    confusion: float
    """Speech that goes to another speaker."""

    @property
    def wrong(self) -> float:
        """All errors together."""
        return self.missed + self.false_alarm + self.confusion


def evaluate(answers: Sequence[Answered], references: Mapping[str, Annotation]) -> Section:
    """Evaluate the turns of conversations, at least one; `references` has the reference of each file."""
    files = [answered.clip.file for answered in answers]
    turns = [_turns(answered) for answered in answers]
    lengths = [answered.seconds for answered in answers]
    given = [references[file] for file in files]
    strict = [errors(*case) for case in zip(given, turns, lengths, strict=True)]
    forgiving = [errors(*case, FORGIVING_S) for case in zip(given, turns, lengths, strict=True)]
    speakers = np.array([len(reference.labels()) for reference in given])
    found = np.array([len(answer.speakers) for answer in turns])
    rows = [
        (file, *_cells(exact), _cells(rough)[1], int(true), int(number))
        for file, exact, rough, true, number in zip(files, strict, forgiving, speakers, found, strict=True)
    ]
    total = (*_cells(_sum(strict)), _cells(_sum(forgiving))[1])
    section = Section("diarization", "Diarization")
    section.figures = {
        "conversations": len(answers),
        **dict(zip(COLUMNS[1:7], total, strict=True)),
        "DER 95 %": interval(lambda weights: _rate(strict, weights), files),
        "number of speakers right": float((found == speakers).mean()),
        "mean difference of the number": float(np.abs(found - speakers).mean()),
    }
    section.tables = [Table("By conversation", COLUMNS, [("all", *total, None, None), *rows])]
    section.notes = [
        "DER: errors as a share of the speech of the reference, with overlapped speech and without a collar; "
        "missed, false alarm and confusion are its parts. The interval resamples conversations."
    ]
    return section


def columns(answered: Answered) -> dict[str, object]:
    """Return what the table of all answers says about one conversation."""
    answer = answered.answer.diarization
    return {} if answer is None else {"speakers_found": len(answer.speakers), "turns": answer.segments_count}


def errors(reference: Annotation, answer: TurnsAnswer, seconds: float, collar_s: float = 0.0) -> Errors:
    """Compare turns with their reference.

    Args:
        reference: Who speaks when.
        answer: The turns that were found.
        seconds: Length of the recording; all of it is scored.
        collar_s: Seconds before and after each border of the reference that are not scored.
    """
    # pyannote.metrics takes the whole width of the collar.
    metric = DiarizationErrorRate(collar=2 * collar_s)
    end = max(seconds, reference.get_timeline().extent().end)
    found = metric(reference, to_annotation(answer), uem=Timeline([Segment(0, end)]), detailed=True)
    names = ("total", "missed detection", "false alarm", "confusion")
    return Errors(*(float(found[name]) for name in names))


def to_annotation(answer: TurnsAnswer) -> Annotation:
    """Return the turns of an answer as pyannote's annotation."""
    annotation = Annotation()
    for number, turn in enumerate(answer.diarization_results):
        annotation[Segment(turn.start, turn.end), number] = turn.speaker
    return annotation


def _turns(answered: Answered) -> TurnsAnswer:
    assert answered.answer.diarization is not None
    return answered.answer.diarization


def _sum(found: Sequence[Errors]) -> Errors:
    return Errors(
        sum(one.total for one in found), sum(one.missed for one in found),
        sum(one.false_alarm for one in found), sum(one.confusion for one in found),
    )  # fmt: skip


def _rate(found: Sequence[Errors], weights: Floats) -> float | None:
    total = weights @ np.array([one.total for one in found])
    return float(weights @ np.array([one.wrong for one in found]) / total) if total else None


def _cells(found: Errors) -> tuple[Cell, ...]:
    """Return speech, error rate and its parts; the rates are None if there is no speech."""
    parts = (found.wrong, found.missed, found.false_alarm, found.confusion)
    return (found.total, *(part / found.total if found.total else None for part in parts))

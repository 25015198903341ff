"""Accent: how well American English is told from other English, and whether its probability is true."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from evaluation.asking import Answered
from evaluation.groups import Indices, groups
from evaluation.metrics.reliability import calibration_error, reliability
from evaluation.metrics.resampling import Floats, interval
from evaluation.metrics.verification import weighted_auc
from evaluation.plots import draw_reliability
from evaluation.section import Cell, Plot, Section, Table
from voxgraph.results import US_ACCENT

DECISION = 0.5
GROUPS = ("source", "sex", "age", "length")
COLUMNS = ("group", "clips", "of these US", "AUC", "AUC 95 %", "ECE", "called US: US", "others")


def evaluate(answers: Sequence[Answered]) -> Section:
    """Evaluate the answers about clips of English of a known accent; there must be at least one."""
    found = _Answers(answers)
    rows = [("all", *found.row(np.arange(len(answers))))]
    rows += [(name, *found.row(chosen)) for name, chosen in groups(answers, GROUPS)]
    section = Section("accent", "Accent", dict(zip(COLUMNS[1:], rows[0][1:], strict=True)))
    section.tables = [Table("By group", COLUMNS, rows), found.by_accent()]
    section.notes = [
        "The score is the probability of American English. AUC: probability that an American clip has a "
        "higher one than another clip. ECE: mean difference between the probability and the share of "
        f"American clips. called US: share with a probability above {DECISION:g}."
    ]
    section.plots = [Plot("accent_reliability", found.draw)]
    return section


def columns(answered: Answered) -> dict[str, object]:
    """Return what the table of all answers says about one clip."""
    answer = answered.answer.accent
    return {} if answer is None else {"accent_answer": answer.accent, "us_probability": probability(answered)}


def probability(answered: Answered) -> float:
    """Return the probability of American English, 0..1."""
    assert answered.answer.accent is not None
    return answered.answer.accent.probabilities.get(US_ACCENT, 0.0)


class _Answers:
    """The answers as arrays, all (clips,)."""

    def __init__(self, answers: Sequence[Answered]) -> None:
        self.us = np.array([bool(answered.clip.us) for answered in answers])
        self.scores = np.array([probability(answered) for answered in answers], np.float64)
        self.voices = [answered.clip.voice for answered in answers]
        self.accents = np.array([answered.clip.accent for answered in answers])

    def row(self, chosen: Indices) -> tuple[Cell, ...]:
        """Return the figures of some of the clips, in the order of `COLUMNS`."""
        us, scores = self.us[chosen], self.scores[chosen]
        auc = weighted_auc(us, scores)
        return (
            len(chosen), int(us.sum()), auc(None), interval(auc, [self.voices[index] for index in chosen]),
            calibration_error(reliability(scores, us)), _share(scores[us]), _share(scores[~us]),
        )  # fmt: skip

    def by_accent(self) -> Table:
        """Return the answers about each accent of the manifest."""
        table = Table("By accent of the manifest", ("accent", "US", "clips", "mean probability", "called US"))
        for us in (True, False):
            for accent in np.unique(self.accents[self.us == us]):
                scores = self.scores[(self.accents == accent) & (self.us == us)]
                name = str(accent) or "(not given)"
                table.rows.append(
                    (name, "yes" if us else "no", len(scores), float(scores.mean()), _share(scores))
                )
        return table

    def draw(self, figure: Figure) -> None:
        """Draw the share of American clips over their probability."""
        bins = reliability(self.scores, self.us)
        draw_reliability(figure, bins, "probability of American English", "share of American clips")


def _share(scores: Floats) -> float | None:
    return float((scores > DECISION).mean()) if len(scores) else None

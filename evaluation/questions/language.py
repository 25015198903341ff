"""Language: how often the answer is right, how often there is none, and whether the confidence is true."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from evaluation.asking import Answered
from evaluation.groups import Indices, groups
from evaluation.metrics.reliability import calibration_error, reliability
from evaluation.metrics.resampling import Floats, interval
from evaluation.plots import draw_reliability
from evaluation.section import Cell, Plot, Section, Table
from voxgraph.results import UNKNOWN_LANGUAGE

SURE = 0.9
"""Confidence above which a wrong answer is counted as sure of it."""
GROUPS = ("kind", "source", "language", "sex", "age", "length")
COLUMNS = (
    "group", "clips", "right", "95 %", "best", "unknown", "right of named", "uncertain", "ECE", "wrong, sure",
)  # fmt: skip
MAX_IN_PLOT = 25
"""Maximum number of languages in the picture of the confusions."""


def evaluate(answers: Sequence[Answered]) -> Section:
    """Evaluate the answers about clips whose language is known; there must be at least one."""
    found = _Answers(answers)
    every = np.arange(len(answers))
    section = Section("language", "Language")
    section.figures = dict(zip(COLUMNS[1:], found.row(every), strict=True))
    section.figures["right of named and certain"] = found.share(
        np.flatnonzero(found.named & ~found.uncertain), found.right
    )
    english = np.flatnonzero(found.expected == "en")
    if len(english):
        section.figures["English clips"] = len(english)
        section.figures["English called another language, sure"] = found.share(english, found.wrong_and_sure)
    by_group = Table("By group", COLUMNS, [("all", *found.row(every))])
    by_group.rows += [(name, *found.row(chosen)) for name, chosen in groups(answers, GROUPS)]
    section.tables = [by_group, found.confusions()]
    section.notes = [
        "right: the answer is the language of the manifest; an `unknown` counts as not right. best: the most "
        "probable language is right, whether it was answered or not. right of named: share of right ones "
        "among the answers that name a language. uncertain: answers with a warning. ECE: mean difference "
        "between confidence and share of right ones, of named answers. wrong, sure: wrong with a confidence "
        f"above {SURE:g}."
    ]
    section.plots = [
        Plot("language_reliability", found.draw_reliability),
        Plot("language_confusion", found.draw_confusion),
    ]
    return section


def columns(answered: Answered) -> dict[str, object]:
    """Return what the table of all answers says about one clip."""
    answer = answered.answer.language
    if answer is None:
        return {}
    return {
        "language": answer.language,
        "language_confidence": answer.confidence,
        "language_uncertain": answer.uncertain,
    }


class _Answers:
    """The answers as arrays, all (clips,)."""

    def __init__(self, answers: Sequence[Answered]) -> None:
        found = [answered.answer.language for answered in answers]
        languages = [answer for answer in found if answer is not None]
        self.voices = [answered.clip.voice for answered in answers]
        self.expected = np.array([answered.clip.lang for answered in answers])
        self.answered = np.array([answer.language for answer in languages])
        self.confidence = np.array([answer.confidence for answer in languages], np.float64)
        best = [max(answer.probabilities.items(), key=lambda pair: pair[1])[0] for answer in languages]
        self.named = self.answered != UNKNOWN_LANGUAGE
        self.uncertain = np.array([answer.uncertain for answer in languages])
        self.right = self.answered == self.expected
        self.best = np.array(best) == self.expected
        self.wrong_and_sure = self.named & ~self.right & (self.confidence > SURE)

    def row(self, chosen: Indices) -> tuple[Cell, ...]:
        """Return the figures of some of the clips, in the order of `COLUMNS`."""
        right = self.right[chosen].astype(np.float64)
        named = chosen[self.named[chosen]]
        bins = reliability(self.confidence[named], self.right[named])

        def share_right(weights: Floats) -> float | None:
            return float(np.average(right, weights=weights)) if weights.any() else None

        return (
            len(chosen),
            float(right.mean()),
            interval(share_right, [self.voices[index] for index in chosen]),
            self.share(chosen, self.best),
            float(1 - self.named[chosen].mean()),
            self.share(named, self.right),
            self.share(chosen, self.uncertain),
            calibration_error(bins) if len(named) else None,
            self.share(chosen, self.wrong_and_sure),
        )

    def share(self, chosen: Indices, true: NDArray[np.bool_]) -> float | None:
        """Return the share of the chosen clips of which something is true."""
        return float(true[chosen].mean()) if len(chosen) else None

    def confusions(self) -> Table:
        """Return the wrong answers by language and answer, the most frequent first."""
        wrong = ~self.right
        pairs = Counter(zip(self.expected[wrong].tolist(), self.answered[wrong].tolist(), strict=True))
        total = Counter(self.expected.tolist())
        rows: list[tuple[Cell, ...]] = [
            (expected, answered, number, number / total[expected])
            for (expected, answered), number in pairs.most_common()
        ]
        return Table(
            "Wrong answers", ("language", "answer", "clips", "share of the language"), rows, shown=20
        )

    def draw_reliability(self, figure: Figure) -> None:
        """Draw the share of right answers over their confidence."""
        bins = reliability(self.confidence[self.named], self.right[self.named])
        draw_reliability(figure, bins, "confidence", "share of right answers")

    def draw_confusion(self, figure: Figure) -> None:
        """Draw which language is answered how often for which."""
        common = [code for code, _ in Counter(self.expected.tolist()).most_common(MAX_IN_PLOT)]
        others = [code for code, _ in Counter(self.answered.tolist()).most_common() if code not in common]
        labels = [*common, *others[: MAX_IN_PLOT // 2]]
        inside = np.isin(self.expected, labels) & np.isin(self.answered, labels)
        matrix = confusion_matrix(
            self.expected[inside], self.answered[inside], labels=labels, normalize="true"
        )[: len(common)]
        axes = figure.subplots()
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(labels)), labels, rotation=90)
        axes.set_yticks(range(len(common)), common)
        axes.set_xlabel("answer")
        axes.set_ylabel("language of the manifest")

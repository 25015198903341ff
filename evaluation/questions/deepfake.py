"""Deepfake: which real recordings are accused, which generators are found, and thresholds that accuse few."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evaluation.asking import Answered
from evaluation.groups import Indices, groups
from evaluation.manifest import FAKE
from evaluation.metrics.operating_point import left_out, threshold_above, threshold_below
from evaluation.metrics.resampling import Floats, interval
from evaluation.metrics.verification import weighted_auc
from evaluation.plots import draw_histograms
from evaluation.section import Cell, Plot, Section, Table

GENERATED, INCONCLUSIVE, NO_SIGN = VERDICTS = ("ai_generated", "inconclusive", "no_sign_found")
GROUPS = ("source", "language", "sex", "age", "length")
NOT_GIVEN = "(not given)"
PASSING = 0.02
"""Share of the real recordings of a source that may be called generated at the operating point."""
MISSED = 0.05
"""Share of the recordings of a generator of which no sign may be found at the operating point."""


def evaluate(answers: Sequence[Answered]) -> Section:
    """Evaluate the answers about clips of which it is known whether they are real; at least one."""
    found = _Answers(answers)
    real, fake = np.flatnonzero(~found.fake), np.flatnonzero(found.fake)
    section = Section("deepfake", "Deepfake")
    section.figures = {
        "real clips": len(real),
        "generated clips": len(fake),
        "AUC": found.auc(None),
        "AUC 95 %": interval(found.auc, found.voices),
        "real called ai_generated": found.shares(real)[0],
        "generated called ai_generated": found.shares(fake)[0],
    }
    section.tables = [*found.tables(answers, real, fake)]
    section.notes = [
        "The score of a recording is the probability that more than half of its chunks reach, since most "
        "chunks decide. AUC: probability that a generated recording has a higher score than a real one; 0.5 "
        "is chance. No verdict says that a recording is real."
    ]
    if len(real):
        _add_operating_points(section, found, real, fake)
    section.plots = [Plot("deepfake_scores", found.draw)]
    return section


def columns(answered: Answered) -> dict[str, object]:
    """Return what the table of all answers says about one clip."""
    if answered.answer.deepfake is None:
        return {}
    return {"verdict": verdict(answered), "ai_generated_score": score(answered)}


def probabilities(answered: Answered) -> list[float]:
    """Return the probability of each chunk, 0..1, in ascending order."""
    assert answered.answer.deepfake is not None
    return sorted(chunk.class_probabilities.ai_generated for chunk in answered.answer.deepfake.chunks)


def score(answered: Answered) -> float:
    """Return the probability that more than half of the chunks reach: a verdict is that of most chunks."""
    found = probabilities(answered)
    return found[(len(found) - 1) // 2]


def low_score(answered: Answered) -> float:
    """Return the probability that more than half of the chunks do not exceed."""
    found = probabilities(answered)
    return found[len(found) // 2]


def verdict(answered: Answered) -> str:
    """Return one of `VERDICTS`."""
    assert answered.answer.deepfake is not None
    found = getattr(answered.answer.deepfake, "verdict", None)
    return str(found or (GENERATED if answered.answer.deepfake.is_deepfake else NO_SIGN))


class _Answers:
    """The answers as arrays, all (clips,)."""

    def __init__(self, answers: Sequence[Answered]) -> None:
        self.fake = np.array([answered.clip.label == FAKE for answered in answers])
        self.scores = np.array([score(answered) for answered in answers], np.float64)
        self.low_scores = np.array([low_score(answered) for answered in answers], np.float64)
        self.verdicts = np.array([verdict(answered) for answered in answers])
        self.auc = weighted_auc(self.fake, self.scores)
        self.voices = [answered.clip.voice for answered in answers]
        self.sources = np.array([answered.clip.source or NOT_GIVEN for answered in answers])
        self.generators = np.array([answered.clip.generator or NOT_GIVEN for answered in answers])

    def shares(self, chosen: Indices) -> tuple[Cell, ...]:
        """Return the share of each verdict."""
        if not len(chosen):
            return (None,) * len(VERDICTS)
        return tuple(float((self.verdicts[chosen] == name).mean()) for name in VERDICTS)

    def tables(self, answers: Sequence[Answered], real: Indices, fake: Indices) -> Iterator[Table]:
        """Yield the verdicts on real clips by group, and on generated ones by generator."""
        columns = ("clips", *VERDICTS, "mean score")
        if len(real):
            chosen = [("all", np.arange(len(real))), *groups([answers[index] for index in real], GROUPS)]
            rows = [(name, *self._row(real[indices])) for name, indices in chosen]
            yield Table("Real recordings", ("group", *columns), rows)
        if len(fake):
            members = {name: fake[self.generators[fake] == name] for name in np.unique(self.generators[fake])}
            rows = [(str(name), *self._row(indices)) for name, indices in members.items()]
            yield Table("Generated recordings", ("generator", *columns), [("all", *self._row(fake)), *rows])

    def _row(self, chosen: Indices) -> tuple[Cell, ...]:
        return (len(chosen), *self.shares(chosen), float(self.scores[chosen].mean()))

    def draw(self, figure: Figure) -> None:
        """Draw the scores of real and generated recordings."""
        kinds = {"real": self.scores[~self.fake], "generated": self.scores[self.fake]}
        draw_histograms(figure, {name: found for name, found in kinds.items() if len(found)}, "score")


def _by(names: NDArray[np.str_], scores: Floats, chosen: Indices) -> dict[str, Floats]:
    return {str(name): scores[chosen[names[chosen] == name]] for name in np.unique(names[chosen])}


def _add_operating_points(section: Section, found: _Answers, real: Indices, fake: Indices) -> None:
    """Add a probability that few real recordings exceed, and one that few generated ones are below."""
    by_source = _by(found.sources, found.scores, real)
    above, unseen = threshold_above(by_source, PASSING), left_out(by_source, PASSING)
    section.figures["operating point: ai_generated above"] = above
    rows: list[tuple[Cell, ...]] = [
        (name, len(scores), float((scores > above).mean()), unseen.get(name))
        for name, scores in by_source.items()
    ]
    columns = ("source", "clips", "share above", "share above the point of the other sources")
    section.tables.append(Table(f"Real recordings above the operating point of {above:.3f}", columns, rows))
    if len(fake):
        _add_recall(section, found, fake, above)
    section.notes.append(
        f"The operating point of ai_generated is the lowest score that at most {100 * PASSING:g} % of the "
        "real recordings of every source exceed. The last column fits it on the other sources alone: that is "
        "what to expect of recordings of a source that is not in the folder."
    )
    if passing := [name for name, share in unseen.items() if share > PASSING]:
        section.notes.append(
            f"More than {100 * PASSING:g} % of a source that was left out pass: {', '.join(passing)}. "
            "Do not accuse anybody on the strength of this detector alone."
        )


def _add_recall(section: Section, found: _Answers, fake: Indices, above: float) -> None:
    """Add the operating point of no_sign_found, the recall of each generator, and the settings."""
    by_generator = _by(found.generators, found.scores, fake)
    low_by_generator = _by(found.generators, found.low_scores, fake)
    below = min(threshold_below(low_by_generator, MISSED), above)
    section.figures["operating point: no_sign_found below"] = below
    rows: list[tuple[Cell, ...]] = [
        (name, len(scores), float((scores > above).mean()), float((low_by_generator[name] < below).mean()))
        for name, scores in by_generator.items()
    ]
    title = f"Generated recordings at the operating points of {below:.3f} and {above:.3f}"
    section.tables.append(Table(title, ("generator", "clips", "ai_generated", "no_sign_found"), rows))
    section.notes.append(
        f"The operating point of no_sign_found is the highest score that at most {100 * MISSED:g} % of the "
        "recordings of every generator are below."
    )
    # Rounded to the safe side.
    points = {"ai_generated": np.ceil(1e4 * above) / 1e4, "no_sign_found": np.floor(1e4 * below) / 1e4}
    section.settings = (
        "deepfake_points: {" + ", ".join(f"{name}: {at:.4f}" for name, at in points.items()) + "}"
    )

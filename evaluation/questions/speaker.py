"""Speaker: how well embeddings tell apart one voice from two, over all pairs of clips."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deployments.api.schemas.health import HealthAnswer
from evaluation.asking import Answered
from evaluation.groups import Indices, groups
from evaluation.metrics.resampling import Floats, Interval
from evaluation.metrics.verification import Pairs, Rates, Trials, equal_error_rate, intervals, min_dcf
from evaluation.plots import draw_det, inner_points
from evaluation.section import Cell, Plot, Section, Table
from gallery.likelihood import MinCllr, cllr, costs, fit_calibration, llrs_of, mean_cost
from voxgraph.calibration import SpeakerCalibration

Calibrations = dict[tuple[str, str], SpeakerCalibration]
"""Calibrations by hub id and revision of the encoder."""

FALSE_MATCHES = 0.01
GROUPS = ("source", "source and age", "language", "sex", "age")
MAX_CURVES = 8
COUNTS = (
    "voices", "clips", "pairs of one voice", "pairs of two", "one voice, not comparable",
    "two voices, not comparable",
)  # fmt: skip
ERRORS = (
    "EER", "EER 95 %", "EER, one sex", "minDCF", "minDCF 95 %", "Cllr", "Cllr 95 %",
    "Cllr, refitted", "minCllr", "minCllr 95 %", "1 % false at",
)  # fmt: skip


def calibrations_of(health: HealthAnswer) -> Calibrations:
    """Return the calibrations of the graph's encoders."""
    return {
        (model.hub_id, model.revision): SpeakerCalibration(found.slope, found.intercept)
        for model in health.models.values()
        if (found := model.same_speaker)
    }


def evaluate(answers: Sequence[Answered], calibrations: Calibrations) -> Section:
    """Evaluate the embeddings of clips whose speakers are known.

    Args:
        answers: At least one.
        calibrations: The calibrations that turn cosines into the graph's log-likelihood ratios.
    """
    found = _Embeddings(answers, calibrations)
    every = np.arange(len(answers))
    chosen = [("all", every), *groups(answers, GROUPS)]
    section = Section("speaker", "Speaker")
    counts, errors = Table("Pairs within groups", ("group", *COUNTS)), Table("Errors", ("group", *ERRORS))
    for name, indices in chosen:
        pairs = found.pairs(indices)
        counts.rows.append((name, *found.counts(indices, pairs)))
        if name == "all" or pairs.has_both_kinds:
            errors.rows.append((name, *found.errors(pairs)))
    section.figures = dict(zip(COUNTS + ERRORS, counts.rows[0][1:] + errors.rows[0][1:], strict=True))
    section.tables = [counts, errors, found.refitted()]
    section.notes = [
        "Pairs of one encoder are scored by their cosine; pairs of two encoders cannot be compared and are "
        "in no other figure. minDCF: prior 0.01, both costs 1. Cllr, in bits: cost of the log-likelihood "
        "ratios that the graph answers; refitted: of a calibration that was fitted on half of the voices of "
        "the group and applied to the other half; minCllr: of the best possible one. The intervals resample "
        "speakers. 1 % false at: the cosine that 1 % of the pairs of two voices exceed.",
    ]
    curves = {name: found.rates(indices) for name, indices in chosen if name.startswith(("all", "source: "))}
    imperfect = {name: rates for name, rates in curves.items() if rates and len(inner_points(rates))}
    drawn = dict(list(imperfect.items())[:MAX_CURVES])
    if drawn:
        section.plots = [Plot("speaker_det", lambda figure: draw_det(figure, drawn))]
    return section


def columns(answered: Answered) -> dict[str, object]:
    """Return what the table of all answers says about one clip; not the embedding, which is biometric."""
    answer = answered.answer.speaker
    if answer is None:
        return {}
    return {"speaker_model": answer.model, "speaker_revision": answer.revision}


class _Embeddings:
    """The embeddings of all clips with their speakers."""

    def __init__(self, answers: Sequence[Answered], calibrations: Calibrations) -> None:
        found = [answered.answer.speaker for answered in answers]
        embeddings = [answer for answer in found if answer is not None]
        self.calibrations = calibrations
        self.vectors = np.array([answer.embedding for answer in embeddings], np.float32)
        spaces = [(answer.model, answer.revision) for answer in embeddings]
        self.names = list(dict.fromkeys(spaces))
        self.spaces = np.array([self.names.index(space) for space in spaces])
        speakers = [" ".join(answered.clip.voice) for answered in answers]
        self.voices: NDArray[np.intp] = np.unique(speakers, return_inverse=True)[1]
        sexes = [answered.clip.sex for answered in answers]
        _, firsts = np.unique(self.voices, return_index=True)
        self.sex_of_voice = np.array(sexes)[firsts]

    def pairs(self, chosen: Indices) -> Pairs:
        """Return all comparable pairs of the chosen clips."""
        parts = []
        for space in np.unique(self.spaces[chosen]):
            members = chosen[self.spaces[chosen] == space]
            calibration = self.calibrations.get(self.names[space])
            parts.append(Pairs.of(self.vectors[members], self.voices[members], calibration))
        return Pairs.joined(parts)

    def refitted(self) -> Table:
        """Return a calibration of each encoder that is fitted on all of its pairs."""
        table = Table("Refitted calibration", ("encoder", "revision", "slope", "intercept", "threshold"))
        for space, name in enumerate(self.names):
            pairs = self.pairs(np.flatnonzero(self.spaces == space))
            if pairs.has_both_kinds:
                fitted = fit_calibration(pairs.scores, pairs.same)
                table.rows.append((*name, fitted.slope, fitted.intercept, fitted.threshold))
        return table

    def rates(self, chosen: Indices) -> Rates | None:
        """Return the error rates of the chosen clips; None if there are none."""
        pairs = self.pairs(chosen)
        return Trials(pairs.same, pairs.scores).rates() if pairs.has_both_kinds else None

    def counts(self, chosen: Indices, pairs: Pairs) -> tuple[Cell, ...]:
        """Return `COUNTS` of the chosen clips and their comparable pairs."""
        of_voice = np.bincount(self.voices[chosen])
        same = int((of_voice * (of_voice - 1) // 2).sum())
        others = len(chosen) * (len(chosen) - 1) // 2 - same
        one, two = int(pairs.same.sum()), int((~pairs.same).sum())
        return int((of_voice > 0).sum()), len(chosen), one, two, same - one, others - two

    def errors(self, pairs: Pairs) -> tuple[Cell, ...]:
        """Return `ERRORS` of the pairs."""
        if not pairs.has_both_kinds:
            return (None,) * len(ERRORS)
        # In the order of their scores they are read from memory one after the other: half the time.
        pairs = pairs.only(np.argsort(pairs.scores, kind="stable"))
        trials, best = Trials(pairs.same, pairs.scores), MinCllr(pairs.scores, pairs.same)
        same = pairs.same
        believed = None if pairs.llrs is None else costs(pairs.llrs, same)

        def statistics(weights: Floats | None = None) -> list[float]:
            rates = trials.rates(weights)
            found = [equal_error_rate(rates), min_dcf(rates), best.cost(weights)]
            return found if believed is None else [*found, mean_cost(believed, same, weights)]

        values: list[float | None] = [*statistics(), None][:4]
        ends: list[Interval | None] = [*intervals(pairs, statistics), *[None] * 4][:4]
        return (
            values[0], ends[0], self._within_one_sex(pairs), values[1], ends[1], values[3], ends[3],
            refitted_cllr(pairs), values[2], ends[2], trials.threshold(FALSE_MATCHES),
        )  # fmt: skip

    def _within_one_sex(self, pairs: Pairs) -> float | None:
        """Return the EER of the pairs whose speakers are known to have one sex."""
        first, second = self.sex_of_voice[pairs.first], self.sex_of_voice[pairs.second]
        alike = pairs.only((first == second) & (first != ""))
        if not alike.has_both_kinds:
            return None
        return equal_error_rate(Trials(alike.same, alike.scores).rates())


def refitted_cllr(pairs: Pairs) -> float | None:
    """Return the Cllr of a calibration of these scores, each half of the voices calibrated by the other half.

    Pairs of a voice of each half are left out. The value is None if a half has not both kinds of pairs.
    """
    present = np.unique(np.concatenate([pairs.first, pairs.second]))
    side = np.zeros(int(present.max()) + 1, np.int8)
    side[present[1::2]] = 1
    halves = [pairs.only((side[pairs.first] == half) & (side[pairs.second] == half)) for half in (0, 1)]
    if not all(half.has_both_kinds for half in halves):
        return None
    first, second = (fit_calibration(half.scores, half.same) for half in halves)
    llrs = np.concatenate([llrs_of(halves[0].scores, second), llrs_of(halves[1].scores, first)])
    return cllr(llrs, Pairs.joined(halves).same)

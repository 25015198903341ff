"""How well a gallery's own voices are told apart: rates with intervals, costs, a plot; or too little data.

Every reference is left out in turn: it is compared with the other references of its speaker, which makes a
target trial, and with the profiles of all other speakers, which makes impostor trials.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from gallery.calibration import Calibration, NotEnoughData, Trials, fit, shipped
from gallery.crowd import crowds
from gallery.decisions import POINTS
from gallery.search import Profile, Rows, Scores, VoiceMatrix, centroids
from voxgraph.results.gallery import CalibrationReport, Space

Floats = NDArray[np.float64]

BUCKETS_S = (0.0, 4.0, 8.0, 20.0, np.inf)
"""Bounds, in seconds of speech in the probe, of the parts that are reported by themselves."""
SIZES = (10, 100, 1000)
"""Speakers of the galleries that are drawn to measure identification."""
DRAWS = 20
FPIR_TARGETS = (0.01, 0.001)
"""Shares of strangers named at which the share of found speakers is reported."""
MOST_SPEAKERS, MOST_PROBES = 500, 4
"""Speakers, and references of each, that are compared; of more, these are drawn."""
MOST_CLLR = 0.8
"""Cost in bits above which the ratios would say next to nothing."""
OVERLAP = "The voices overlap: a ratio would cost {cost:.2f} bits of 1, so that no threshold is set."


@dataclass(frozen=True, slots=True, eq=False)
class OwnReference:
    """An enrolled recording in one space."""

    vector: Rows
    """(dim,), any length but 0."""
    speech_s: float
    """Seconds of speech."""


References = Mapping[str, Sequence[OwnReference]]
"""The references of each speaker, by name."""


def calibrate(space: Space, references: References) -> tuple[CalibrationReport, Calibration | None]:
    """Fit the calibration of a space on a gallery's voices and measure it.

    Args:
        space: Of the references.
        references: Of all active speakers.

    Returns:
        The report, and the calibration; None, and no figures, if there are too few trials or the voices
        cannot be told apart.
    """
    chosen = drawn({name: len(own) for name, own in references.items()})
    found = own_trials({name: references[name] for name in chosen}, space.dim)
    counts = found.speakers, found.targets, found.impostors
    try:
        calibration = fit(found, f"{found.targets + found.impostors} comparisons of the gallery's own voices")
        crossed, llrs = crossed_llrs(found)
    except NotEnoughData as error:
        return CalibrationReport(space, False, f"Not enough data to set a threshold. {error}", *counts), None
    # Slow to import, and not needed to apply a calibration.
    from gallery.likelihood import MinCllr, cllr

    cost = cllr(llrs, crossed.is_target)
    if cost > MOST_CLLR:
        return CalibrationReport(space, False, OVERLAP.format(cost=cost), *counts), None
    figures = {
        "verification": verification(llrs, crossed.is_target),
        "eer": equal_error_rate(llrs, crossed.is_target),
        "cllr": cost,
        "min_cllr": MinCllr(llrs, crossed.is_target).cost(),
        "shipped_cllr": _shipped_cllr(space, crossed),
        "identification": list(identification(found, calibration)),
        "by_speech_s": list(by_speech(llrs, crossed)),
        "calibration": calibration.as_dict(),
    }
    message = "The gallery's own calibration is used from now on."
    return CalibrationReport(
        space, True, message, *counts, figures, det_plot(llrs, crossed.is_target)
    ), calibration


def _shipped_cllr(space: Space, found: Trials) -> float | None:
    """Return the cost of the encoder's own calibration, whose crowd is the gallery's alone here."""
    from gallery.likelihood import cllr

    calibration = shipped(space)
    if calibration is None:
        return None
    return cllr(calibration.llr(found.cosines, found.enrol_s, found.test_s, found.crowds), found.is_target)


def drawn(references: Mapping[str, int], seed: int = 0) -> list[str]:
    """Return at most `MOST_SPEAKERS` names, in order, those with several references first.

    Args:
        references: Number of references of each speaker; without any a speaker is left out.
        seed: Of the draw.
    """
    generator = np.random.default_rng(seed)
    names = np.array(sorted(name for name, count in references.items() if count), object)
    is_single = np.array([references[name] < 2 for name in names], bool)
    order = np.lexsort((generator.random(len(names)), is_single))
    return sorted(names[order[:MOST_SPEAKERS]].tolist())


def interval_of(errors: int, trials: int) -> tuple[float, float]:
    """Return Clopper and Pearson's 95 % confidence interval of an error rate; (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    found = binomtest(errors, trials).proportion_ci(method="exact")
    return float(found.low), float(found.high)


def own_trials(references: References, dim: int) -> Trials:
    """Return all trials of a gallery with itself, each reference left out of its own speaker's profile.

    Args:
        references: Of each speaker, at least one.
        dim: Numbers in a vector.
    """
    matrix = VoiceMatrix({name: _profile(own) for name, own in references.items()}, dim)
    positions = {name: index for index, name in enumerate(references)}
    none = np.zeros(0)
    nobody = np.zeros(0, np.intp)
    parts = [Trials(none, none.astype(bool), none, none, nobody, nobody, none)]
    for name, own in references.items():
        for index, probe in enumerate(own[:MOST_PROBES]):
            others = matrix.scores(probe.vector, (name,))
            parts.append(_trials(others, crowds(others.scores), positions, name, probe.speech_s))
            rest = [*own[:index], *own[index + 1 :]]
            if rest:
                alone = VoiceMatrix({name: _profile(rest)}, dim).scores(probe.vector)
                near = crowds(alone.scores, others.scores)
                parts.append(_trials(alone, near, positions, name, probe.speech_s))
    return Trials.joined(parts)


def _profile(references: Sequence[OwnReference]) -> Profile:
    rows = centroids(np.stack([each.vector for each in references]))
    return Profile(rows, sum(each.speech_s for each in references))


def _trials(scores: Scores, near: Floats, positions: Mapping[str, int], actual: str, test_s: float) -> Trials:
    claimed = np.array([positions[name] for name in scores.names], np.intp)
    owner = np.full(len(claimed), positions[actual], np.intp)
    tested = np.full(len(claimed), test_s)
    return Trials(scores.scores, claimed == owner, scores.speech_s, tested, claimed, owner, near)


def crossed_llrs(found: Trials) -> tuple[Trials, Floats]:
    """Return trials within two halves of the speakers, and their ratios by a fit on the other half.

    Raises:
        NotEnoughData: A half has no trials of both kinds.
    """
    half = found.claimed % 2
    within = [found.only((half == side) & (found.actual % 2 == side)) for side in (0, 1)]
    llrs = []
    for side, other in (within, within[::-1]):
        fitted = fit(other, "half of the speakers", enough=False)
        llrs.append(fitted.llr(side.cosines, side.enrol_s, side.test_s, side.crowds))
    return Trials.joined(within), np.concatenate(llrs)


def rate(errors: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an error rate with its interval and counts, for JSON."""
    return count_rate(int(errors.sum()), len(errors))


def count_rate(errors: int, trials: int) -> dict[str, Any]:
    """Return the rate of so many errors with its interval and counts, for JSON."""
    low, high = interval_of(errors, trials)
    return {
        "rate": errors / trials if trials else None,
        "low": low,
        "high": high,
        "errors": errors,
        "trials": trials,
    }


def verification(llrs: Floats, is_target: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the rates of false accepts and of false rejects at each operating point."""
    return {
        name: {
            "llr": point.llr,
            "far": rate(llrs[~is_target] >= point.llr),
            "frr": rate(llrs[is_target] < point.llr),
        }
        for name, point in POINTS.items()
    }


def by_speech(llrs: Floats, found: Trials) -> Iterator[dict[str, Any]]:
    """Yield the rates of ``balanced`` for each bucket of seconds of speech in the probe that has trials."""
    for low, high in pairwise(BUCKETS_S):
        chosen = (found.test_s >= low) & (found.test_s < high)
        if chosen.any():
            rates = verification(llrs[chosen], found.is_target[chosen])["balanced"]
            yield {"from_s": low, "to_s": None if np.isinf(high) else high, **rates}


def equal_error_rate(llrs: Floats, is_target: NDArray[np.bool_]) -> float:
    """Return the rate at which both errors are equal, the mean of the nearest two."""
    from sklearn.metrics import det_curve

    false, missed, _ = det_curve(is_target, llrs)
    nearest = int(np.abs(false - missed).argmin())
    return float(false[nearest] + missed[nearest]) / 2


def identification(found: Trials, calibration: Calibration, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield what identification does in galleries of `SIZES` speakers that are drawn from these.

    Everybody else is a stranger. FPIR is the share of strangers who are named, DIR that of enrolled speakers
    who are named rightly, FNIR the rest of it (NIST's words).
    """
    cosines, owners = _table(found, found.cosines)
    table, _ = _table(found, calibration.llr(found.cosines, found.enrol_s, found.test_s, 0.0))
    generator = np.random.default_rng(seed)
    speakers = table.shape[1]
    for size in SIZES:
        if size >= speakers:
            return
        strangers, known = [], []
        for _ in range(DRAWS):
            chosen = generator.choice(speakers, size, replace=False)
            # A speaker with one reference is a stranger only where nobody knows the voice.
            is_probe = np.isfinite(cosines[:, chosen]).all(axis=1)
            near = crowds(cosines[is_probe][:, chosen], usual=calibration.usual)
            odds = table[is_probe][:, chosen] + calibration.crowd * near - np.log(size)
            is_known = np.isin(owners[is_probe], chosen)
            best, is_right = odds.max(axis=1), chosen[odds.argmax(axis=1)] == owners[is_probe]
            total = np.logaddexp(0.0, np.logaddexp.reduce(odds, axis=1))
            strangers.append(np.stack([best, best - total], axis=1)[~is_known])
            right = np.where(is_right, best, -np.inf)
            known.append(np.stack([right, right - total], axis=1)[is_known])
        yield {"enrolled": size, **_identification_rates(np.concatenate(strangers), np.concatenate(known))}


def _identification_rates(strangers: Floats, known: Floats) -> dict[str, Any]:
    """Return the rates at the operating points, and found speakers at fixed shares of strangers named.

    Args:
        strangers: Log odds of the best speaker and logarithm of his posterior, (probes, 2).
        known: Likewise; -inf where the best is another one.
    """
    points = {
        name: {
            "fpir": float((strangers[:, 1] >= np.log(point.probability)).mean()) if len(strangers) else None,
            "dir": float((known[:, 1] >= np.log(point.probability)).mean()) if len(known) else None,
        }
        for name, point in POINTS.items()
    }
    at = {}
    for target in FPIR_TARGETS:
        if len(strangers) >= 1 / target and len(known):
            at[f"{target:g}"] = float((known[:, 0] > np.quantile(strangers[:, 0], 1 - target)).mean())
    return {"points": points, "dir_at_fpir": at, "strangers": len(strangers), "known": len(known)}


def _table(found: Trials, values: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the value of each probe and speaker, (probes, speakers), NaN where there is none; and its owner.

    Trials lie in the order of their probes: all other speakers, then the own one.
    """
    speakers = int(found.claimed.max()) + 1
    # The same speaker turns up again with the next probe.
    first = found.claimed == np.where(found.actual == 0, min(1, speakers - 1), 0)
    probe = np.cumsum(first) - 1
    table = np.full((int(probe.max()) + 1, speakers), np.nan)
    table[probe, found.claimed] = values
    owners = np.zeros(len(table), np.intp)
    owners[probe] = found.actual
    return table, owners


def det_plot(llrs: Floats, is_target: NDArray[np.bool_]) -> bytes:
    """Return the detection error trade-off as a PNG."""
    from matplotlib.figure import Figure
    from sklearn.metrics import DetCurveDisplay

    figure = Figure(figsize=(6.4, 5.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    DetCurveDisplay.from_predictions(is_target, llrs, ax=axes, name="the gallery's voices")
    axes.set(xlabel="rate of false accepts", ylabel="rate of false rejects")
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()

"""Decide who speaks, if anybody of the gallery: a posterior over nobody and all speakers.

With the ratio ``llr_i`` of speaker i, the prior ``p_0`` of nobody and the rest of it spread evenly over the N
speakers, ``P(i) = (1 - p_0) / N * exp(llr_i) / (p_0 + sum_j (1 - p_0) / N * exp(llr_j))``. The ratio that
names somebody rises by log N, since among more people one is nearer by chance (VoxWatch, arXiv 2307.00169),
and two speakers who are equally near share the probability, so that neither is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gallery.calibration import Calibration
from gallery.search import Scores
from voxgraph.results.gallery import Decision, OperatingPoint

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """What an operating point asks before it names somebody."""

    far: float
    """Verification: highest rate at which another speaker is accepted."""
    probability: float
    """Identification: least posterior probability."""

    @property
    def llr(self) -> float:
        """Least log-likelihood ratio in a verification.

        Of calibrated ratios, at most a share ``exp(-x)`` of those of other speakers exceeds x: the mean of
        ``exp(llr)`` over them is 1, and Markov's inequality does the rest.
        """
        return float(-np.log(self.far))


POINTS: dict[OperatingPoint, Point] = {
    "lenient": Point(1e-2, 0.7),
    "balanced": Point(1e-3, 0.8),
    "strict": Point(1e-4, 0.99),
}
"""The probability of ``balanced`` names less than 1 % of the strangers and more than 90 % of the enrolled in
``benchmarks.gallery_decisions``, with a calibration that was fitted on other sources of speech as with one
that was fitted on other speakers of the same source. It was chosen together with `gallery.crowd.CROWD`."""

FIXED_COSINE: dict[OperatingPoint, float] = {"lenient": 0.6, "balanced": 0.7, "strict": 0.8}
"""Least cosine in a space that has no calibration. No one number holds for all encoders: these are high."""
FIXED_MARGIN = 0.15
"""Least distance to the second speaker there."""
RIVAL_MARGIN = 4.6
"""Least difference of log odds to another voice of the same recording: 100 to 1. Two voices of one person
both have high ratios, whose difference says little."""
_FAR = -1e6
FIXED_SPEAKERS = 100
"""Most speakers of whom one is named there: a fixed threshold names more strangers in a larger gallery."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One compared speaker."""

    name: str
    score: float
    """Cosine, -1..1."""
    llr: float | None
    """None: the space has no calibration."""
    probability: float | None
    """Posterior, 0..1; None likewise."""
    strength: float
    """Log odds against nobody, or the cosine less the threshold."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about one voice."""

    decision: Decision
    name: str | None = None
    """The speaker of a match, or whom a verification was asked about."""
    candidates: tuple[Scored, ...] = ()
    """The best first."""
    margin: float | None = None
    """What the best has more than the second: in log-likelihood ratio, or in cosine without a calibration."""
    threshold: float | None = None
    """What the best must reach: a ratio to be verified, a posterior to be identified, a cosine without a
    calibration."""
    calibrated: bool = False

    @property
    def best(self) -> Scored | None:
        """The best candidate; None if nobody was compared."""
        return self.candidates[0] if self.candidates else None


def decide_verify(
    scores: Scores, calibration: Calibration | None, test_s: float, point: OperatingPoint, prior: float = 0.5
) -> Verdict:
    """Decide whether a voice is that of the one speaker it was compared with.

    ``match`` from the operating point on; ``no_match`` where the evidence is against the speaker;
    ``inconclusive`` between.

    Args:
        scores: The comparison with this speaker alone.
        calibration: Of the space; None: a fixed rule decides that is made to err on the safe side.
        test_s: Seconds of speech in the recording.
        point: Operating point.
        prior: Probability of the speaker before the recording is heard, for the posterior of the answer.
    """
    name, score = str(scores.names[0]), float(scores.scores[0])
    if calibration is None:
        value, threshold, against = score, FIXED_COSINE[point], FIXED_COSINE[point] - FIXED_MARGIN
        scored = Scored(name, score, None, None, score - threshold)
    else:
        posterior = Posterior(scores, calibration, test_s, 1 - prior)
        scored = posterior.scored(0)
        value, threshold, against = scored.llr or 0.0, POINTS[point].llr, 0.0
    if value >= threshold:
        decision = Decision.MATCH
    else:
        decision = Decision.INCONCLUSIVE if value >= against else Decision.NO_MATCH
    return Verdict(decision, name, (scored,), None, threshold, calibration is not None)


def decide_identify(
    scores: Scores,
    calibration: Calibration | None,
    test_s: float,
    point: OperatingPoint,
    unknown_prior: float = 0.5,
    top_n: int = 5,
) -> Verdict:
    """Decide who of the speakers it is, or nobody.

    ``match`` if the best speaker's posterior reaches that of the operating point, ``unknown`` if nobody's is
    at least one half, ``ambiguous`` otherwise. Without a calibration, the cosine must reach a fixed
    threshold, with a margin to the next speaker, in a gallery of at most `FIXED_SPEAKERS`.

    Args:
        scores: The comparison with all speakers who may be named; there may be none.
        calibration: Of the space, or None.
        test_s: Seconds of speech in the recording.
        point: Operating point.
        unknown_prior: Probability of nobody before the recording is heard, 0..1 exclusive.
        top_n: Most candidates of the answer, at least 1.
    """
    if not len(scores):
        return Verdict(Decision.UNKNOWN, calibrated=calibration is not None)
    if calibration is None:
        return _by_fixed_rule(scores, point, top_n)
    posterior = Posterior(scores, calibration, test_s, unknown_prior)
    scored = tuple(posterior.scored(index) for index in posterior.best(max(top_n, 2)))
    needed, best = POINTS[point].probability, scored[0]
    if (best.probability or 0.0) >= needed:
        decision = Decision.MATCH
    else:
        decision = Decision.UNKNOWN if posterior.of_nobody >= 0.5 else Decision.AMBIGUOUS
    margin = best.strength - scored[1].strength if len(scored) > 1 else None
    name = best.name if decision is Decision.MATCH else None
    return Verdict(decision, name, scored[:top_n], margin, needed, True)


def _by_fixed_rule(scores: Scores, point: OperatingPoint, top_n: int) -> Verdict:
    threshold = FIXED_COSINE[point]
    scored = tuple(
        Scored(str(scores.names[index]), score, None, None, score - threshold)
        for index in scores.best(max(top_n, 2))
        for score in [float(scores.scores[index])]
    )
    margin = scored[0].score - scored[1].score if len(scored) > 1 else None
    is_clear = (margin is None or margin >= FIXED_MARGIN) and len(scores) <= FIXED_SPEAKERS
    if scored[0].score < threshold:
        decision = Decision.UNKNOWN
    else:
        decision = Decision.MATCH if is_clear else Decision.AMBIGUOUS
    name = scored[0].name if decision is Decision.MATCH else None
    return Verdict(decision, name, scored[:top_n], margin, threshold, False)


class Posterior:
    """The probabilities of nobody and of all speakers, for one voice.

    Args:
        scores: The comparison with at least one speaker.
        calibration: Of the space.
        test_s: Seconds of speech in the recording.
        unknown_prior: Probability of nobody before it is heard.
    """

    def __init__(self, scores: Scores, calibration: Calibration, test_s: float, unknown_prior: float) -> None:
        self.scores = scores
        self.llrs = calibration.llr(scores.scores, scores.speech_s, test_s, scores.crowds)
        self._log_prior_odds = float(np.log((1 - unknown_prior) / len(scores) / unknown_prior))
        odds = self.llrs + self._log_prior_odds
        highest = max(0.0, float(odds.max()))
        self._log_total = highest + float(np.log(np.exp(-highest) + np.exp(odds - highest).sum()))

    @property
    def of_nobody(self) -> float:
        """Probability of nobody of the gallery."""
        return float(np.exp(-self._log_total))

    def best(self, count: int) -> list[int]:
        """Return the indices of the speakers with the highest ratios, in descending order; ties by name."""
        ranked = Scores(self.llrs, self.scores.speech_s, self.scores.names)
        return [int(index) for index in ranked.best(count)]

    def scored(self, index: int) -> Scored:
        """Return what is known of one speaker."""
        llr = float(self.llrs[index])
        strength = llr + self._log_prior_odds
        # Rounded, since the order of the sum over all speakers is not the order of their enrolment.
        probability = round(float(np.exp(strength - self._log_total)), 9)
        score = float(self.scores.scores[index])
        return Scored(str(self.scores.names[index]), score, round(llr, 6), probability, round(strength, 6))


def one_to_one(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Name each speaker at most once among the voices of one recording.

    Voices and speakers are assigned by the highest sum of strengths, with a column of nobody for each voice
    (`scipy.optimize.linear_sum_assignment`). A name stays only where voice and speaker are each other's best,
    and no other voice comes as near to the speaker as `RIVAL_MARGIN`: then both are ``ambiguous``, as they
    are where one person was taken for two.

    Args:
        verdicts: Of each voice alone, with more candidates than there are voices, or all.
    """
    names = sorted({scored.name for verdict in verdicts for scored in verdict.candidates})
    if not names or len(verdicts) < 2:
        return list(verdicts)
    columns = {name: column for column, name in enumerate(names)}
    # Beyond its candidates a voice is nearer to nobody than to anyone; a finite number, since an assignment
    # through infinities is refused.
    table = np.full((len(verdicts), len(names) + len(verdicts)), _FAR)
    for row, verdict in enumerate(verdicts):
        for scored in verdict.candidates:
            table[row, columns[scored.name]] = scored.strength
        table[row, len(names) + row] = 0.0
    assigned = linear_sum_assignment(table, maximize=True)[1]
    found = []
    for row, verdict in enumerate(verdicts):
        if verdict.decision is Decision.MATCH:
            column = columns[verdict.name or ""]
            rival = np.delete(table[:, column], row).max()
            needed = RIVAL_MARGIN if verdict.calibrated else FIXED_MARGIN
            if assigned[row] != column or table[row, column] - rival < needed:
                verdict = replace(verdict, decision=Decision.AMBIGUOUS, name=None)
        found.append(verdict)
    return found

"""What a cosine says about whether two voices are one: log-likelihood ratios that know how much was heard.

``llr = score * atanh(cosine) + crowd * crowd_of_the_recording + enrol * log(min(T_enrol, 30)) + test *
log(min(T_test, 30)) + offset``, with seconds of speech: a linear calibration with measures of quality
(Thienpondt et al., arXiv 2010.11255); the crowd is that of `gallery.crowd`. It has few parameters, because
calibrations with many do not hold on other recordings (arXiv 2207.04676). The
inverse hyperbolic tangent is Fisher's transformation of a correlation: the cosines of one speaker crowd near
1, and a ratio that is linear in them is too small there, so that a large gallery would name nobody.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxgraph.results.gallery import Space

Floats = NDArray[np.float64]

LONGEST_S = 30.0
"""Seconds of speech from which more of it changes the ratio no further."""
SHORTEST_S = 0.5
"""Seconds for which less counts: the logarithm of nothing is not finite."""
MIN_TARGETS, MIN_IMPOSTORS, MIN_SPEAKERS = 30, 1000, 10
"""Fewest trials of one speaker, of two speakers, and speakers for a calibration; less gives no number."""
HIGHEST_COSINE = 0.999
"""Cosine from which a higher one changes the ratio no further: one of 1 has no transform."""
FISHER_UNIT = 0.1
"""About the standard deviation of the transformed cosines: the penalty on the weights suits features of 1."""
SHIPPED = "shipped.json"


def log_speech(seconds: ArrayLike) -> Floats:
    """Return the natural logarithm of seconds of speech, limited to `SHORTEST_S` and `LONGEST_S`."""
    found: Floats = np.log(np.clip(np.asarray(seconds, np.float64), SHORTEST_S, LONGEST_S))
    return found


def fisher(cosines: ArrayLike) -> Floats:
    """Return the inverse hyperbolic tangent of cosines, limited to `HIGHEST_COSINE`."""
    found: Floats = np.arctanh(np.clip(np.asarray(cosines, np.float64), -HIGHEST_COSINE, HIGHEST_COSINE))
    return found


@dataclass(frozen=True, slots=True)
class Calibration:
    """Parameters of one space, in nats."""

    score: float
    """Change of the ratio with the inverse hyperbolic tangent of the cosine; positive."""
    offset: float
    enrol: float = 0.0
    """Change by the logarithm of the seconds of enrolled speech."""
    test: float = 0.0
    """Change by the logarithm of the seconds of speech in the probe."""
    crowd: float = 0.0
    """Change by the crowd, 0 or less; 0: it does not count, as in calibrations of before there was one."""
    usual: float = 0.0
    """The mean crowd of the fit, which stands for one that nobody has measured."""
    cohort: bool = False
    """Whether the voices that come with the encoder belong to the crowd."""
    source: str = ""
    """On what it was fitted, in words."""
    targets: int = 0
    """Trials of one speaker in the fit."""
    impostors: int = 0
    """Trials of two speakers in the fit."""
    speakers: int = 0

    def llr(
        self, cosines: ArrayLike, enrol_s: ArrayLike, test_s: ArrayLike, crowds: ArrayLike | None = None
    ) -> Floats:
        """Return the natural logarithm of the likelihood ratio of one speaker against two.

        Args:
            cosines: -1..1, any shape.
            enrol_s: Seconds of enrolled speech, of a shape that broadcasts to it.
            test_s: Seconds of speech in the probe, likewise.
            crowds: Results of `gallery.crowd.crowds`, likewise; None: the usual one.
        """
        found: Floats = (
            self.score * fisher(cosines)
            + self.crowd * np.asarray(self.usual if crowds is None else crowds, np.float64)
            + self.enrol * log_speech(enrol_s)
            + self.test * log_speech(test_s)
            + self.offset
        )
        return found

    def cosine(self, llr: float, enrol_s: float, test_s: float) -> float:
        """Return the cosine that has a log-likelihood ratio."""
        return float(np.tanh((llr - self.llr(0.0, enrol_s, test_s)) / self.score))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Calibration":
        """Return what `as_dict` gave."""
        return cls(**fields)


@cache
def _shipped() -> dict[tuple[str, str], Calibration]:
    rows = json.loads(files("gallery").joinpath(SHIPPED).read_text(encoding="utf-8"))
    return {(row["model"], row["revision"]): Calibration.from_dict(row["calibration"]) for row in rows}


def calibrated_encoders() -> list[tuple[str, str]]:
    """Return hub id and revision of the encoders that come with a calibration."""
    return list(_shipped())


def shipped(space: Space) -> Calibration | None:
    """Return the calibration that comes with the encoder of a space; None: nobody has fitted one."""
    return _shipped().get((space.model, space.revision))


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Comparisons of a profile with a recording whose speaker is known; each field is (trials,)."""

    cosines: Floats
    is_target: NDArray[np.bool_]
    """Whether the recording is of the profile's speaker."""
    enrol_s: Floats
    """Seconds of speech in the profile."""
    test_s: Floats
    """Seconds of speech in the recording."""
    claimed: NDArray[np.intp]
    """Index of the profile's speaker."""
    actual: NDArray[np.intp]
    """Index of the recording's speaker."""
    crowds: Floats
    """How near the recording is to speakers who are neither, by `gallery.crowd`."""

    def __len__(self) -> int:
        return len(self.cosines)

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Trials":
        """Return the trials that a mask, (trials,), or indices choose."""
        return Trials(*(getattr(self, name)[chosen] for name in self.__slots__))

    @classmethod
    def joined(cls, parts: Sequence["Trials"]) -> "Trials":
        """Return the trials of several sets, at least one; speakers keep their indices."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    @property
    def targets(self) -> int:
        """Number of trials of one speaker."""
        return int(self.is_target.sum())

    @property
    def impostors(self) -> int:
        """Number of trials of two speakers."""
        return len(self) - self.targets

    @property
    def speakers(self) -> int:
        """Number of speakers of whom there is a trial with their own profile."""
        return len(np.unique(self.claimed[self.is_target]))

    @property
    def missing(self) -> tuple[str, ...]:
        """What is missing for a calibration, each in words; empty if there is enough."""
        needs = (
            (self.targets, MIN_TARGETS, "comparisons of a recording with its own speaker"),
            (self.impostors, MIN_IMPOSTORS, "comparisons with another speaker"),
            (self.speakers, MIN_SPEAKERS, "speakers with a recording beside the enrolled ones"),
        )
        return tuple(f"{found} of {least} {what}" for found, least, what in needs if found < least)


class NotEnoughData(ValueError):
    """There are too few trials for a calibration; the message says how many are missing."""


def fit(trials: Trials, source: str, weights: Floats | None = None, *, enough: bool = True) -> Calibration:
    """Fit a calibration by logistic regression in which both kinds of trials weigh the same.

    Args:
        trials: Trials of the space.
        source: In words, on what is fitted.
        weights: Weight of each trial within its kind, (trials,). None: all the same.
        enough: Whether to ask for `MIN_TARGETS`, `MIN_IMPOSTORS` and `MIN_SPEAKERS`.

    Raises:
        NotEnoughData: There are fewer, none of a kind, or the scores of speakers' own recordings are not the
            higher ones.
    """
    # A second to import, which nobody needs who only applies a calibration.
    from sklearn.linear_model import LogisticRegression

    if trials.missing and (enough or not (trials.targets and trials.impostors)):
        raise NotEnoughData(f"There are only {', '.join(trials.missing)}.")
    features = np.stack(
        [
            fisher(trials.cosines) / FISHER_UNIT, trials.crowds / FISHER_UNIT,
            log_speech(trials.enrol_s), log_speech(trials.test_s),
        ],
        axis=1,
    )  # fmt: skip
    # The weight of what never changes cannot be told from the offset.
    varies = np.array([True, *(features[:, 1:].std(axis=0) > 1e-3)])
    counts = np.ones(len(trials)) if weights is None else weights
    target = trials.is_target
    balanced = np.where(target, counts / counts[target].sum(), counts / counts[~target].sum())
    balanced *= len(trials) / balanced.sum()
    # The default penalty is weak beside this many trials, and keeps the scale finite where a threshold
    # separates the two kinds.
    model = LogisticRegression(tol=1e-8, max_iter=1000)
    model.fit(features[:, varies], target, sample_weight=balanced)
    # A crowd that speaks for a speaker is chance: it must never help anybody to be named.
    if varies[1] and model.coef_[0, 1] > 0:
        varies[1] = False
        model.fit(features[:, varies], target, sample_weight=balanced)
    slopes = np.zeros(4)
    slopes[varies] = model.coef_[0]
    if slopes[0] <= 0:
        raise NotEnoughData("The speakers' own recordings are not nearer to them than others' are.")
    return Calibration(
        score=float(slopes[0] / FISHER_UNIT), offset=float(model.intercept_[0]),
        enrol=float(slopes[2]), test=float(slopes[3]), crowd=float(slopes[1] / FISHER_UNIT),
        usual=float(np.average(trials.crowds, weights=balanced)), source=source,
        targets=trials.targets, impostors=trials.impostors, speakers=trials.speakers,
    )  # fmt: skip

"""Measure who is named by mistake, and who is found: ``python -m benchmarks.gallery_decisions``.

Galleries of real voices are drawn at random; all other voices of the group are strangers. The calibration
that decides was fitted on the other sources of speech, or on other speakers of all sources. Beside it stand
fixed thresholds of the cosine.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import WRITE_HELP, publish
from gallery.calibration import Calibration, Trials
from gallery.crowd import crowded
from gallery.decisions import POINTS, decide_identify
from gallery.report import interval_of
from gallery.search import Profile, VoiceMatrix, centroids
from training.starter.gallery_calibration import (
    ADULT_AGE,
    add_speech,
    cohort,
    fit_sources,
    groups,
    read_pieces,
    same_person,
    trials,
)
from training.starter.voice_material import ENROL_S, PROBE, PROBE_S, REFERENCE, Pieces
from voxgraph.results.gallery import Decision, OperatingPoint

TITLE = "Decisions about enrolled speakers"
SIZES = (10, 100)
HALVINGS = 4
"""How often the speakers of a group are divided."""
HALF_SIZES = (10, 50, 100)
"""Speakers of the galleries that are drawn from half of a group."""
DRAWS = 40
POINT: OperatingPoint = "balanced"
FIXED = (0.25, 0.41, 0.6, 0.7)
"""Cosines: SpeechBrain's default, the threshold of the starter's calibration, and two higher ones."""
Seen = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Count:
    """How often somebody was named."""

    named: int = 0
    asked: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.named + other.named, self.asked + other.asked)

    def __str__(self) -> str:
        return f"{100 * self.named / self.asked:.2f} %" if self.asked else "-"


@dataclass(slots=True)
class Rates:
    """What one rule does in all draws."""

    strangers: list[Count] = field(default_factory=list)
    """Strangers who are named, in each draw."""
    found: Count = Count()
    """Enrolled speakers who are named rightly."""
    confused: Count = Count()
    """Enrolled speakers who are given another name."""

    def __add__(self, other: "Rates") -> "Rates":
        return Rates(
            [*self.strangers, *other.strangers], self.found + other.found, self.confused + other.confused
        )

    def cells(self) -> list[str]:
        """Return the columns of a table: the mean of the draws, the worst draw, found and confused."""
        worst = max((count.named / count.asked for count in self.strangers if count.asked), default=0.0)
        return [
            str(sum(self.strangers, Count())),
            f"{100 * worst:.1f} %",
            str(self.found),
            str(self.confused),
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What decides: a calibration, and the voices beside those of a gallery."""

    calibration: Calibration
    cohort: NDArray[np.float64]
    """(voices, dimension)."""

    @classmethod
    def on(cls, pieces: Pieces) -> "Fitted":
        """Fit both on some pieces."""
        return cls(fit_sources(pieces), cohort(pieces))


class Voices:
    """The profiles of one group with `ENROL_S` seconds, and its probes.

    Args:
        pieces: Of the group.
        probe_s: Seconds of a probe.
    """

    def __init__(self, pieces: Pieces, probe_s: float) -> None:
        self.names, owners = np.unique(pieces.speakers, return_inverse=True)
        self.is_same = same_person(pieces)
        self.profiles: dict[int, Profile] = {}
        for speaker in range(len(self.names)):
            own = pieces.only((owners == speaker) & (pieces.kinds == REFERENCE))
            if own.lengths_s.sum() >= ENROL_S:
                self.profiles[speaker] = Profile(centroids(own.vectors), float(own.active_s.sum()))
        is_probe = (pieces.kinds == PROBE) & (pieces.lengths_s == probe_s)
        self.probes = pieces.only(is_probe & np.isin(owners, list(self.profiles)))
        self.owners = owners[is_probe & np.isin(owners, list(self.profiles))]

    def identify(
        self, fitted: Fitted, size: int, draws: int = DRAWS, *, as_labelled: bool = False
    ) -> dict[str, Rates]:
        """Draw galleries and identify all probes in each.

        Args:
            fitted: Decides.
            size: Speakers in a gallery.
            draws: Galleries.
            as_labelled: Whether every label counts as a person; otherwise probes of a label that is the
                person of another one in the gallery are left out.

        Returns:
            The rates of each rule by its name.
        """
        generator = np.random.default_rng(0)
        enrolled = np.array(list(self.profiles))
        rates = {name: Rates() for name in ("posterior", *(f"cosine {least:g}" for least in FIXED))}
        for _ in range(draws):
            order = generator.permutation(enrolled)
            chosen = order[:size] if as_labelled else self._drawn(order, size)
            matrix = VoiceMatrix(
                {str(each): self.profiles[each] for each in chosen}, self.probes.vectors.shape[1]
            )
            same = self.is_same[self.owners][:, chosen].any(axis=1) & (not as_labelled)
            self._add(rates, matrix, fitted, np.isin(self.owners, chosen), same)
        return rates

    def _drawn(self, order: NDArray[np.intp], size: int) -> NDArray[np.intp]:
        """Return the first speakers of whom none is one of the others."""
        chosen: list[int] = []
        for speaker in order.tolist():
            if len(chosen) < size and not self.is_same[speaker, chosen].any():
                chosen.append(speaker)
        return np.array(chosen, np.intp)

    def _add(
        self,
        rates: Mapping[str, Rates],
        matrix: VoiceMatrix,
        fitted: Fitted,
        known: Seen,
        same: Seen,
    ) -> None:
        """Add the outcome of all probes in one gallery."""
        outcomes: dict[str, list[tuple[bool, bool, bool]]] = {name: [] for name in rates}
        for index in np.flatnonzero(known | ~same):
            owner, is_known = str(self.owners[index]), bool(known[index])
            vector, calibration = self.probes.vectors[index], fitted.calibration
            scores = crowded(matrix.scores(vector), vector, calibration, fitted.cohort)
            verdict = decide_identify(scores, calibration, float(self.probes.active_s[index]), POINT)
            nearest = scores.best(1)[0]
            by_cosine = [scores.scores[nearest] >= least for least in FIXED]
            named = [verdict.decision is Decision.MATCH, *by_cosine]
            names = [verdict.name, *[str(scores.names[nearest])] * len(FIXED)]
            for rule, is_named, name in zip(rates, named, names, strict=True):
                outcomes[rule].append((is_known, bool(is_named), name == owner))
        for rule, found in outcomes.items():
            is_known, is_named, is_right = np.array(found, bool).T
            strangers = Count(int((is_named & ~is_known).sum()), int((~is_known).sum()))
            rates[rule].strangers.append(strangers)
            asked = int(is_known.sum())
            rates[rule].found += Count(int((is_named & is_right & is_known).sum()), asked)
            rates[rule].confused += Count(int((is_named & ~is_right & is_known).sum()), asked)


def without(source: str, pieces: Pieces) -> Fitted:
    """Return what is fitted on all sources but one."""
    return Fitted.on(pieces.only(pieces.sources != source))


def halves(pieces: Pieces, seed: int) -> tuple[Seen, Seen]:
    """Return the pieces of each half of speechocean762's speakers; adults and others are divided apart."""
    generator = np.random.default_rng(seed)
    spoken = pieces.sources == "speechocean762"
    first = np.zeros(len(spoken), bool)
    for of_age in (spoken & (pieces.ages >= ADULT_AGE), spoken & (pieces.ages < ADULT_AGE)):
        names = generator.permutation(np.unique(pieces.speakers[of_age]))
        first |= of_age & np.isin(pieces.speakers, names[::2])
    return first, spoken & ~first


def identification(pieces: Pieces, parts: Mapping[str, Pieces]) -> Iterator[str]:
    """Yield the lines of the table of identification."""
    yield "| voices | enrolled | rule | strangers named | in the worst draw | speakers found | confused |"
    yield "|---|---|---|---|---|---|---|"
    spoken = pieces.only(pieces.sources == "speechocean762")
    for name, part in {"speechocean762, all ages": spoken, **parts}.items():
        fitted = without(str(part.sources[0]), pieces)
        voices = Voices(part, PROBE_S)
        for size in SIZES:
            if len(voices.profiles) < 1.2 * size:
                continue
            for rule, rates in voices.identify(fitted, size).items():
                yield f"| {name} | {size} | {rule} | {' | '.join(rates.cells())} |"
            if name.startswith("speechocean762"):
                labelled = voices.identify(fitted, size, as_labelled=True)["posterior"]
                yield f"| {name} | {size} | posterior, labels as published | {' | '.join(labelled.cells())} |"


def identification_of_halves(pieces: Pieces) -> Iterator[str]:
    """Yield the lines of the table of half of the speakers, with a fit on the other half."""
    yield "| voices | enrolled | rule | strangers named | in the worst draw | speakers found | confused |"
    yield "|---|---|---|---|---|---|---|"
    masks = [half for seed in range(HALVINGS) for half in halves(pieces, seed)]
    folds = [(Fitted.on(pieces.only(~half)), pieces.only(half)) for half in masks]
    ages = {"all ages": (0, np.inf), "adults": (ADULT_AGE, np.inf), "under 18": (0, ADULT_AGE)}
    for name, (least, below) in ages.items():
        chosen = [
            (fitted, Voices(half.only((half.ages >= least) & (half.ages < below)), PROBE_S))
            for fitted, half in folds
        ]
        for size in HALF_SIZES:
            if all(len(voices.profiles) >= 1.2 * size for _, voices in chosen):
                each = [
                    voices.identify(fitted, size, DRAWS // HALVINGS)["posterior"] for fitted, voices in chosen
                ]
                cells = " | ".join(sum(each, Rates()).cells())
                yield f"| speechocean762, {name} | {size} | posterior, fitted on other speakers | {cells} |"


def verification(pieces: Pieces, parts: Mapping[str, Pieces]) -> Iterator[str]:
    """Yield the lines of the table of verification."""
    yield "| voices | enrolled s | probe s | point | accepted strangers | 95 % | missed speakers | 95 % |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, part in parts.items():
        fitted = without(str(part.sources[0]), pieces)
        for enrol_s, test_s in ((20.0, 6.0), (20.0, 3.0), (5.0, 3.0)):
            found = trials(part, (enrol_s,), (test_s,), fitted.cohort)
            llrs = fitted.calibration.llr(found.cosines, found.enrol_s, found.test_s, found.crowds)
            for point, asked in POINTS.items():
                cells = rates_at(found, llrs >= asked.llr)
                yield f"| {name} | {enrol_s:g} | {test_s:g} | {point} | {' | '.join(cells)} |"


def rates_at(found: Trials, accepted: Seen) -> Sequence[str]:
    """Return both error rates with their intervals."""
    false, missed = accepted[~found.is_target], ~accepted[found.is_target]
    return [
        cell
        for errors in (false, missed)
        for low, high in [interval_of(int(errors.sum()), len(errors))]
        for cell in (f"{100 * errors.mean():.3f} %", f"{100 * low:.3f} to {100 * high:.3f} %")
    ]


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery_decisions", description=__doc__)
    add_speech(parser)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    pieces = read_pieces(options)
    parts = groups(pieces)
    text = "\n".join(
        [
            f"Each profile has {ENROL_S:g} s, each probe {PROBE_S:g} s of later sentences; {DRAWS} galleries "
            f"are drawn from each group. The posterior decides at the operating point `{POINT}`, with a "
            "calibration and a cohort that were fitted without the source that is measured. Labels under "
            "which one person is twice are not in one gallery, nor strangers to each other, where an encoder "
            "that is not measured here confirms it (`training.starter.one_person`); other pairs that sound "
            "alike are strangers. The rows *labels as published* count all pairs as strangers. The rate in "
            "the worst draw is that of one gallery.",
            "",
            *identification(pieces, parts),
            "",
            "As it is shipped, calibration and cohort know recordings of this kind, but not their speakers: "
            "here they are fitted on half of speechocean762's speakers and the other sources, and measured "
            f"on the other half. Each half takes both parts; {HALVINGS} divisions, {DRAWS // HALVINGS} "
            "galleries of each half.",
            "",
            *identification_of_halves(pieces),
            "",
            "Verification of all pairs of a profile and a probe in a gallery of the group's other speakers; "
            "the intervals are Clopper and Pearson's.",
            "",
            *verification(pieces, parts),
        ]
    )
    publish(TITLE, text, write=options.write)


if __name__ == "__main__":
    main()

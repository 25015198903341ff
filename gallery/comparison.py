"""Compare recordings with a gallery: what the gates let pass, in the one space that serves best."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gallery.calibration import Calibration, shipped
from gallery.crowd import crowded, shipped_cohort
from gallery.decisions import Scored, Verdict, decide_identify, decide_verify, one_to_one
from gallery.gates import probe_refusal
from gallery.search import Scores, VoiceMatrix
from voxgraph.results.gallery import (
    Decision,
    GalleryPolicy,
    Observation,
    OperatingPoint,
    Space,
    VoiceSample,
)

MOST_DUPLICATES = 20
"""Speakers whom an enrolment compares as possible duplicates."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict and where it comes from."""

    verdict: Verdict
    space: Space | None = None
    """In which space voices were compared; None: none were."""
    not_compared: tuple[str, ...] = ()
    """Names of speakers who have no vector in that space."""


class Comparison:
    """The voices of a gallery at one revision, and how they are compared.

    Args:
        matrices: The speakers who may be named, in each space. A speaker may be in several.
        policy: Of the gallery.
        calibrations: Fitted on the gallery's own voices, by space; others come with the encoder.
    """

    def __init__(
        self,
        matrices: Mapping[Space, VoiceMatrix],
        policy: GalleryPolicy,
        calibrations: Mapping[Space, Calibration] | None = None,
    ) -> None:
        self.matrices, self._policy = matrices, policy
        own = calibrations or {}
        self._calibrations = {space: own.get(space) or shipped(space) for space in matrices}
        self._cohorts = {
            space: shipped_cohort(space) if calibration and calibration.cohort else np.zeros((0, space.dim))
            for space, calibration in self._calibrations.items()
        }
        self._missing = _missing(matrices) if len(matrices) > 1 else dict.fromkeys(matrices, ())

    def calibration(self, space: Space) -> Calibration | None:
        """Return the calibration that is used in a space."""
        return self._calibrations.get(space)

    def verify(
        self,
        observation: Observation,
        name: str,
        point: OperatingPoint | None = None,
        without: Collection[str] = (),
    ) -> Outcome:
        """Decide whether a recording is of one speaker.

        The space is one in which both have a vector, one with a calibration first; without any the decision
        is ``model_mismatch``, and ``not_enrolled`` if the speaker is in no space.

        Args:
            observation: The recording.
            name: The speaker.
            point: None: that of the policy.
            without: Names of other speakers who are not compared; all others are the crowd.
        """
        refusal = probe_refusal(observation.evidence, self._policy)
        if refusal:
            return Outcome(Verdict(refusal, name))
        if not any(name in matrix for matrix in self.matrices.values()):
            return Outcome(Verdict(Decision.NOT_ENROLLED, name))
        spaces = [space for space, matrix in self.matrices.items() if name in matrix]
        sample = self._best_sample(observation, spaces)
        if sample is None:
            return Outcome(Verdict(Decision.MODEL_MISMATCH, name))
        scores = self._scores(sample, set(without) - {name}).of(name)
        calibration = self.calibration(sample.space)
        verdict = decide_verify(
            scores, calibration, observation.evidence.speech_s, point or self._policy.operating_point
        )
        return Outcome(verdict, sample.space)

    def _scores(self, sample: VoiceSample, without: Collection[str] = ()) -> Scores:
        """Compare a voice with all speakers of its space but some."""
        scores = self.matrices[sample.space].scores(sample.vector, without)
        calibration = self.calibration(sample.space)
        if calibration is None:
            return scores
        return crowded(scores, sample.vector, calibration, self._cohorts[sample.space])

    def identify(
        self,
        observations: Sequence[Observation],
        point: OperatingPoint | None = None,
        top_n: int = 3,
        *,
        exclusive: bool = True,
        without: Collection[str] = (),
    ) -> list[Outcome]:
        """Decide who each voice is, if anybody.

        Args:
            observations: Voices that are heard together.
            point: None: that of the policy.
            top_n: Most candidates of an answer.
            exclusive: Whether no speaker may be two of the voices.
            without: Names of speakers who are not compared, for instance for want of consent.

        Returns:
            An outcome for each observation, in their order.
        """
        chosen = point or self._policy.operating_point
        count = max(top_n, len(observations) + 1 if exclusive else 1)
        found = [self._identify(each, chosen, count, without) for each in observations]
        verdicts = [outcome.verdict for outcome in found]
        if exclusive:
            verdicts = one_to_one(verdicts)
        return [
            replace(outcome, verdict=replace(verdict, candidates=verdict.candidates[:top_n]))
            for outcome, verdict in zip(found, verdicts, strict=True)
        ]

    def _identify(
        self, observation: Observation, point: OperatingPoint, count: int, without: Collection[str]
    ) -> Outcome:
        """Return the outcome of one voice alone, with `count` candidates."""
        refusal = probe_refusal(observation.evidence, self._policy)
        if refusal:
            return Outcome(Verdict(refusal))
        sample = self._best_sample(observation, self.matrices)
        if sample is None:
            is_empty = not any(len(matrix) for matrix in self.matrices.values())
            return Outcome(Verdict(Decision.UNKNOWN if is_empty else Decision.MODEL_MISMATCH))
        scores = self._scores(sample, without)
        verdict = decide_identify(
            scores, self.calibration(sample.space), observation.evidence.speech_s, point,
            self._policy.unknown_prior, count,
        )  # fmt: skip
        missing = tuple(name for name in self._missing[sample.space] if name not in without)
        return Outcome(verdict, sample.space, missing)

    def _best_sample(self, observation: Observation, spaces: Collection[Space]) -> VoiceSample | None:
        """Return the sample to compare in some spaces: calibrated first, then where most speakers are."""
        found = [sample for sample in observation.samples if sample.space in spaces]
        if not found:
            return None
        return max(
            found,
            key=lambda sample: (
                self.calibration(sample.space) is not None, len(self.matrices[sample.space]), sample.space
            ),
        )  # fmt: skip

    def duplicates(self, sample: VoiceSample, speech_s: float, name: str) -> tuple[Scored, ...]:
        """Return other speakers who are probably this one, the likeliest first.

        Args:
            sample: A voice of the speaker.
            speech_s: Seconds of speech in it.
            name: The speaker, who is not compared.
        """
        matrix = self.matrices.get(sample.space)
        if matrix is None or not len(matrix):
            return ()
        scores = self._scores(sample, (name,))
        nearest = scores.best(MOST_DUPLICATES)
        calibration, point = self.calibration(sample.space), self._policy.operating_point
        each = [
            decide_verify(scores.only(np.array([index])), calibration, speech_s, point) for index in nearest
        ]
        return tuple(
            scored for verdict in each if verdict.decision is Decision.MATCH for scored in verdict.candidates
        )


def _missing(matrices: Mapping[Space, VoiceMatrix]) -> dict[Space, tuple[str, ...]]:
    """Return, for each space, the names that are only in others."""
    every = {name for matrix in matrices.values() for name in matrix.names}
    return {space: tuple(sorted(every.difference(matrix.names))) for space, matrix in matrices.items()}

"""A gallery of voices: how it is used, what a recording brings, and what is decided about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from voxgraph.errors import InvalidOptions
from voxgraph.options import OperatingPoint as OperatingPoint

SpoofGate = Literal["off", "warn", "refuse"]
DuplicateGate = Literal["allow", "warn", "refuse"]


class Decision(StrEnum):
    """What was decided about a voice. Whatever is not ``match`` names nobody."""

    MATCH = "match"
    NO_MATCH = "no_match"
    """Verification: this is not the claimed speaker."""
    INCONCLUSIVE = "inconclusive"
    """Verification: the evidence is for the claimed speaker, but less than the operating point asks."""
    UNKNOWN = "unknown"
    """Identification: nobody of the gallery."""
    AMBIGUOUS = "ambiguous"
    """Identification: somebody of the gallery, but the evidence does not tell whom."""
    NOT_ENOUGH_SPEECH = "not_enough_speech"
    LOW_QUALITY = "low_quality"
    SEVERAL_SPEAKERS = "several_speakers"
    SPOOF_SUSPECTED = "spoof_suspected"
    OPTED_OUT = "opted_out"
    EXPIRED = "expired"
    ENROLLING = "enrolling"
    NOT_ENROLLED = "not_enrolled"
    MODEL_MISMATCH = "model_mismatch"
    PURPOSE_NOT_CONSENTED = "purpose_not_consented"


@dataclass(frozen=True, slots=True, order=True)
class Space:
    """An embedding space; vectors of two spaces cannot be compared."""

    model: str
    revision: str
    """Checkpoint of the encoder."""
    dim: int
    """Numbers in a vector."""


@dataclass(frozen=True, slots=True, eq=False)
class VoiceSample:
    """A voice in one space."""

    space: Space
    vector: npt.NDArray[np.float32]
    """Shape (dim,), float32; any length but 0."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the recording behind a vector. None: nobody looked."""

    speech_s: float
    """Seconds of speech of this speaker."""
    duration_s: float | None = None
    """Seconds of the recording."""
    snr_db: float | None = None
    clipped_ratio: float | None = None
    """Share of clipped samples, 0..1."""
    bandwidth_hz: int | None = None
    """Highest frequency with content."""
    speakers_heard: int | None = None
    spoof_verdict: str | None = None
    """A `voxgraph.results.Finding`: ``ai_generated``, ``inconclusive`` or ``no_sign_found``."""
    spoof_score: float | None = None
    """Probability that the voice is generated, 0..1."""

    def without_scores(self) -> "Evidence":
        """Return what may be seen by a caller who must not learn how near a recording comes to passing."""
        return replace(self, spoof_score=None)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A recording, or one speaker of a diarized recording, in every speaker space of the graph."""

    samples: tuple[VoiceSample, ...]
    """At most one of each space."""
    evidence: Evidence
    label: str | None = None
    """How the caller names it, for instance the speaker of a diarization; it is not kept."""


@dataclass(frozen=True, slots=True)
class GalleryPolicy:
    """How a gallery enrols and decides. Raises `InvalidOptions` for a value out of range."""

    operating_point: OperatingPoint = "balanced"
    spoof_gate: SpoofGate = "warn"
    duplicates: DuplicateGate = "warn"
    require_consent: bool = True
    """Whether a speaker needs a consent record before the first vector. The ledger says when this is off."""
    ttl_days: int | None = None
    """Days after the last enrolment at which a speaker expires; None: never."""
    active_speech_s: float = 20.0
    """Seconds of speech in all references from which a speaker takes part in decisions."""
    reference_speech_s: float = 2.0
    """Fewest seconds of speech in a reference."""
    probe_speech_s: float = 2.0
    """Fewest seconds of speech in a recording that is verified or identified."""
    max_references: int = 20
    """References of a speaker."""
    unknown_prior: float = 0.5
    """Probability, before a recording is heard, that nobody of the gallery speaks in it; 0..1 exclusive."""
    journal_days: int = 30
    """Days that decisions are kept, without vectors; 0: none are kept."""

    def __post_init__(self) -> None:
        for name, kind in (
            ("operating_point", OperatingPoint), ("spoof_gate", SpoofGate), ("duplicates", DuplicateGate),
        ):  # fmt: skip
            if getattr(self, name) not in get_args(kind):
                raise InvalidOptions(f"{name} is {', '.join(get_args(kind))}.")
        for name, low, high in (
            ("ttl_days", 1, 36_500), ("active_speech_s", 0.0, 3_600.0), ("reference_speech_s", 0.0, 60.0),
            ("probe_speech_s", 0.0, 60.0), ("max_references", 1, 200), ("unknown_prior", 0.001, 0.999),
            ("journal_days", 0, 3_650),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InvalidOptions(f"{name} is {low:g} to {high:g}.")


SCORED_REASONS = frozenset({"reference_disagrees", "spoof_suspected", "spoof_inconclusive"})
"""Reasons whose figure says how near a voice comes to passing for another one."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a recording is refused or worth a warning."""

    code: str
    """For instance ``not_enough_speech``, ``reference_disagrees``, ``possible_duplicate``."""
    message: str
    """One sentence with the figure and its limit."""
    value: float | None = None
    limit: float | None = None
    speakers: tuple[str, ...] = ()
    """External ids of the other speakers whom it concerns."""

    def without_scores(self) -> "Reason":
        """Return the reason without a figure that tells how near the voice comes to passing."""
        return replace(self, value=None) if self.code in SCORED_REASONS else self


@dataclass(frozen=True, slots=True)
class Candidate:
    """A speaker who was compared with a voice."""

    external_id: str
    display_name: str | None
    llr: float | None
    """Natural logarithm of the likelihood ratio of this speaker against another one; None: the space has no
    calibration."""
    score: float | None
    """Cosine, -1..1; None: the caller may not see scores."""
    probability: float | None
    """Posterior probability among all speakers of the gallery and nobody of it, 0..1; None likewise."""


@dataclass(frozen=True, slots=True)
class VoiceDecision:
    """Answer to a verification or identification of one observation."""

    decision: Decision
    speaker: str | None = None
    """External id of the speaker: of the match, or the claimed one of a verification."""
    display_name: str | None = None
    candidates: tuple[Candidate, ...] = ()
    """The best first."""
    llr: float | None = None
    """That of the best candidate."""
    margin: float | None = None
    """How much more the log-likelihood ratio of the best candidate is than that of the second; in cosine if
    not `calibrated`."""
    probability: float | None = None
    """Posterior probability of the best candidate, 0..1."""
    threshold: float | None = None
    """What decides: a log-likelihood ratio in a verification, a probability in an identification; in both a
    cosine if not `calibrated`."""
    operating_point: OperatingPoint = "balanced"
    evidence: Evidence | None = None
    space: Space | None = None
    """In which space the voices were compared."""
    calibrated: bool = False
    """Whether log-likelihood ratios decided, by the calibration of the gallery's own voices or else by that
    of the encoder. Without one a fixed cosine and margin decide, made to err on the safe side."""
    not_compared: tuple[str, ...] = ()
    """External ids of speakers without a vector in that space."""
    decision_id: str | None = None
    """Id in the journal; None if the gallery keeps none."""
    label: str | None = None
    """That of the observation."""

    def without_scores(self) -> "VoiceDecision":
        """Return the decision for a caller who must not learn how near a recording comes to passing.

        Candidates stay where they are the answer: the match, or those between whom it is ambiguous.
        """
        named = self.candidates if self.decision in (Decision.MATCH, Decision.AMBIGUOUS) else ()
        return replace(
            self, llr=None, margin=None, probability=None,
            candidates=tuple(replace(each, llr=None, score=None, probability=None) for each in named),
            evidence=self.evidence and self.evidence.without_scores(),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two speakers whose voices are probably one."""

    speakers: tuple[str, str]
    """External ids."""
    llr: float | None
    """None: the space has no calibration."""
    score: float | None
    """Cosine, -1..1; None: the caller may not see scores."""

    def without_scores(self) -> "Duplicate":
        """Return the pair alone."""
        return replace(self, llr=None, score=None)


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """How a gallery's own voices tell speakers apart in one space, each recording left out in turn."""

    space: Space
    enough_data: bool
    """Whether a calibration was fitted; otherwise the shipped one stays, and `message` says why."""
    message: str
    speakers: int
    target_trials: int
    impostor_trials: int
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Rates with intervals, costs and identification rates; JSON."""
    det_plot: bytes | None = None
    """Detection error trade-off as a PNG."""

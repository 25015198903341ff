"""What a gallery keeps, and what it says about it.

A gallery belongs to a tenant and holds speakers; a speaker has references, one for each recording that was
enrolled, and a reference has a vector in every embedding space of the graph. All times are in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from voxgraph.errors import InvalidOptions
from voxgraph.results.gallery import Decision, Evidence, GalleryPolicy, OperatingPoint, Reason, Space

Verdict = Literal["confirmed", "rejected"]
"""What a person who looked at a decision says of it."""
SpeakerState = Literal["enrolling", "active", "stale", "expired", "opted_out"]
"""``enrolling``: not enough speech yet. ``stale``: no vector in a space that the graph has now. ``expired``:
the consent or the time to live ran out. ``opted_out``: only a keyed hash is kept, which refuses enrolment."""
SPEAKER_STATES: tuple[SpeakerState, ...] = get_args(SpeakerState)


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """A gallery and the number of its speakers by state."""

    name: str
    policy: GalleryPolicy
    revision: int
    """Grows with every change of what decisions depend on."""
    created_at: datetime
    speakers: Mapping[SpeakerState, int]
    references: int
    spaces: tuple[Space, ...]


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """Galleries of a tenant, by name."""

    galleries: tuple[GalleryInfo, ...]
    after: str | None
    """What asks for the next page; None: this is the last."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to. Its fields follow ISO/IEC TS 27560."""

    purposes: tuple[str, ...]
    """For instance ``verification``; never empty."""
    given_at: datetime
    expires_at: datetime | None = None
    notice_uri: str | None = None
    """Where the text is that the person was shown."""
    notice_sha256: str | None = None
    evidence_uri: str | None = None
    """Where the proof of the agreement is, for instance a signed form."""

    def __post_init__(self) -> None:
        if not self.purposes or not all(isinstance(each, str) and each.strip() for each in self.purposes):
            raise InvalidOptions("A consent has at least one purpose, and none is empty.")
        for time in (self.given_at, self.expires_at):
            if time is not None and time.tzinfo is None:
                raise InvalidOptions("The times of a consent have a time zone.")
            try:
                _ = time and time.astimezone(UTC)
            except OverflowError:
                raise InvalidOptions("The times of a consent are in the years 1 to 9999 of UTC.") from None


@dataclass(frozen=True, slots=True)
class SpeakerInfo:
    """A speaker of a gallery, without vectors."""

    id: str
    """Random and opaque; a speaker who was erased and enrolled again has another one."""
    external_id: str
    """The caller's name for the speaker, unique in the gallery."""
    display_name: str | None
    metadata: Mapping[str, Any]
    state: SpeakerState
    references: int
    speech_s: float
    """Seconds of speech in all references."""
    remaining_speech_s: float
    """Seconds of speech that are missing until the speaker is active."""
    consent: Consent | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    spaces: tuple[Space, ...]
    version: int
    """Grows with every change of the speaker."""


@dataclass(frozen=True, slots=True)
class SpeakerPage:
    """Speakers in the order in which they were created."""

    speakers: tuple[SpeakerInfo, ...]
    after: str | None
    """What asks for the next page; None: this is the last."""


@dataclass(frozen=True, slots=True)
class ReferenceInfo:
    """One enrolled recording of a speaker, without its vectors."""

    id: str
    evidence: Evidence
    spaces: tuple[Space, ...]
    origin: str
    """Where it comes from: ``audio``, ``embedding`` or ``diarization``."""
    created_at: datetime
    created_by: str

    def without_scores(self) -> "ReferenceInfo":
        """Return the reference for a caller who may not see scores."""
        return replace(self, evidence=self.evidence.without_scores())


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Answer to an enrolment. If there are reasons against it, nothing was stored."""

    speaker: SpeakerInfo
    reference: ReferenceInfo | None
    """None: refused."""
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()
    repeated: bool = False
    """The recording was a reference of the speaker before; it is still one, not two."""

    @property
    def accepted(self) -> bool:
        """Whether the recording is a reference now."""
        return self.reference is not None

    def without_scores(self) -> "Enrolment":
        """Return the answer for a caller who must not learn how near a recording comes to passing."""
        return replace(
            self, reference=self.reference and self.reference.without_scores(),
            reasons=tuple(each.without_scores() for each in self.reasons),
            warnings=tuple(each.without_scores() for each in self.warnings),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """Signed statement that a person, or a part of what was kept, has been erased."""

    erasure_id: str
    kind: Literal["speaker", "gallery", "opt_out", "withdrawal", "expiry", "reference"]
    subject_hmac: str
    """Keyed hash of tenant, gallery and external id, hexadecimal."""
    removed: Mapping[str, int]
    """How many ``references``, ``vectors`` and ``decisions`` are gone."""
    completed_at: datetime
    ledger_seq: int
    ledger_hash: str
    """The ledger's entry about the erasure."""
    signature: str
    """Ed25519 signature of all other fields as canonical JSON, base64."""


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """Receipts of erasures, the oldest first."""

    receipts: tuple[ErasureReceipt, ...]
    after: int | None
    """What asks for the next page; None: this is the last."""


@dataclass(frozen=True, slots=True)
class DecisionReview:
    """A decision, and what a person who looked at it says of it."""

    decision_id: str
    kind: Literal["verify", "identify"]
    decision: Decision
    operating_point: OperatingPoint
    at: datetime
    verdict: Verdict
    reviewed_at: datetime
    reviewed_by: str
    """Name of the key."""


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """What people say of the decisions at one operating point, as far as the journal goes back.

    A rate is JSON: ``rate`` (None without trials), ``low`` and ``high`` of the 95 % interval by Clopper and
    Pearson, ``errors`` and ``trials``. It holds for all decisions only if those that people looked at were
    chosen by chance.
    """

    kind: Literal["verify", "identify"]
    operating_point: OperatingPoint
    made: Mapping[str, int]
    """Number of each decision."""
    confirmed: Mapping[str, int]
    rejected: Mapping[str, int]
    wrong_matches: Mapping[str, Any]
    """Among all that were accepted: how many were not the one who was named."""
    false_accepts: Mapping[str, Any]
    """Among all who should not have been accepted: how many were (false-accept rate)."""
    false_rejects: Mapping[str, Any]
    """Among all who should have been accepted: how many were not."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of a tenant's ledger. Each contains the hash of the line before it."""

    seq: int
    """From 1."""
    at: datetime
    actor: str
    """Name of the key that asked."""
    action: str
    object: str
    """Opaque id of what it concerns; never a name."""
    details: Mapping[str, Any]
    prev_hash: str
    hash: str
    """SHA-256 of all fields above as canonical JSON, hexadecimal."""
    signature: str
    """Ed25519 signature of the hash, base64."""


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """Whether a ledger and its receipts are whole."""

    entries: int
    receipts: int
    problems: tuple[str, ...]
    """Each in a sentence; none: everything is as it was written."""

    @property
    def whole(self) -> bool:
        """Whether nothing was changed, removed or added."""
        return not self.problems

"""Answers about galleries, their speakers and references; the records of `voxgraph.results` say more."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from deployments.api.errors import ErrorAnswer
from deployments.api.schemas.common import example
from voxgraph.results import DuplicateGate, OperatingPoint, SpeakerState, SpoofGate

SPACE = {
    "model": "iic/speech_campplus_sv_zh_en_16k-common_advanced",
    "revision": "starter-0123456789ab",
    "dim": 192,
}
EVIDENCE = {
    "speech_s": 7.4, "duration_s": 9.1, "snr_db": 31.5, "clipped_ratio": 0.0, "bandwidth_hz": 7812,
    "speakers_heard": 1, "spoof_verdict": "no_sign_found", "spoof_score": 0.02,
}  # fmt: skip
CONSENT = {
    "purposes": ["verification"], "given_at": "2026-11-28T10:00:00Z", "expires_at": "2027-11-28T10:00:00Z",
    "notice_uri": "https://example.org/notice-3", "notice_sha256": None, "evidence_uri": None,
}  # fmt: skip
SPEAKER: dict[str, Any] = {
    "id": "spk_0192f1c2", "external_id": "customer-17", "display_name": "Anna", "metadata": {},
    "state": "enrolling",
    "references": 1, "speech_s": 7.4, "remaining_speech_s": 12.6, "consent": CONSENT,
    "created_at": "2026-11-28T10:00:05Z", "updated_at": "2026-11-28T10:00:09Z", "expires_at": None,
    "spaces": [SPACE], "version": 2,
}  # fmt: skip
REFERENCE: dict[str, Any] = {
    "id": "ref_0192f1c3", "evidence": EVIDENCE, "spaces": [SPACE], "origin": "audio",
    "created_at": "2026-11-28T10:00:09Z", "created_by": "clinic",
}  # fmt: skip
POLICY: dict[str, Any] = {
    "operating_point": "balanced", "spoof_gate": "warn", "duplicates": "warn", "require_consent": True,
    "ttl_days": None, "active_speech_s": 20.0, "reference_speech_s": 2.0, "probe_speech_s": 2.0,
    "max_references": 20, "unknown_prior": 0.5, "journal_days": 30,
}  # fmt: skip


class Record(BaseModel):
    """A body that is read from a record of `voxgraph.results.gallery`."""

    model_config = ConfigDict(from_attributes=True)


class SpaceAnswer(Record):
    """An embedding space; vectors of two spaces are never compared."""

    model: str
    revision: str
    dim: int


class EvidenceAnswer(Record):
    """What is known of a recording; null: nobody looked."""

    speech_s: float
    duration_s: float | None = None
    snr_db: float | None = None
    clipped_ratio: float | None = None
    bandwidth_hz: int | None = None
    speakers_heard: int | None = None
    spoof_verdict: str | None = None
    """``ai_generated``, ``inconclusive`` or ``no_sign_found``."""
    spoof_score: float | None = None


class PolicyAnswer(Record):
    """How a gallery enrols and decides."""

    operating_point: OperatingPoint
    spoof_gate: SpoofGate
    duplicates: DuplicateGate
    require_consent: bool
    ttl_days: int | None
    active_speech_s: float
    reference_speech_s: float
    probe_speech_s: float
    max_references: int
    unknown_prior: float
    journal_days: int


class GalleryAnswer(Record):
    """A gallery and the numbers of its speakers and references."""

    model_config = ConfigDict(from_attributes=True) | example(
        name="customers", policy=POLICY, revision=7, created_at="2026-11-28T09:00:00Z",
        speakers={"active": 1, "enrolling": 1}, references=4, spaces=[SPACE],
    )  # fmt: skip

    name: str
    policy: PolicyAnswer
    revision: int
    created_at: datetime
    speakers: dict[str, int]
    """Number of speakers in each state."""
    references: int
    spaces: list[SpaceAnswer]


class GalleriesAnswer(Record):
    """Galleries of a tenant, by name."""

    galleries: list[GalleryAnswer]
    after: str | None
    """What asks for the next page; null: this is the last."""


class ConsentAnswer(Record):
    """What a person agreed to."""

    purposes: list[str]
    given_at: datetime
    expires_at: datetime | None = None
    notice_uri: str | None = None
    notice_sha256: str | None = None
    evidence_uri: str | None = None


class SpeakerAnswer(Record):
    """A speaker, without vectors."""

    model_config = ConfigDict(from_attributes=True) | example(**SPEAKER)

    id: str
    external_id: str
    display_name: str | None
    metadata: dict[str, Any]
    state: SpeakerState
    references: int
    speech_s: float
    """Seconds of speech in all references."""
    remaining_speech_s: float
    """Seconds of speech that are missing until the speaker takes part in decisions."""
    consent: ConsentAnswer | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    spaces: list[SpaceAnswer]
    version: int


class SpeakersAnswer(Record):
    """Speakers in the order in which they were created."""

    model_config = ConfigDict(from_attributes=True) | example(speakers=[SPEAKER], after=None)

    speakers: list[SpeakerAnswer]
    after: str | None
    """What asks for the next page; null: this is the last."""


class ReferenceAnswer(Record):
    """One enrolled recording, without its vectors."""

    model_config = ConfigDict(from_attributes=True) | example(**REFERENCE)

    id: str
    evidence: EvidenceAnswer
    spaces: list[SpaceAnswer]
    origin: str
    created_at: datetime
    created_by: str


class ReferencesAnswer(Record):
    """The references of a speaker."""

    model_config = ConfigDict(from_attributes=True) | example(references=[REFERENCE])

    references: list[ReferenceAnswer]


class ReasonAnswer(Record):
    """Why a recording is refused, or worth a warning."""

    code: str
    message: str
    value: float | None = None
    limit: float | None = None
    speakers: list[str] = []
    """External ids of the other speakers whom it concerns."""


class EnrolmentAnswer(Record):
    """A recording that is a reference now, and what to know about it."""

    model_config = ConfigDict(from_attributes=True) | example(
        speaker=SPEAKER, reference=REFERENCE, warnings=[], repeated=False
    )

    speaker: SpeakerAnswer
    reference: ReferenceAnswer
    warnings: list[ReasonAnswer]
    repeated: bool
    """Whether the recording was a reference of the speaker before; it is still one, not two."""


class RefusedEnrolmentAnswer(ErrorAnswer):
    """Why a recording was not enrolled; nothing of it was kept."""

    speaker: SpeakerAnswer
    reasons: list[ReasonAnswer]
    warnings: list[ReasonAnswer]


class ErasureAnswer(Record):
    """Signed statement that a person, or a part of what was kept, has been erased."""

    model_config = ConfigDict(from_attributes=True) | example(
        erasure_id="era_0192f1c4", kind="speaker", subject_hmac="5f0c",
        removed={"references": 3, "vectors": 3},
        completed_at="2026-11-28T11:00:00Z", ledger_seq=12, ledger_hash="9a41", signature="MEUC",
    )  # fmt: skip

    erasure_id: str
    kind: str
    subject_hmac: str
    """Keyed hash of tenant, gallery and external id."""
    removed: dict[str, int]
    completed_at: datetime
    ledger_seq: int
    ledger_hash: str
    signature: str
    """Ed25519 signature of all other fields as canonical JSON, base64."""


class OptedInAnswer(BaseModel):
    """An external id that may be enrolled again."""

    opted_out: Literal[False]


class ReceiptsAnswer(Record):
    """Receipts of erasures, the oldest first."""

    receipts: list[ErasureAnswer]
    after: int | None
    """What asks for the next page; null: this is the last."""


class LedgerEntryAnswer(Record):
    """One line of the ledger; each contains the hash of the line before it."""

    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    details: dict[str, Any]
    prev_hash: str
    hash: str
    signature: str


class LedgerAnswer(Record):
    """Lines of a tenant's ledger, the oldest first."""

    entries: list[LedgerEntryAnswer]


class LedgerCheckAnswer(Record):
    """Whether the ledger and its receipts are whole."""

    model_config = ConfigDict(from_attributes=True) | example(entries=12, receipts=1, problems=[], whole=True)

    entries: int
    receipts: int
    problems: list[str]
    whole: bool


class LedgerKeyAnswer(BaseModel):
    """What verifies the signatures of the store."""

    public_key: str
    """Ed25519, base64."""


class DuplicateAnswer(Record):
    """Two speakers whose voices are probably one."""

    speakers: tuple[str, str]
    llr: float | None
    """Null where the space has no calibration, and for a key without the scope ``scores``."""
    score: float | None


class DuplicatesAnswer(Record):
    """Pairs of speakers whose voices are probably one, the surest first."""

    model_config = ConfigDict(from_attributes=True) | example(
        duplicates=[{"speakers": ["customer-17", "customer-40"], "llr": 9.1, "score": 0.83}]
    )

    duplicates: list[DuplicateAnswer]


class CalibrationAnswer(Record):
    """How a gallery's own voices tell speakers apart in one space."""

    model_config = ConfigDict(from_attributes=True) | example(
        space=SPACE, enough_data=False, message="Not enough data: 4 speakers of at least 10.",
        speakers=4, target_trials=9, impostor_trials=60, figures={},
    )  # fmt: skip

    space: SpaceAnswer
    enough_data: bool
    message: str
    speakers: int
    target_trials: int
    impostor_trials: int
    figures: dict[str, Any]


class CalibrationsAnswer(BaseModel):
    """A calibration report for each space of the gallery."""

    reports: list[CalibrationAnswer]

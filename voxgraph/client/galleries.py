"""The questions about galleries that can be asked over HTTP, in the way of `voxgraph.client.questions`.

A gallery and its speakers are named by the caller; `speaker` is the external id. Names never go into the
messages of errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from voxgraph.client import answers
from voxgraph.client import gallery_answers as read
from voxgraph.client.questions import Question, options_of
from voxgraph.client.recordings import Recording
from voxgraph.options import DEADLINE_S, DIARIZATION_DEADLINE_S, OperatingPoint
from voxgraph.results import (
    CalibrationReport,
    Consent,
    DecisionReview,
    DiarizationResult,
    Duplicate,
    Embedding,
    Enrolment,
    ErasureReceipt,
    GalleryInfo,
    GalleryPage,
    GalleryPolicy,
    LedgerCheck,
    LedgerEntry,
    ReceiptPage,
    ReferenceInfo,
    ReviewSummary,
    SpeakerInfo,
    SpeakerPage,
    SpeakerState,
    VoiceDecision,
)

ROOT = "/v1/galleries"
LONG_DEADLINE_S = 600.0
"""Seconds for an answer that compares all voices of a gallery with each other, or verifies all signatures."""


def list_galleries(
    *, after: str | None = None, limit: int | None = None, timeout_s: float = DEADLINE_S
) -> Question[GalleryPage]:
    """Return a page of the galleries of the tenant, by name; `after` of the page asks for the next one."""
    options = options_of(after=after, limit=limit)
    return Question(ROOT, read.galleries, options, timeout_s=timeout_s, method="GET")


def put(
    gallery: str, policy: GalleryPolicy | None = None, *, timeout_s: float = DEADLINE_S
) -> Question[GalleryInfo]:
    """Create a gallery, or replace the policy of one; None is the policy of the server's defaults."""
    body = {} if policy is None else asdict(policy)
    return Question(_path(gallery), read.gallery, json=body, timeout_s=timeout_s, method="PUT")


def show(gallery: str, *, timeout_s: float = DEADLINE_S) -> Question[GalleryInfo]:
    """Return a gallery and the number of its speakers by state."""
    return Question(_path(gallery), read.gallery, timeout_s=timeout_s, method="GET")


def delete(gallery: str, *, timeout_s: float = DEADLINE_S) -> Question[ErasureReceipt]:
    """Erase a gallery and everybody in it."""
    return Question(_path(gallery), read.receipt, timeout_s=timeout_s, method="DELETE", once=True)


def put_speaker(
    gallery: str,
    speaker: str,
    *,
    display_name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    consent: Consent | None = None,
    timeout_s: float = DEADLINE_S,
) -> Question[SpeakerInfo]:
    """Create a speaker, or replace the name, the metadata and, if one is given, the consent of one."""
    body = {
        "display_name": display_name, "metadata": metadata or {}, "consent": _consent(consent),
    }  # fmt: skip
    return Question(_path(gallery, speaker), read.speaker, json=body, timeout_s=timeout_s, method="PUT")


def speakers(
    gallery: str,
    *,
    state: SpeakerState | None = None,
    after: str | None = None,
    limit: int | None = None,
    timeout_s: float = DEADLINE_S,
) -> Question[SpeakerPage]:
    """Return a page of speakers; `after` of the page asks for the next one."""
    options = options_of(state=state, after=after, limit=limit)
    return Question(f"{_path(gallery)}/speakers", read.speakers, options, timeout_s=timeout_s, method="GET")


def speaker(gallery: str, speaker: str, *, timeout_s: float = DEADLINE_S) -> Question[SpeakerInfo]:
    """Return a speaker: the state, and the seconds of speech that are there and that are missing."""
    return Question(_path(gallery, speaker), read.speaker, timeout_s=timeout_s, method="GET")


def change_speaker(
    gallery: str, speaker: str, changes: Mapping[str, Any], *, timeout_s: float = DEADLINE_S
) -> Question[SpeakerInfo]:
    """Change some of ``external_id``, ``display_name``, ``metadata`` and ``consent``."""
    body = {name: _consent(value) if isinstance(value, Consent) else value for name, value in changes.items()}
    return Question(
        _path(gallery, speaker),
        read.speaker,
        json=body,
        timeout_s=timeout_s,
        method="PATCH",
        once="external_id" in changes,
    )


def erase(gallery: str, speaker: str, *, timeout_s: float = DEADLINE_S) -> Question[ErasureReceipt]:
    """Erase everything that is kept of a speaker."""
    return Question(_path(gallery, speaker), read.receipt, timeout_s=timeout_s, method="DELETE", once=True)


def opt_out(gallery: str, speaker: str, *, timeout_s: float = DEADLINE_S) -> Question[ErasureReceipt]:
    """Erase a speaker, who need not be there, and refuse to enrol that external id from now on."""
    return Question(_path(gallery, speaker, "opt-out"), read.receipt, timeout_s=timeout_s, once=True)


def opt_in(gallery: str, speaker: str, *, timeout_s: float = DEADLINE_S) -> Question[None]:
    """Let an external id be enrolled again."""
    path = _path(gallery, speaker, "opt-out")
    return Question(path, lambda _: None, timeout_s=timeout_s, method="DELETE", once=True)


def withdraw_consent(
    gallery: str, speaker: str, *, timeout_s: float = DEADLINE_S
) -> Question[ErasureReceipt]:
    """Erase all references of a speaker and the consent; the name stays for a new consent."""
    path = _path(gallery, speaker, "consent")
    return Question(path, read.receipt, timeout_s=timeout_s, method="DELETE", once=True)


def export(
    gallery: str, speaker: str, *, vectors: bool = False, timeout_s: float = DEADLINE_S
) -> Question[dict[str, Any]]:
    """Return everything that is kept of a speaker as JSON, for the person."""
    path, options = _path(gallery, speaker, "export"), options_of(vectors=vectors)
    return Question(path, dict, options, timeout_s=timeout_s, method="GET")


def enrol(
    gallery: str,
    speaker: str,
    recording: Recording,
    *,
    diarized_speaker: str | None = None,
    channel: int | None = None,
    timeout_s: float = DIARIZATION_DEADLINE_S,
) -> Question[Enrolment]:
    """Add a recording to a speaker; `accepted` is False, with `reasons`, if it does not pass the gates.

    One that is a reference of the speaker already stays one, and the answer is ``repeated``: a request that
    is sent again after a broken connection does not enrol twice.
    `diarized_speaker` is the one of several in the recording whose voice is meant, such as ``SPEAKER_01``.
    """
    options = options_of(diarized_speaker=diarized_speaker, channel=channel)
    return Question(
        _path(gallery, speaker, "references"),
        read.enrolment,
        options,
        (("file", recording),),
        timeout_s=timeout_s,
        readable_errors=frozenset({read.UNPROCESSABLE}),
    )


def enrol_embedding(
    gallery: str, speaker: str, embedding: Embedding, speech_s: float, *, timeout_s: float = DEADLINE_S
) -> Question[Enrolment]:
    """Add a voice that an encoder of the graph embedded before, from `speech_s` seconds of speech."""
    body = {
        "embedding": embedding.vector.tolist(), "model": embedding.model, "revision": embedding.revision,
        "speech_s": speech_s,
    }  # fmt: skip
    return Question(
        _path(gallery, speaker, "references"),
        read.enrolment,
        json=body,
        timeout_s=timeout_s,
        readable_errors=frozenset({read.UNPROCESSABLE}),
    )


def references(gallery: str, speaker: str, *, timeout_s: float = DEADLINE_S) -> Question[list[ReferenceInfo]]:
    """Return the references of a speaker, the oldest first."""
    path = _path(gallery, speaker, "references")
    return Question(path, read.references, timeout_s=timeout_s, method="GET")


def remove_reference(
    gallery: str, speaker: str, reference: str, *, timeout_s: float = DEADLINE_S
) -> Question[ErasureReceipt]:
    """Erase one reference."""
    path = _path(gallery, speaker, f"references/{quote(reference, safe='')}")
    return Question(path, read.receipt, timeout_s=timeout_s, method="DELETE", once=True)


def verify(
    gallery: str,
    recording: Recording,
    speaker: str,
    *,
    operating_point: OperatingPoint | None = None,
    purpose: str | None = None,
    channel: int | None = None,
    timeout_s: float = DIARIZATION_DEADLINE_S,
) -> Question[VoiceDecision]:
    """Decide whether a recording is of the speaker that somebody claims to be."""
    options = options_of(speaker=speaker, operating_point=operating_point, purpose=purpose, channel=channel)
    path = f"{_path(gallery)}/verify"
    return Question(path, read.decision, options, (("file", recording),), timeout_s=timeout_s)


def identify(
    gallery: str,
    recording: Recording,
    *,
    top_n: int | None = None,
    operating_point: OperatingPoint | None = None,
    purpose: str | None = None,
    channel: int | None = None,
    timeout_s: float = DIARIZATION_DEADLINE_S,
) -> Question[VoiceDecision]:
    """Decide who of the gallery speaks in a recording of one person, if anybody."""
    options = options_of(top_n=top_n, operating_point=operating_point, purpose=purpose, channel=channel)
    path = f"{_path(gallery)}/identify"
    return Question(path, read.decision, options, (("file", recording),), timeout_s=timeout_s)


def identify_speakers(
    gallery: str,
    recording: Recording,
    *,
    num_speakers: int | None = None,
    min_speakers: int | None = None,
    max_speakers: int | None = None,
    top_n: int | None = None,
    operating_point: OperatingPoint | None = None,
    purpose: str | None = None,
    channel: int | None = None,
    timeout_s: float = DIARIZATION_DEADLINE_S,
) -> Question[DiarizationResult]:
    """Find who speaks when, by name; `identities` says what was decided about each voice."""
    options = options_of(
        diarize=True,
        num_speakers=num_speakers,
        min_speakers=min_speakers,
        max_speakers=max_speakers,
        top_n=top_n,
        operating_point=operating_point,
        purpose=purpose,
        channel=channel,
    )
    path = f"{_path(gallery)}/identify"
    return Question(path, answers.diarization, options, (("file", recording),), timeout_s=timeout_s)


def merge(gallery: str, into: str, source: str, *, timeout_s: float = DEADLINE_S) -> Question[SpeakerInfo]:
    """Move all references of `source` to `into`, and remove `source`."""
    body = {"into": into, "from": source}
    return Question(f"{_path(gallery)}/merge", read.speaker, json=body, timeout_s=timeout_s, once=True)


def duplicates(gallery: str, *, timeout_s: float = LONG_DEADLINE_S) -> Question[list[Duplicate]]:
    """Return pairs of speakers whose voices are probably one, the likeliest first."""
    return Question(f"{_path(gallery)}/duplicates", read.duplicates, timeout_s=timeout_s, method="GET")


def calibrate(gallery: str, *, timeout_s: float = LONG_DEADLINE_S) -> Question[list[CalibrationReport]]:
    """Fit the calibration on the gallery's own voices; it is used where the data suffice."""
    return Question(f"{_path(gallery)}/calibrate", read.reports, timeout_s=timeout_s)


def report(gallery: str, *, timeout_s: float = DEADLINE_S) -> Question[list[CalibrationReport]]:
    """Return the reports of the last calibration."""
    return Question(f"{_path(gallery)}/report", read.reports, timeout_s=timeout_s, method="GET")


def confirm(gallery: str, decision_id: str, *, timeout_s: float = DEADLINE_S) -> Question[DecisionReview]:
    """Say that a decision was right, after a person looked at it. Nothing is learned from it."""
    return Question(_decision_path(gallery, decision_id, "confirm"), read.review, timeout_s=timeout_s)


def reject(gallery: str, decision_id: str, *, timeout_s: float = DEADLINE_S) -> Question[DecisionReview]:
    """Say that a decision was wrong, after a person looked at it. Nothing is learned from it."""
    return Question(_decision_path(gallery, decision_id, "reject"), read.review, timeout_s=timeout_s)


def reviews(gallery: str, *, timeout_s: float = DEADLINE_S) -> Question[list[ReviewSummary]]:
    """Return how many decisions of the journal were confirmed and rejected, and the rates of errors."""
    return Question(f"{_path(gallery)}/report", read.reviews, timeout_s=timeout_s, method="GET")


def ledger(
    *, after: int | None = None, limit: int | None = None, timeout_s: float = DEADLINE_S
) -> Question[list[LedgerEntry]]:
    """Return lines of the tenant's ledger whose `seq` is above `after`."""
    options = options_of(after=after, limit=limit)
    return Question("/v1/ledger", read.ledger, options, timeout_s=timeout_s, method="GET")


def check_ledger(*, timeout_s: float = LONG_DEADLINE_S) -> Question[LedgerCheck]:
    """Check the chain and all signatures of the ledger and of the receipts."""
    return Question("/v1/ledger/check", read.ledger_check, timeout_s=timeout_s, method="GET")


def ledger_key(*, timeout_s: float = DEADLINE_S) -> Question[str]:
    """Return the Ed25519 key that verifies the ledger and the receipts, base64; note it where it is safe."""
    return Question("/v1/ledger/key", lambda answer: answer["public_key"], timeout_s=timeout_s, method="GET")


def receipts(
    *, after: int | None = None, limit: int | None = None, timeout_s: float = DEADLINE_S
) -> Question[ReceiptPage]:
    """Return a page of the receipts, the oldest first; `after` of the page asks for the next one."""
    options = options_of(after=after, limit=limit)
    return Question("/v1/receipts", read.receipts, options, timeout_s=timeout_s, method="GET")


def _path(gallery: str, speaker: str | None = None, rest: str = "") -> str:
    parts: Sequence[str] = (gallery,) if speaker is None else (gallery, "speakers", speaker)
    path = "/".join((ROOT, *(quote(part, safe="") for part in parts)))
    return f"{path}/{rest}" if rest else path


def _decision_path(gallery: str, decision_id: str, verdict: str) -> str:
    return f"{_path(gallery)}/decisions/{quote(decision_id, safe='')}/{verdict}"


def _consent(consent: Consent | None) -> dict[str, Any] | None:
    if consent is None:
        return None
    times = {"given_at": consent.given_at.isoformat()}
    if consent.expires_at is not None:
        times["expires_at"] = consent.expires_at.isoformat()
    return {**{name: value for name, value in asdict(consent).items() if value is not None}, **times}

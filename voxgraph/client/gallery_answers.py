"""From the JSON of an answer about galleries to the records of `voxgraph.results`. Pure functions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from voxgraph.client.failures import make_error
from voxgraph.results import (
    CalibrationReport,
    Candidate,
    Consent,
    Decision,
    DecisionReview,
    Duplicate,
    Enrolment,
    ErasureReceipt,
    Evidence,
    GalleryInfo,
    GalleryPage,
    GalleryPolicy,
    LedgerCheck,
    LedgerEntry,
    Reason,
    ReceiptPage,
    ReferenceInfo,
    ReviewSummary,
    Space,
    SpeakerInfo,
    SpeakerPage,
    VoiceDecision,
)

Json = Mapping[str, Any]


def gallery(answer: Json) -> GalleryInfo:
    """Read a gallery."""
    return GalleryInfo(
        name=answer["name"],
        policy=GalleryPolicy(**_known(GalleryPolicy, answer["policy"])),
        revision=answer["revision"],
        created_at=_time(answer["created_at"]),
        speakers=dict(answer["speakers"]),
        references=answer["references"],
        spaces=_spaces(answer),
    )


def galleries(answer: Json) -> GalleryPage:
    """Read a page of galleries."""
    return GalleryPage(tuple(gallery(each) for each in answer["galleries"]), answer["after"])


def speaker(answer: Json) -> SpeakerInfo:
    """Read a speaker."""
    given = _known(SpeakerInfo, answer)
    found = answer["consent"]
    given |= {name: _time(answer[name]) for name in ("created_at", "updated_at")}
    given |= {
        "expires_at": _time_or_none(answer["expires_at"]),
        "consent": None if found is None else _consent(found),
        "spaces": _spaces(answer),
    }
    return SpeakerInfo(**given)


def speakers(answer: Json) -> SpeakerPage:
    """Read a page of speakers."""
    return SpeakerPage(tuple(speaker(each) for each in answer["speakers"]), answer["after"])


def reference(answer: Json) -> ReferenceInfo:
    """Read a reference."""
    return ReferenceInfo(
        id=answer["id"],
        evidence=_evidence(answer["evidence"]),
        spaces=_spaces(answer),
        origin=answer["origin"],
        created_at=_time(answer["created_at"]),
        created_by=answer["created_by"],
    )


def references(answer: Json) -> list[ReferenceInfo]:
    """Read the references of a speaker."""
    return [reference(each) for each in answer["references"]]


def enrolment(answer: Json) -> Enrolment:
    """Read what became of a recording; raise the error of an answer that is another refusal."""
    if "speaker" not in answer:
        raise make_error(
            answer["detail"], answer.get("code"), UNPROCESSABLE, request_id=answer.get("request_id")
        )
    kept = answer.get("reference")
    return Enrolment(
        speaker=speaker(answer["speaker"]),
        reference=None if kept is None else reference(kept),
        reasons=_reasons(answer.get("reasons", ())),
        warnings=_reasons(answer["warnings"]),
        repeated=answer.get("repeated", False),
    )


def decision(answer: Json) -> VoiceDecision:
    """Read what was decided about a voice."""
    given = _known(VoiceDecision, answer)
    evidence, space = answer.get("evidence"), answer.get("space")
    given |= {
        "decision": Decision(answer["decision"]),
        "candidates": tuple(Candidate(**_known(Candidate, each)) for each in answer["candidates"]),
        "evidence": None if evidence is None else _evidence(evidence),
        "space": None if space is None else _space(space),
        "not_compared": tuple(answer.get("not_compared", ())),
    }
    return VoiceDecision(**given)


def receipt(answer: Json) -> ErasureReceipt:
    """Read the receipt of an erasure."""
    given = _known(ErasureReceipt, answer)
    return ErasureReceipt(**{**given, "completed_at": _time(answer["completed_at"])})


def receipts(answer: Json) -> ReceiptPage:
    """Read a page of receipts."""
    return ReceiptPage(tuple(receipt(each) for each in answer["receipts"]), answer["after"])


def ledger(answer: Json) -> list[LedgerEntry]:
    """Read lines of the ledger."""
    return [
        LedgerEntry(**{**_known(LedgerEntry, each), "at": _time(each["at"])}) for each in answer["entries"]
    ]


def ledger_check(answer: Json) -> LedgerCheck:
    """Read whether the ledger is whole."""
    return LedgerCheck(answer["entries"], answer["receipts"], tuple(answer["problems"]))


def duplicates(answer: Json) -> list[Duplicate]:
    """Read pairs of speakers."""
    return [Duplicate(tuple(each["speakers"]), each["llr"], each["score"]) for each in answer["duplicates"]]


def reports(answer: Json) -> list[CalibrationReport]:
    """Read the reports of a calibration, without their plots."""
    return [
        CalibrationReport(**{**_known(CalibrationReport, each), "space": _space(each["space"])})
        for each in answer["reports"]
    ]


def review(answer: Json) -> DecisionReview:
    """Read what a person says of a decision."""
    times = {name: _time(answer[name]) for name in ("at", "reviewed_at")}
    return DecisionReview(
        **{**_known(DecisionReview, answer), **times, "decision": Decision(answer["decision"])}
    )


def reviews(answer: Json) -> list[ReviewSummary]:
    """Read what people say of the decisions of a gallery, from its report."""
    return [ReviewSummary(**_known(ReviewSummary, each)) for each in answer["reviews"]]


UNPROCESSABLE = 422


def _known(record: type[Any], answer: Json) -> dict[str, Any]:
    """Return the fields of an answer that a record has; those of a newer server are left out."""
    return {name: answer[name] for name in record.__dataclass_fields__ if name in answer}


def _evidence(answer: Json) -> Evidence:
    return Evidence(**_known(Evidence, answer))


def _space(answer: Json) -> Space:
    return Space(answer["model"], answer["revision"], answer["dim"])


def _spaces(answer: Json) -> tuple[Space, ...]:
    return tuple(_space(each) for each in answer["spaces"])


def _reasons(given: Any) -> tuple[Reason, ...]:
    return tuple(Reason(**{**_known(Reason, each), "speakers": tuple(each["speakers"])}) for each in given)


def _consent(answer: Json) -> Consent:
    given = _known(Consent, answer)
    times = {"given_at": _time(answer["given_at"]), "expires_at": _time_or_none(answer.get("expires_at"))}
    return Consent(**{**given, **times, "purposes": tuple(answer["purposes"])})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)

"""What people say of decisions: counted, forgotten with the journal, erased with the person."""

from typing import Any

import pytest
from voices import CONSENT, Clock, heard

from gallery.galleries import Galleries
from gallery.report import interval_of
from voxgraph.errors import Conflict, NotFound
from voxgraph.results import DecisionReview, GalleryPolicy, ReviewSummary

EMPTY = {"rate": None, "low": 0.0, "high": 1.0, "errors": 0, "trials": 0}


@pytest.fixture
def staff(galleries: Galleries) -> Galleries:
    """A gallery with Anna, voice 0, and Bob, voice 1."""
    for voice, speaker in enumerate(("anna", "bob")):
        galleries.put_speaker("acme", "staff", speaker, consent=CONSENT, actor="key")
        galleries.enrol("acme", "staff", speaker, heard(voice), actor="key")
    return galleries


def verified(galleries: Galleries, speaker: str, voice: int) -> str:
    found = galleries.verify("acme", "staff", speaker, heard(voice), actor="key")
    assert found.decision_id is not None
    return found.decision_id


def identified(galleries: Galleries, voice: int) -> str:
    (found,) = galleries.identify("acme", "staff", [heard(voice)], actor="key")
    assert found.decision_id is not None
    return found.decision_id


def review(galleries: Galleries, decision_id: str, verdict: Any = "confirmed") -> DecisionReview:
    return galleries.review("acme", "staff", decision_id, verdict, actor="boss")


def rate(errors: int, trials: int) -> dict[str, Any]:
    low, high = interval_of(errors, trials)
    return {"rate": errors / trials, "low": low, "high": high, "errors": errors, "trials": trials}


def test_the_report_counts_what_was_right_and_wrong(staff: Galleries) -> None:
    matches = [verified(staff, "anna", 0) for _ in range(4)]
    rejections = [verified(staff, "anna", 1) for _ in range(3)]
    stranger = identified(staff, 5)
    for each in (*matches[:2], rejections[0]):
        review(staff, each)
    for each in (matches[2], rejections[1], stranger):
        review(staff, each, "rejected")

    identify, verify = staff.reviews("acme", "staff")

    assert verify == ReviewSummary(
        "verify", "balanced", made={"match": 4, "no_match": 3}, confirmed={"match": 2, "no_match": 1},
        rejected={"match": 1, "no_match": 1},
        wrong_matches=rate(1, 3), false_accepts=rate(1, 2), false_rejects=rate(1, 3),
    )  # fmt: skip
    assert identify == ReviewSummary(
        "identify", "balanced", made={"unknown": 1}, confirmed={}, rejected={"unknown": 1},
        wrong_matches=EMPTY, false_accepts=EMPTY, false_rejects=rate(1, 1),
    )  # fmt: skip


def test_the_last_word_counts_and_the_same_again_is_none(staff: Galleries, clock: Clock) -> None:
    decision = verified(staff, "anna", 0)
    first = review(staff, decision)
    clock.advance(hours=1)
    again = review(staff, decision)
    changed = review(staff, decision, "rejected")

    assert first == again
    assert (first.verdict, changed.verdict, first.reviewed_by) == ("confirmed", "rejected", "boss")
    assert changed.reviewed_at > first.reviewed_at
    (summary,) = staff.reviews("acme", "staff")
    assert (summary.confirmed, summary.rejected) == ({}, {"match": 1})
    said = [each for each in staff.ledger("acme") if each.action == "decision.review"]
    assert [(each.object, each.actor, each.details["verdict"]) for each in said] == [
        (decision, "boss", "confirmed"), (decision, "boss", "rejected"),
    ]  # fmt: skip
    assert staff.verify_ledger("acme").whole


def test_nothing_is_learned_from_it(staff: Galleries) -> None:
    before = staff.revision("acme", "staff"), staff.speaker("acme", "staff", "anna")
    review(staff, verified(staff, "anna", 0))

    assert (staff.revision("acme", "staff"), staff.speaker("acme", "staff", "anna")) == before


def test_what_claims_nothing_cannot_be_wrong(staff: Galleries) -> None:
    refused = staff.verify("acme", "staff", "anna", heard(0, 0.5), actor="key")

    assert refused.decision_id is not None
    with pytest.raises(Conflict):
        review(staff, refused.decision_id)


def test_only_the_gallery_of_the_decision_knows_it(staff: Galleries) -> None:
    staff.create("acme", "guests", actor="key")
    staff.create("other", "staff", actor="key")
    decision = verified(staff, "anna", 0)

    for tenant, gallery in (("other", "staff"), ("acme", "guests")):
        with pytest.raises(NotFound):
            staff.review(tenant, gallery, decision, "confirmed", actor="key")
        assert staff.reviews(tenant, gallery) == ()
    with pytest.raises(NotFound):
        review(staff, "dec_unknown")


def test_reviews_are_forgotten_with_the_journal_even_before_the_sweep(staff: Galleries, clock: Clock) -> None:
    decision = verified(staff, "anna", 0)
    review(staff, decision)
    clock.advance(days=31)

    assert staff.reviews("acme", "staff") == ()
    with pytest.raises(NotFound):
        review(staff, decision)
    staff.update("acme", "staff", GalleryPolicy(journal_days=0), actor="key")
    assert staff.reviews("acme", "staff") == ()


@pytest.mark.parametrize("how", ["erase", "opt_out"])
def test_the_reviews_of_a_person_go_with_the_person(staff: Galleries, how: str) -> None:
    decisions = {speaker: verified(staff, speaker, voice) for voice, speaker in enumerate(("anna", "bob"))}
    for each in decisions.values():
        review(staff, each)
    exported = staff.export("acme", "staff", "anna", actor="key")["decisions"]

    getattr(staff, how)("acme", "staff", "anna", actor="key")

    assert [(each["verdict"], each["reviewed_by"]) for each in exported] == [("confirmed", "boss")]
    (summary,) = staff.reviews("acme", "staff")
    assert (summary.made, summary.confirmed) == ({"match": 1}, {"match": 1})
    with pytest.raises(NotFound):
        review(staff, decisions["anna"], "rejected")

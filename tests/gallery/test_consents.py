"""Nothing is kept or compared without a consent that covers it."""

from datetime import timedelta

import pytest
from voices import CONSENT, START, Clock, heard

from gallery.galleries import Galleries
from voxgraph.errors import ConsentMissing, InvalidOptions
from voxgraph.results import Consent, Decision, GalleryPolicy


def consent(*purposes: str, days: float | None = None) -> Consent:
    return Consent(
        purposes, START, None if days is None else START + timedelta(days=days), "uri", "sha", "form"
    )


def enrol(galleries: Galleries, speaker: str = "anna", given: Consent = CONSENT, voice: int = 0) -> None:
    galleries.put_speaker("acme", "staff", speaker, consent=given, actor="key")
    galleries.enrol("acme", "staff", speaker, heard(voice), actor="key")


def decide(galleries: Galleries, purpose: str | None = None) -> tuple[Decision, Decision]:
    verified = galleries.verify("acme", "staff", "anna", heard(0), purpose=purpose, actor="key")
    (identified,) = galleries.identify("acme", "staff", [heard(0)], purpose=purpose, actor="key")
    return verified.decision, identified.decision


def test_a_speaker_without_consent_is_not_created(galleries: Galleries) -> None:
    with pytest.raises(ConsentMissing):
        galleries.put_speaker("acme", "staff", "anna", actor="key")
    with pytest.raises(InvalidOptions):
        galleries.put_speaker("acme", "staff", "anna", consent=consent("x", days=-1), actor="key")

    assert galleries.speakers("acme", "staff").speakers == ()


def test_the_consent_is_kept_as_it_was_given(galleries: Galleries) -> None:
    given = consent("verification", "research", days=3)
    enrol(galleries, given=given)

    assert galleries.speaker("acme", "staff", "anna").consent == given


def test_who_did_not_agree_to_a_purpose_is_not_even_compared(galleries: Galleries) -> None:
    enrol(galleries, given=consent("verification"))

    assert decide(galleries, "verification") == (Decision.MATCH, Decision.MATCH)
    assert decide(galleries, "marketing") == (Decision.PURPOSE_NOT_CONSENTED, Decision.UNKNOWN)
    (answer,) = galleries.identify("acme", "staff", [heard(0)], purpose="marketing", actor="key")
    assert answer.candidates == ()


def test_a_consent_that_ends_takes_the_speaker_out_at_once(galleries: Galleries, clock: Clock) -> None:
    enrol(galleries, given=consent("verification", days=2))
    assert decide(galleries) == (Decision.MATCH, Decision.MATCH)

    clock.advance(days=2)

    assert decide(galleries) == (Decision.EXPIRED, Decision.UNKNOWN)
    with pytest.raises(ConsentMissing):
        galleries.enrol("acme", "staff", "anna", heard(0), actor="key")


def test_a_sweep_erases_the_voices_of_who_has_expired_and_leaves_the_others(
    galleries: Galleries, clock: Clock
) -> None:
    enrol(galleries, given=consent("verification", days=2))
    enrol(galleries, "bob", voice=1)
    clock.advance(days=3)

    assert galleries.sweep() == 1
    assert galleries.sweep() == 0

    assert galleries.speaker("acme", "staff", "anna").references == 0
    assert galleries.speaker("acme", "staff", "anna").state == "expired"
    assert galleries.speaker("acme", "staff", "bob").state == "active"
    assert [receipt.kind for receipt in galleries.receipts("acme").receipts] == ["expiry"]


def test_the_time_to_live_counts_from_the_last_enrolment(galleries: Galleries, clock: Clock) -> None:
    enrol(galleries)
    galleries.update("acme", "staff", GalleryPolicy(ttl_days=10), actor="key")
    clock.advance(days=8)
    galleries.enrol("acme", "staff", "anna", heard(0), actor="key")
    clock.advance(days=8)
    assert galleries.speaker("acme", "staff", "anna").state == "active"

    clock.advance(days=2)

    assert galleries.speaker("acme", "staff", "anna").state == "expired"
    assert [each.external_id for each in galleries.speakers("acme", "staff", state="expired").speakers] == [
        "anna"
    ]


def test_a_new_consent_brings_back_who_withdrew_without_the_old_voice(galleries: Galleries) -> None:
    enrol(galleries)
    galleries.withdraw_consent("acme", "staff", "anna", actor="key")
    with pytest.raises(ConsentMissing):
        galleries.enrol("acme", "staff", "anna", heard(0), actor="key")

    enrol(galleries, voice=3)

    assert galleries.verify("acme", "staff", "anna", heard(3), actor="key").decision is Decision.MATCH
    assert galleries.verify("acme", "staff", "anna", heard(0), actor="key").decision is Decision.NO_MATCH


def test_merged_speakers_keep_what_both_agreed_to(galleries: Galleries) -> None:
    enrol(galleries, "anna", consent("verification", "research", days=9))
    enrol(galleries, "annie", consent("research", days=4))
    enrol(galleries, "bob", consent("billing"), voice=1)

    merged = galleries.merge("acme", "staff", into="anna", source="annie", actor="key")

    assert merged.consent == consent("research", days=4)
    assert (merged.references, merged.speech_s) == (2, 50.0)
    with pytest.raises(ConsentMissing):
        galleries.merge("acme", "staff", into="anna", source="bob", actor="key")


def test_a_gallery_without_required_consent_still_holds_people_to_the_one_they_gave(
    galleries: Galleries,
) -> None:
    galleries.update("acme", "staff", GalleryPolicy(require_consent=False), actor="key")
    enrol(galleries, given=consent("verification"))
    galleries.put_speaker("acme", "staff", "bob", actor="key")
    galleries.enrol("acme", "staff", "bob", heard(1), actor="key")

    assert decide(galleries, "marketing") == (Decision.PURPOSE_NOT_CONSENTED, Decision.UNKNOWN)
    (answer,) = galleries.identify("acme", "staff", [heard(1)], purpose="marketing", actor="key")
    assert answer.speaker == "bob"

"""A recording that is enrolled again, by a retry or by mistake, stays one reference."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from voices import CONSENT, OTHER_SPACE, SPACE, Clock, heard

from gallery.galleries import Galleries
from gallery.tables import refs
from voxgraph.errors import ConsentMissing, Erased
from voxgraph.results import Consent, Enrolment, GalleryPolicy

Open = Callable[..., Galleries]
CONTENT, OTHER = b"1" * 32, b"2" * 32


def put(galleries: Galleries, speaker: str = "anna") -> None:
    galleries.put_speaker("acme", "staff", speaker, consent=CONSENT, actor="key")


def enrol(galleries: Galleries, speaker: str = "anna", **options: Any) -> Enrolment:
    given = {"content": CONTENT, "actor": "key", **options}
    return galleries.enrol("acme", "staff", speaker, given.pop("observation", heard(0)), **given)


def fingerprints(galleries: Galleries) -> list[str]:
    with galleries._store.read() as transaction:
        return list(transaction.execute(sa.select(refs.c.fingerprint).order_by(refs.c.id)).scalars())


def test_the_same_recording_is_one_reference(galleries: Galleries) -> None:
    put(galleries)
    first, again = enrol(galleries), enrol(galleries)
    other, unknown = enrol(galleries, content=OTHER), enrol(galleries, content=None)

    assert (first.repeated, again.repeated, other.repeated, unknown.repeated) == (False, True, False, False)
    assert again.reference == first.reference
    assert len(galleries.references("acme", "staff", "anna")) == 3
    assert galleries.enrolled("acme", "staff", "anna", CONTENT) == Enrolment(
        galleries.speaker("acme", "staff", "anna"), first.reference, repeated=True
    )
    assert galleries.enrolled("acme", "staff", "anna", b"3" * 32) is None
    lines = [each.action for each in galleries.ledger("acme")]
    assert lines.count("reference.add") == 3


def test_the_hash_of_a_recording_is_kept_by_the_key_of_each_speaker(galleries: Galleries) -> None:
    for speaker in ("anna", "bob"):
        put(galleries, speaker)
        enrol(galleries, speaker)

    first, second = fingerprints(galleries)

    assert len({first, second, CONTENT.hex()}) == 3


def test_of_two_that_come_at_once_one_is_enrolled(opened: Open) -> None:
    stores = [opened(), opened()]
    stores[0].create("acme", "staff", actor="key")
    put(stores[0])
    answers: list[Enrolment] = []
    threads = [
        threading.Thread(target=lambda store=store: answers.append(enrol(store))) for store in stores * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(each.repeated for each in answers) == [False, True, True, True]
    assert len(stores[0].references("acme", "staff", "anna")) == 1


def test_a_merged_recording_is_known_again(galleries: Galleries) -> None:
    for speaker, content in (("anna", CONTENT), ("bob", OTHER)):
        put(galleries, speaker)
        enrol(galleries, speaker, content=content)
    galleries.merge("acme", "staff", into="anna", source="bob", actor="key")

    assert enrol(galleries, content=OTHER).repeated
    assert len(galleries.references("acme", "staff", "anna")) == 2


def test_a_reference_gets_the_vectors_of_a_newer_encoder_and_its_speech_counts_once(
    galleries: Galleries,
) -> None:
    galleries.update("acme", "staff", GalleryPolicy(max_references=1), actor="key")
    put(galleries)
    first = enrol(galleries)
    newer = enrol(galleries, observation=heard(0, 25.0, OTHER_SPACE))
    again = enrol(galleries, observation=heard(0, 25.0, SPACE, OTHER_SPACE))

    (reference,) = galleries.references("acme", "staff", "anna")
    assert reference.spaces == (SPACE, OTHER_SPACE)
    assert newer.accepted
    assert (again.repeated, again.reference, first.speaker.speech_s) == (True, reference, 25.0)
    assert galleries.speaker("acme", "staff", "anna").speech_s == 25.0
    (found,) = galleries.identify("acme", "staff", [heard(0, 25.0, OTHER_SPACE)], actor="key")
    assert found.speaker == "anna"


def test_a_repetition_needs_consent_and_the_same_person(galleries: Galleries, clock: Clock) -> None:
    soon = Consent(("door",), CONSENT.given_at, clock.now.replace(day=3))
    galleries.put_speaker("acme", "staff", "anna", consent=soon, actor="key")
    known = enrol(galleries).speaker
    galleries.erase("acme", "staff", "anna", actor="key")
    galleries.put_speaker("acme", "staff", "anna", consent=soon, actor="key")

    with pytest.raises(Erased):
        enrol(galleries, expecting=known.id)
    with pytest.raises(Erased):
        galleries.enrolled("acme", "staff", "anna", CONTENT, expecting=known.id)
    assert not enrol(galleries).repeated
    clock.advance(days=5)
    with pytest.raises(ConsentMissing):
        enrol(galleries)


@pytest.mark.parametrize("how", ["erase", "withdraw_consent", "opt_out"])
def test_nothing_of_the_hash_is_left(how: str, tmp_path: Path, clock: Clock) -> None:
    with Galleries(tmp_path / "state", clock=clock) as galleries:
        galleries.create("acme", "staff", actor="key")
        put(galleries)
        enrol(galleries)
        (kept,) = fingerprints(galleries)
        getattr(galleries, how)("acme", "staff", "anna", actor="key")

        assert fingerprints(galleries) == []
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [path.name for path in files if kept.encode() in path.read_bytes()] == []

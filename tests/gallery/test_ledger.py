"""The ledger shows every change of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from voices import CONSENT, heard

from gallery.galleries import Galleries
from gallery.ledger import verify_ledger
from voxgraph.results import ErasureReceipt, GalleryPolicy, LedgerEntry

Lines = list[LedgerEntry]


@pytest.fixture
def store(galleries: Galleries) -> Galleries:
    galleries.put_speaker("acme", "staff", "anna", consent=CONSENT, actor="reception")
    galleries.enrol("acme", "staff", "anna", heard(0), actor="reception")
    galleries.verify("acme", "staff", "anna", heard(0), purpose="verification", actor="door")
    galleries.erase("acme", "staff", "anna", actor="officer")
    return galleries


def test_the_ledger_says_who_did_what(store: Galleries) -> None:
    lines = store.ledger("acme")

    assert [(line.actor, line.action) for line in lines] == [
        ("key", "gallery.create"),
        ("reception", "speaker.create"),
        ("reception", "consent.give"),
        ("reception", "reference.add"),
        ("door", "voice.verify"),
        ("officer", "erase.speaker"),
    ]
    assert lines[4].details["purpose"] == "verification"
    assert store.ledger("acme", after=4, limit=1) == lines[4:5]
    assert "anna" not in repr(lines)


def cut(lines: Lines) -> Lines:
    return [line for line in lines if line.seq != 3]


def swap(lines: Lines) -> Lines:
    return [replace(lines[1], seq=3), replace(lines[2], seq=2), lines[0], *lines[3:]]


def change(lines: Lines) -> Lines:
    return [replace(line, actor="nobody") if line.seq == 2 else line for line in lines]


def rehash(lines: Lines) -> Lines:
    """Forge a line with a hash that fits it, as somebody could who has the database and not the key."""
    from gallery.ledger import _hash

    fields = {name: getattr(lines[-1], name) for name in LedgerEntry.__slots__[:-2]} | {"actor": "nobody"}
    return [*lines[:-1], LedgerEntry(**fields, hash=_hash(fields), signature=lines[-1].signature)]


@pytest.mark.parametrize("forge", [cut, swap, change, rehash])
def test_a_ledger_that_was_tampered_with_is_not_whole(
    store: Galleries, forge: Callable[[Lines], Lines]
) -> None:
    lines = list(store.ledger("acme"))
    assert verify_ledger(lines, public_key=store.public_key).whole

    assert verify_ledger(forge(lines), public_key=store.public_key).problems


def test_a_ledger_without_its_end_is_found_out_by_a_receipt_and_by_a_remembered_line(
    store: Galleries,
) -> None:
    lines, receipts = store.ledger("acme"), store.receipts("acme").receipts
    head = (lines[-1].seq, lines[-1].hash)

    assert verify_ledger(lines, receipts, public_key=store.public_key, head=head).whole
    assert verify_ledger(lines[:-1], receipts, public_key=store.public_key).problems
    assert verify_ledger(lines[:-1], public_key=store.public_key, head=head).problems


def test_a_receipt_that_was_changed_is_not_genuine(store: Galleries) -> None:
    (receipt,) = store.receipts("acme").receipts
    forged: ErasureReceipt = replace(receipt, removed={**receipt.removed, "references": 2})

    check = verify_ledger(store.ledger("acme"), [forged], public_key=store.public_key)

    assert check.problems == (f"Receipt {receipt.erasure_id}: the signature is not that of its content.",)


def test_every_tenant_has_a_ledger_of_its_own(store: Galleries) -> None:
    store.create("other", "staff", actor="key")

    assert [line.seq for line in store.ledger("other")] == [1]
    assert store.verify_ledger("other").whole
    assert store.verify_ledger("nobody") == verify_ledger([], public_key=store.public_key)


def test_the_ledger_says_when_a_gallery_requires_no_consent(galleries: Galleries) -> None:
    galleries.update("acme", "staff", GalleryPolicy(require_consent=False), actor="key")
    galleries.put_speaker("acme", "staff", "anna", actor="key")
    galleries.enrol("acme", "staff", "anna", heard(0), actor="key")

    lines = galleries.ledger("acme")

    assert lines[1].details == {"require_consent": False}
    assert lines[-1].details["consent_required"] is False

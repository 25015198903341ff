"""Text that PostgreSQL cannot hold is refused by both stores alike, not by an error of the database."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from voices import CONSENT, SPACE, heard

from gallery.galleries import Galleries
from voxgraph.errors import InvalidEmbedding, InvalidOptions, NotFound

BAD = "a\0b"
ASK: dict[str, tuple[type[Exception], Callable[[Galleries], object]]] = {
    "gallery": (NotFound, lambda store: store.show("acme", BAD)),
    "speaker": (NotFound, lambda store: store.speaker("acme", "staff", BAD)),
    "page": (InvalidOptions, lambda store: store.speakers("acme", "staff", after=BAD)),
    "decision": (NotFound, lambda store: store.review("acme", "staff", BAD, "confirmed", actor="key")),
    "reference": (
        NotFound, lambda store: store.remove_reference("acme", "staff", "anna", BAD, actor="key"),
    ),
    "space": (
        InvalidEmbedding,
        lambda store: store.enrol(
            "acme", "staff", "anna", heard(0, 25.0, replace(SPACE, model=BAD)), actor="key"
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASK)
def test_a_text_with_a_zero_is_refused(galleries: Galleries, name: str) -> None:
    galleries.put_speaker("acme", "staff", "anna", consent=CONSENT, actor="key")
    error, ask = ASK[name]

    with pytest.raises(error):
        ask(galleries)


def test_a_purpose_with_a_zero_leaves_the_ledger_whole(galleries: Galleries) -> None:
    galleries.identify("acme", "staff", [heard(0)], purpose=BAD, actor="key")

    assert galleries.verify_ledger("acme").whole

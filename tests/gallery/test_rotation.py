"""A new master key: everything stays readable, the old key reads nothing, and no kill in between matters."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from killed_galleries import Fuse
from voices import CONSENT, MASTER_KEY, Clock, heard

from gallery import keys, rotation
from gallery.galleries import Galleries
from gallery.ledger import ROTATION, verify_ledger
from gallery.rotation import rotate_master_key
from voxgraph.errors import GalleryUnavailable, SpeakerOptedOut
from voxgraph.results import Decision

Open = Callable[..., Galleries]
NEW_KEY = "a7" * 32
KEY, NEXT = "VOXGRAPH_GALLERY_KEY", "VOXGRAPH_GALLERY_NEW_KEY"
POINTS = range(1, 400, 3)
"""Statements, commits and files before and after which a rotation is killed."""
SPEAKERS = {"anna": 0, "bob": 1, "cleo": 2}


def fill(store: Galleries) -> None:
    store.create("acme", "staff", actor="key")
    for name, voice in SPEAKERS.items():
        store.put_speaker("acme", "staff", name, display_name=name.title(), consent=CONSENT, actor="key")
        content = name.encode()
        assert store.enrol("acme", "staff", name, heard(voice), content=content, actor="key").accepted
    store.opt_out("acme", "staff", "dora", actor="key")
    store.put_speaker("acme", "staff", "gone", consent=CONSENT, actor="key")
    store.erase("acme", "staff", "gone", actor="key")
    store.create("other", "staff", actor="key")


def check(store: Galleries) -> None:
    """See that nothing was lost."""
    for name, voice in SPEAKERS.items():
        info = store.speaker("acme", "staff", name)
        assert (info.display_name, info.references, info.consent) == (name.title(), 1, CONSENT)
        again = store.enrol("acme", "staff", name, heard(voice), content=name.encode(), actor="key")
        assert again.repeated
        (answer,) = store.identify("acme", "staff", [heard(voice)], actor="key")
        assert (answer.decision, answer.speaker) == (Decision.MATCH, name)
    assert store.show("acme", "staff").speakers["opted_out"] == 1
    with pytest.raises(SpeakerOptedOut):
        store.put_speaker("acme", "staff", "dora", consent=CONSENT, actor="key")
    for tenant in ("acme", "other"):
        assert store.verify_ledger(tenant).problems == ()


@pytest.fixture
def chosen(state: str | Path, monkeypatch: pytest.MonkeyPatch) -> str | Path:
    """A store whose old and new key are in variables."""
    monkeypatch.setenv(KEY, MASTER_KEY)
    monkeypatch.setenv(NEXT, NEW_KEY)
    return state


def subjects(store: Galleries) -> set[str]:
    with store._store.read() as transaction:
        return set(transaction.connection.exec_driver_sql("SELECT subject FROM speakers").scalars())


def test_the_new_key_reads_everything_and_the_old_one_nothing(
    chosen: str | Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    fill(store)
    before, receipts, noted = subjects(store), store.receipts("acme").receipts, store.public_key

    assert rotate_master_key(chosen) == len(SPEAKERS)

    with pytest.raises(GalleryUnavailable, match="not the one"):
        opened()
    monkeypatch.setenv(KEY, NEW_KEY)
    store = opened()
    check(store)
    # Who has the old key and the database cannot even find out whether somebody is enrolled.
    assert not before & subjects(store)
    # The key that somebody has noted in the beginning verifies the ledger still.
    assert store.public_key != noted
    lines = store.ledger("acme")
    for key in (noted, store.public_key):
        assert verify_ledger(lines, receipts, public_key=key).whole
    store.opt_in("acme", "staff", "dora", actor="key")
    store.put_speaker("acme", "staff", "dora", consent=CONSENT, actor="key")
    assert store.reapply_erasures() == 0


def test_a_data_key_is_in_no_file_as_the_old_key_wrapped_it(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    store = Galleries(folder)
    fill(store)
    with store._store.keys._database.read() as connection:
        rows = connection.exec_driver_sql("SELECT wrapped FROM data_keys").scalars()
        wrapped = [bytes(each) for each in rows]
    store.close()
    old = (folder / "master.key").read_text()

    rotate_master_key(folder)

    content = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert [each for each in wrapped if each in content] == []
    assert old.encode() not in content
    assert not (folder / "master.key.new").exists()
    assert (folder / "master.key").stat().st_mode & 0o777 == 0o600
    store = Galleries(folder)
    check(store)
    store.close()


def test_who_has_the_store_open_with_the_old_key_is_told_and_changes_nothing(
    chosen: str | Path, opened: Open
) -> None:
    store = opened()
    fill(store)

    rotate_master_key(chosen)

    for ask in (
        lambda: store.speaker("acme", "staff", "anna"),
        lambda: store.put_speaker("acme", "staff", "emil", consent=CONSENT, actor="key"),
        lambda: store.enrol("acme", "staff", "anna", heard(0), actor="key"),
        lambda: store.identify("acme", "staff", [heard(0)], actor="key"),
    ):
        with pytest.raises(GalleryUnavailable, match="started again with the new one"):
            ask()


def rotate_in_fork(state: str | Path, point: int) -> bool:
    """Change the key in a process that is killed at a point; return whether it was."""
    if (child := os.fork()) == 0:
        Fuse(point).light()
        os.replace = Fuse(point)._around(os.replace)
        rotate_master_key(state)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_change_of_the_key_that_is_killed_anywhere_can_be_completed(
    chosen: str | Path, opened: Open, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    store = opened()
    fill(store)
    store.close()
    old, step = MASTER_KEY, 2 if isinstance(chosen, Path) else 5
    for number, point in enumerate(POINTS[::step]):
        new = f"{number + 1:064x}"
        monkeypatch.setenv(KEY, old)
        monkeypatch.setenv(NEXT, new)
        was_killed = rotate_in_fork(chosen, point)

        rotate_master_key(chosen)

        monkeypatch.setenv(KEY, new)
        store = Galleries(chosen, clock=clock)
        check(store)
        rotations = [line for line in store.ledger("acme") if line.action == ROTATION]
        assert len(rotations) == number + 1
        store.close()
        old = new
        if not was_killed:
            break
    assert not was_killed, "there are points behind the last one"
    assert number > 5


def test_a_store_between_two_keys_is_opened_by_neither(
    chosen: str | Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    fill(store)
    monkeypatch.setattr(rotation, "_wrap_anew", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rotate_master_key(chosen)

    for key in (MASTER_KEY, NEW_KEY):
        monkeypatch.setenv(KEY, key)
        with pytest.raises(GalleryUnavailable, match="rotate-key"):
            opened()
    monkeypatch.undo()
    monkeypatch.setenv(KEY, MASTER_KEY)
    monkeypatch.setenv(NEXT, "ff" * 32)
    with pytest.raises(GalleryUnavailable, match="a new one"):
        rotate_master_key(chosen)


def test_keys_that_are_missing_or_one_are_refused(chosen: str | Path, opened: Open) -> None:
    fill(opened())
    os.environ[NEXT] = MASTER_KEY
    with pytest.raises(GalleryUnavailable, match="a new one"):
        rotate_master_key(chosen)
    del os.environ[NEXT]
    with pytest.raises(GalleryUnavailable, match=NEXT):
        rotate_master_key(chosen)
    os.environ[NEXT] = "too short"
    with pytest.raises(GalleryUnavailable, match="hexadecimal"):
        rotate_master_key(chosen)


def test_a_ledger_whose_past_was_written_by_somebody_else_is_noticed(
    chosen: str | Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    fill(store)
    rotate_master_key(chosen)
    monkeypatch.setenv(KEY, NEW_KEY)
    store = opened()
    lines = store.ledger("acme")
    end = next(number for number, line in enumerate(lines, 1) if line.action == ROTATION)
    stranger = keys.MasterKey(b"s" * 32).public_key

    assert not verify_ledger(lines, public_key=stranger).whole
    # A past that ends with a line which only names the key, and which that key has never signed.
    assert not verify_ledger(lines[:end], public_key=store.public_key).whole
    assert not verify_ledger([*lines[1:]], public_key=store.public_key).whole

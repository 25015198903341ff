"""What was erased is nowhere any more, and nothing brings it back."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from postgres import database
from voices import CONSENT, MASTER_KEY, Clock, heard, vector

from gallery.erasure_list import ErasureList
from gallery.galleries import Galleries
from gallery.keys import MasterKey
from gallery.ledger import verify_ledger
from gallery.tables import vectors
from voxgraph.errors import Erased, GalleryUnavailable, NotFound, SpeakerOptedOut
from voxgraph.results import Decision

Open = Callable[..., Galleries]
NAME = "Annabella Vogelsang-Tremblay"


def enrol(galleries: Galleries, speaker: str = "anna", voice: int = 0) -> None:
    galleries.put_speaker("acme", "staff", speaker, display_name=NAME, consent=CONSENT, actor="key")
    assert galleries.enrol("acme", "staff", speaker, heard(voice), actor="key").accepted


def files_with(folder: Path, content: bytes) -> list[str]:
    return [
        path.name for path in sorted(folder.rglob("*")) if path.is_file() and content in path.read_bytes()
    ]


def sealed_vector(galleries: Galleries) -> bytes:
    with galleries._store.read() as transaction:
        return bytes(transaction.execute(sa.select(vectors.c.sealed)).scalar_one())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path, clock: Clock) -> Galleries:
    galleries = Galleries(folder, clock=clock)
    galleries.create("acme", "staff", actor="key")
    return galleries


def test_neither_vector_nor_name_nor_id_is_readable_in_any_file(store: Galleries, folder: Path) -> None:
    enrol(store, "anna@example.org")

    for secret in (vector(0).tobytes(), NAME.encode(), b"anna@example.org"):
        assert files_with(folder, secret) == []


def test_after_an_erasure_not_even_the_sealed_vector_and_its_key_are_in_any_file(
    store: Galleries, folder: Path
) -> None:
    enrol(store)
    sealed = sealed_vector(store)
    with store._store.keys._database.read() as connection:
        wrapped = bytes(connection.exec_driver_sql("SELECT wrapped FROM data_keys").scalar_one())
    assert files_with(folder, sealed)
    assert files_with(folder, wrapped)

    store.erase("acme", "staff", "anna", actor="key")

    assert files_with(folder, sealed) == []
    assert files_with(folder, wrapped) == []


@pytest.mark.parametrize("restored_files", [["gallery.db"], ["gallery.db", "keys.db"]])
@pytest.mark.parametrize("erase", ["erase", "opt_out", "withdraw_consent", "delete"])
def test_a_restored_backup_does_not_bring_a_person_back(
    erase: str, restored_files: list[str], store: Galleries, folder: Path, clock: Clock
) -> None:
    enrol(store)
    enrol(store, "bob", voice=1)
    store.close()
    shutil.copytree(folder, backup := folder.parent / "backup")
    store = Galleries(folder, clock=clock)
    arguments = ("acme", "staff") if erase == "delete" else ("acme", "staff", "anna")
    getattr(store, erase)(*arguments, actor="key")
    store.close()

    for name in restored_files:
        shutil.copy(backup / name, folder / name)
    restored = Galleries(folder, clock=clock)

    if erase == "delete":
        assert restored.list("acme").galleries == ()
    else:
        assert [each.external_id for each in restored.speakers("acme", "staff").speakers] == ["bob"]
        (answer,) = restored.identify("acme", "staff", [heard(0)], actor="key")
        assert answer.decision is Decision.UNKNOWN
        assert restored.verify("acme", "staff", "bob", heard(1), actor="key").decision is Decision.MATCH
    if erase == "opt_out":
        with pytest.raises(SpeakerOptedOut):
            restored.put_speaker("acme", "staff", "anna", consent=CONSENT, actor="key")
    assert restored.verify_ledger("acme").problems == ()
    assert restored.reapply_erasures() == 0


def test_a_restored_backup_keeps_who_came_again_after_the_erasure(
    store: Galleries, folder: Path, clock: Clock
) -> None:
    enrol(store)
    store.erase("acme", "staff", "anna", actor="key")
    enrol(store, voice=2)
    store.close()
    shutil.copy(folder / "gallery.db", folder / "backup")

    shutil.copy(folder / "backup", folder / "gallery.db")
    restored = Galleries(folder, clock=clock)

    assert restored.verify("acme", "staff", "anna", heard(2), actor="key").decision is Decision.MATCH


def test_a_restored_backup_does_not_bring_back_who_was_merged_and_erased(
    store: Galleries, folder: Path, clock: Clock
) -> None:
    enrol(store)
    enrol(store, "annie")
    store.close()
    shutil.copy(folder / "gallery.db", folder / "backup")
    store = Galleries(folder, clock=clock)
    store.merge("acme", "staff", into="anna", source="annie", actor="key")
    store.erase("acme", "staff", "anna", actor="key")
    store.close()

    shutil.copy(folder / "backup", folder / "gallery.db")

    assert Galleries(folder, clock=clock).speakers("acme", "staff").speakers == ()


def test_a_backup_cannot_be_read_without_the_list_of_erasures_either(
    store: Galleries, folder: Path, clock: Clock
) -> None:
    """The key of an erased speaker is gone, and no backup of the galleries holds keys."""
    enrol(store)
    store.close()
    shutil.copy(folder / "gallery.db", folder / "backup")
    store = Galleries(folder, clock=clock)
    store.erase("acme", "staff", "anna", actor="key")
    store.close()

    shutil.copy(folder / "backup", folder / "gallery.db")
    (folder / "erasures.jsonl").unlink()
    restored = Galleries(folder, clock=clock)

    assert restored.speakers("acme", "staff").speakers == ()
    (answer,) = restored.identify("acme", "staff", [heard(0)], actor="key")
    assert (answer.decision, answer.candidates) == (Decision.UNKNOWN, ())


def test_the_list_of_erasures_may_be_elsewhere_and_is_written_again_if_it_is_lost(
    tmp_path: Path, clock: Clock
) -> None:
    elsewhere = tmp_path / "elsewhere.jsonl"
    store = Galleries(tmp_path / "state", erasures=elsewhere, clock=clock)
    store.create("acme", "staff", actor="key")
    enrol(store)
    store.erase("acme", "staff", "anna", actor="key")
    store.close()
    listed = list(ErasureList(elsewhere))
    elsewhere.unlink()

    Galleries(tmp_path / "state", erasures=elsewhere, clock=clock).close()

    assert list(ErasureList(elsewhere)) == listed
    assert not (tmp_path / "state" / "erasures.jsonl").exists()
    assert elsewhere.stat().st_mode & 0o077 == 0


def test_a_line_that_a_crash_cut_off_hides_no_other_line(store: Galleries, folder: Path) -> None:
    path = folder / "erasures.jsonl"
    for name in ("anna", "bob"):
        enrol(store, name)
        store.erase("acme", "staff", name, actor="key")
        with path.open("ab") as file:
            file.write(b'{"erasure_id": "era_cut')

    assert len(list(ErasureList(path))) == 2


def test_nothing_is_erased_if_the_list_cannot_be_written(store: Galleries, folder: Path) -> None:
    enrol(store)
    (folder / "erasures.jsonl").mkdir()

    with pytest.raises(GalleryUnavailable, match="list of erasures"):
        store.erase("acme", "staff", "anna", actor="key")

    assert store.speaker("acme", "staff", "anna").references == 1


def test_a_receipt_is_signed_and_names_the_line_of_the_ledger(galleries: Galleries) -> None:
    enrol(galleries)
    galleries.verify("acme", "staff", "anna", heard(0), actor="key")

    receipt = galleries.erase("acme", "staff", "anna", actor="key")

    assert receipt.removed == {"references": 1, "vectors": 1, "decisions": 1}
    assert galleries.receipts("acme").receipts == (receipt,)
    lines = galleries.ledger("acme")
    assert verify_ledger(lines, [receipt], public_key=galleries.public_key).whole
    line = lines[receipt.ledger_seq - 1]
    assert (line.action, line.details["erasure_id"]) == ("erase.speaker", receipt.erasure_id)
    other = MasterKey(os.urandom(32)).public_key
    assert not verify_ledger(lines, [receipt], public_key=other).whole


def test_who_is_erased_while_the_recording_is_heard_is_not_enrolled(galleries: Galleries) -> None:
    enrol(galleries)
    expected = galleries.speaker("acme", "staff", "anna").id
    galleries.erase("acme", "staff", "anna", actor="key")
    galleries.put_speaker("acme", "staff", "anna", consent=CONSENT, actor="key")

    with pytest.raises(Erased):
        galleries.enrol("acme", "staff", "anna", heard(0), expecting=expected, actor="key")

    assert galleries.references("acme", "staff", "anna") == ()


def test_who_is_erased_between_the_gates_and_the_transaction_is_not_enrolled(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gallery import enrolment

    check = enrolment.check_enrolment

    def erase_meanwhile(*arguments: object) -> object:
        worker = threading.Thread(
            target=galleries.erase, args=("acme", "staff", "anna"), kwargs={"actor": "k"}
        )
        worker.start()
        worker.join()
        return check(*arguments)  # type: ignore[arg-type]

    enrol(galleries)
    monkeypatch.setattr(enrolment, "check_enrolment", erase_meanwhile)
    with pytest.raises(Erased):
        galleries.enrol("acme", "staff", "anna", heard(0), actor="key")

    with pytest.raises(NotFound):
        galleries.speaker("acme", "staff", "anna")
    assert galleries.show("acme", "staff").references == 0


def test_an_erased_reference_no_longer_counts(galleries: Galleries) -> None:
    enrol(galleries)
    enrolled = galleries.enrol("acme", "staff", "anna", heard(0), actor="key").reference
    assert enrolled is not None

    receipt = galleries.remove_reference("acme", "staff", "anna", enrolled.id, actor="key")

    assert receipt.removed["vectors"] == 1
    speaker = galleries.speaker("acme", "staff", "anna")
    assert (speaker.references, speaker.speech_s) == (1, 25.0)
    with pytest.raises(NotFound):
        galleries.remove_reference("acme", "staff", "anna", enrolled.id, actor="key")


def test_a_person_may_be_enrolled_again_after_opting_in(galleries: Galleries) -> None:
    galleries.opt_out("acme", "staff", "anna", actor="key")
    assert galleries.speaker("acme", "staff", "anna").state == "opted_out"
    with pytest.raises(SpeakerOptedOut):
        enrol(galleries)

    galleries.opt_in("acme", "staff", "anna", actor="key")

    enrol(galleries)


def test_a_reader_holds_no_erasure_up_and_the_next_write_cleans_up_behind_it(
    store: Galleries, folder: Path
) -> None:
    enrol(store)
    sealed = sealed_vector(store)
    with store._store.read() as reader:
        reader.execute(sa.select(vectors)).all()
        started = time.monotonic()
        store.erase("acme", "staff", "anna", actor="key")
        assert time.monotonic() - started < 10

    store.create("acme", "another", actor="key")

    assert files_with(folder, sealed) == []


def test_a_restored_dump_of_postgres_brings_nobody_back_where_the_list_is_set(
    postgres_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
    monkeypatch.setenv("VOXGRAPH_GALLERY_ERASURES", str(tmp_path / "erasures.jsonl"))
    with database(postgres_url, "original") as url:
        store = Galleries(url, clock=clock)
        store.create("acme", "staff", actor="key")
        enrol(store)
        store.close()
        with database(postgres_url, "restored", template="original") as restored_url:
            store = Galleries(url, clock=clock)
            store.erase("acme", "staff", "anna", actor="key")
            store.close()

            restored = Galleries(restored_url, clock=clock)

            assert restored.speakers("acme", "staff").speakers == ()
            assert restored.verify_ledger("acme").whole
            restored.close()


@pytest.mark.parametrize("listed", [None, ""])
def test_a_store_in_postgres_is_refused_until_somebody_says_where_the_list_is(
    listed: str | None, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
    monkeypatch.delenv("VOXGRAPH_GALLERY_ERASURES", raising=False)
    if listed is not None:
        monkeypatch.setenv("VOXGRAPH_GALLERY_ERASURES", listed)

    with pytest.raises(GalleryUnavailable, match="VOXGRAPH_GALLERY_ERASURES names a file, or is 'none'"):
        Galleries(postgres_database)


def test_a_store_in_postgres_without_a_list_is_a_choice_that_is_logged(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
    monkeypatch.setenv("VOXGRAPH_GALLERY_ERASURES", "none")

    Galleries(postgres_database).close()

    assert "brings erased people back" in caplog.text


def test_a_backup_that_is_restored_while_the_store_is_open_is_corrected_by_the_next_sweep(
    postgres_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
    monkeypatch.setenv("VOXGRAPH_GALLERY_ERASURES", str(tmp_path / "erasures.jsonl"))
    with database(postgres_url, "open_all_the_time") as url:
        store = Galleries(url, clock=clock)
        store.create("acme", "staff", actor="key")
        enrol(store)
        store._store.close()
        with database(postgres_url, "backup", template="open_all_the_time"):
            store.erase("acme", "staff", "anna", actor="key")
            store._store.close()
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                connection.execute("DROP DATABASE open_all_the_time WITH (FORCE)")
                connection.execute("CREATE DATABASE open_all_the_time TEMPLATE backup")

            assert [each.external_id for each in store.speakers("acme", "staff").speakers] == ["anna"]
            store.sweep()

            assert store.speakers("acme", "staff").speakers == ()
            store.close()

"""Opening, migrating and refusing stores, several replicas and many threads on one."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from voices import CONSENT, MASTER_KEY, OTHER_SPACE, SPACE, Clock, heard

from gallery.database import Database
from gallery.galleries import Galleries
from gallery.tables import key_metadata, metadata
from voxgraph.errors import Conflict, GalleryUnavailable, InvalidEmbedding, InvalidOptions, NotFound
from voxgraph.results import Decision, GalleryPolicy

Open = Callable[..., Galleries]


def put(galleries: Galleries, speaker: str, tenant: str = "acme") -> None:
    galleries.put_speaker(tenant, "staff", speaker, consent=CONSENT, actor="key")


def test_the_migrations_make_the_tables_of_the_code_and_remove_them_again(state: str | Path) -> None:
    if isinstance(state, Path):
        state.mkdir()
    database = Database(state / "gallery.db" if isinstance(state, Path) else state)
    tables = [metadata] if isinstance(state, Path) else [metadata, key_metadata]

    for _ in range(2):
        database.migrate()
        with database.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), tables) == []
        database.migrate("base")
        with database.read() as connection:
            assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    database.close()


def test_a_store_keeps_everything_when_it_is_opened_again(opened: Open) -> None:
    store = opened()
    store.create("acme", "staff", GalleryPolicy(ttl_days=7), actor="key")
    put(store, "anna")
    store.enrol("acme", "staff", "anna", heard(0, 25.0, SPACE, OTHER_SPACE), actor="key")
    before = store.show("acme", "staff"), store.speaker("acme", "staff", "anna")
    store.close()

    again = opened()

    assert (again.show("acme", "staff"), again.speaker("acme", "staff", "anna")) == before
    assert before[0].spaces == before[1].spaces == (SPACE, OTHER_SPACE)


def test_two_tenants_never_see_each_other(galleries: Galleries) -> None:
    put(galleries, "anna")
    galleries.enrol("acme", "staff", "anna", heard(0), actor="key")
    galleries.create("other", "staff", actor="key")

    assert galleries.speakers("other", "staff").speakers == ()
    (answer,) = galleries.identify("other", "staff", [heard(0)], actor="key")
    assert (answer.decision, answer.candidates) == (Decision.UNKNOWN, ())
    for method in ("speaker", "references"):
        with pytest.raises(NotFound):
            getattr(galleries, method)("other", "staff", "anna")
    with pytest.raises(NotFound):
        galleries.show("third", "staff")
    assert galleries.list("third").galleries == ()


def test_another_replica_sees_what_one_has_changed(opened: Open) -> None:
    first, second = opened(), opened()
    first.create("acme", "staff", actor="key")

    for change in (
        lambda: (put(first, "anna"), first.enrol("acme", "staff", "anna", heard(0), actor="key")),
        lambda: first.patch_speaker("acme", "staff", "anna", {"display_name": "Anna"}, actor="key"),
        lambda: first.erase("acme", "staff", "anna", actor="key"),
    ):
        change()
        asked = [store.identify("acme", "staff", [heard(0)], actor="key")[0] for store in (first, second)]
        assert asked[0].speaker == asked[1].speaker
        assert asked[0].display_name == asked[1].display_name
        assert first.revision("acme", "staff") == second.revision("acme", "staff")


def test_many_threads_of_two_replicas_lose_nothing(opened: Open) -> None:
    stores = [opened(), opened()]
    stores[0].create("acme", "staff", actor="key")
    errors: list[BaseException] = []

    def work(number: int) -> None:
        store, name = stores[number % 2], f"speaker {number}"
        try:
            put(store, name)
            for _ in range(3):
                assert store.enrol("acme", "staff", name, heard(number), actor="key").accepted
                assert store.identify("acme", "staff", [heard(number)], actor="key")[0].speaker == name
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert [each.references for each in stores[0].speakers("acme", "staff").speakers] == [3] * 8
    assert stores[1].verify_ledger("acme").whole


def test_enrolments_of_one_speaker_at_once_are_checked_one_after_the_other(opened: Open) -> None:
    """Two voices that disagree cannot both become the speaker."""
    stores = [opened(), opened()]
    stores[0].create("acme", "staff", actor="key")
    put(stores[0], "anna")
    answers = []

    def enrol(number: int) -> None:
        answers.append(stores[number].enrol("acme", "staff", "anna", heard(number), actor="key").accepted)

    threads = [threading.Thread(target=enrol, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [False, True]


def test_speakers_are_listed_in_pages(galleries: Galleries) -> None:
    names = [f"speaker {number}" for number in range(5)]
    for name in names:
        put(galleries, name)
    found, after = [], None
    for _ in range(3):
        page = galleries.speakers("acme", "staff", after=after, limit=2)
        found += [each.external_id for each in page.speakers]
        after = page.after

    assert (found, after) == (names, None)
    with pytest.raises(InvalidOptions):
        galleries.speakers("acme", "staff", limit=0)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_galleries_are_listed_in_pages_by_name(galleries: Galleries, limit: int) -> None:
    for name in ("b", "a_1", "c.2", "a-1"):
        galleries.create("acme", name, actor="key")
    galleries.create("other", "z", actor="key")
    pages = [galleries.list("acme", limit=limit)]
    while (after := pages[-1].after) is not None:
        pages.append(galleries.list("acme", after=after, limit=limit))

    assert {len(page.galleries) for page in pages[:-1]} <= {limit}
    assert 1 <= len(pages[-1].galleries) <= limit
    names = [each.name for page in pages for each in page.galleries]
    assert set(names) == {"a-1", "a_1", "b", "c.2", "staff"}
    assert names == [each.name for each in galleries.list("acme").galleries]
    for wrong in (0, 1001):
        with pytest.raises(InvalidOptions):
            galleries.list("acme", limit=wrong)
    with pytest.raises(InvalidOptions):
        galleries.list("acme", after="\0")


def test_receipts_are_listed_in_pages_the_oldest_first(galleries: Galleries) -> None:
    for name in ("anna", "bob", "cleo", "dora"):
        put(galleries, name)
    receipts = [galleries.erase("acme", "staff", name, actor="key") for name in ("bob", "anna")]
    galleries.opt_out("acme", "staff", "zoe", actor="key")
    galleries.opt_in("acme", "staff", "zoe", actor="key")  # Is in the table, without a receipt.
    receipts += [galleries.erase("acme", "staff", name, actor="key") for name in ("cleo", "dora")]
    found, after = [], None
    while True:
        page = galleries.receipts("acme", after=after, limit=2)
        found.append(page.receipts)
        if (after := page.after) is None:
            break

    assert [len(each) for each in found] == [2, 2, 1]
    listed = [each for some in found for each in some]
    assert listed[:2] + listed[3:] == receipts
    assert listed[2].kind == "opt_out"
    assert galleries.receipts("acme").receipts == tuple(listed)
    assert galleries.receipts("acme", limit=5).after is None
    assert galleries.receipts("other").receipts == ()
    with pytest.raises(InvalidOptions):
        galleries.receipts("acme", limit=1001)


def test_a_speaker_whose_spaces_are_all_gone_is_stale(opened: Open) -> None:
    store = opened()
    store.create("acme", "staff", actor="key")
    put(store, "anna")
    store.enrol("acme", "staff", "anna", heard(0), actor="key")

    renewed = opened(encoders=[(OTHER_SPACE.model, OTHER_SPACE.revision)])

    assert renewed.speaker("acme", "staff", "anna").state == "stale"
    answer = renewed.verify("acme", "staff", "anna", heard(0, 25.0, OTHER_SPACE), actor="key")
    assert answer.decision is Decision.MODEL_MISMATCH


def test_a_speaker_can_be_given_another_id_that_nobody_has(galleries: Galleries) -> None:
    put(galleries, "anna")
    put(galleries, "bob")
    with pytest.raises(Conflict):
        galleries.patch_speaker("acme", "staff", "anna", {"external_id": "bob"}, actor="key")
    with pytest.raises(InvalidOptions):
        galleries.patch_speaker("acme", "staff", "anna", {"state": "active"}, actor="key")

    changed = galleries.patch_speaker(
        "acme", "staff", "anna", {"external_id": "4711", "metadata": {"room": 3}}, actor="key"
    )

    assert (changed.external_id, changed.metadata) == ("4711", {"room": 3})
    with pytest.raises(NotFound):
        galleries.speaker("acme", "staff", "anna")


def test_a_gallery_is_created_once(galleries: Galleries) -> None:
    assert galleries.create("acme", "staff", actor="key") == galleries.show("acme", "staff")
    with pytest.raises(Conflict):
        galleries.create("acme", "staff", GalleryPolicy(ttl_days=1), actor="key")
    with pytest.raises(InvalidOptions):
        galleries.create("acme", "no/slash", actor="key")


@pytest.mark.parametrize("name", ["", "x" * 129, "line\nbreak"])
def test_an_id_that_no_speaker_can_have_is_refused(name: str, galleries: Galleries) -> None:
    with pytest.raises(InvalidOptions):
        put(galleries, name)


def test_vectors_that_are_none_are_refused(galleries: Galleries) -> None:
    put(galleries, "anna")
    good = heard(0)
    for broken in (0.0, float("nan")):
        good.samples[0].vector[:] = broken
        with pytest.raises(InvalidEmbedding):
            galleries.enrol("acme", "staff", "anna", good, actor="key")
        with pytest.raises(InvalidEmbedding):
            galleries.identify("acme", "staff", [good], actor="key")


def test_the_export_has_everything_and_vectors_only_if_asked(galleries: Galleries) -> None:
    put(galleries, "anna")
    galleries.enrol("acme", "staff", "anna", heard(0), actor="key")
    galleries.verify("acme", "staff", "anna", heard(0), actor="key")

    answer = galleries.export("acme", "staff", "anna", actor="key")

    assert answer["speaker"]["external_id"] == "anna"
    assert answer["speaker"]["consent"]["purposes"] == list(CONSENT.purposes)
    assert [len(answer[name]) for name in ("references", "decisions")] == [1, 1]
    assert "vectors" not in answer
    assert len(galleries.export("acme", "staff", "anna", vectors=True, actor="key")["vectors"]) == 1


def test_decisions_are_forgotten_after_the_days_of_the_policy(galleries: Galleries, clock: Clock) -> None:
    put(galleries, "anna")
    galleries.enrol("acme", "staff", "anna", heard(0), actor="key")
    assert galleries.verify("acme", "staff", "anna", heard(0), actor="key").decision_id is not None
    clock.advance(days=31)

    galleries.sweep()

    assert galleries.export("acme", "staff", "anna", actor="key")["decisions"] == []
    galleries.update("acme", "staff", GalleryPolicy(journal_days=0), actor="key")
    assert galleries.verify("acme", "staff", "anna", heard(0), actor="key").decision_id is None


def test_a_store_is_refused_without_its_master_key(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    Galleries(folder).close()
    key = (folder / "master.key").read_text()
    (folder / "master.key").unlink()
    with pytest.raises(GalleryUnavailable, match=r"master\.key is missing"):
        Galleries(folder)
    assert not (folder / "master.key").exists()

    for content, mode, message in (
        (MASTER_KEY, 0o600, "not the one"),
        ("no key", 0o600, "hexadecimal"),
        (key, 0o644, "0600"),
    ):
        (folder / "master.key").write_text(content)
        os.chmod(folder / "master.key", mode)
        with pytest.raises(GalleryUnavailable, match=message):
            Galleries(folder)


def test_everything_in_the_folder_is_private(tmp_path: Path) -> None:
    store = Galleries(tmp_path / "state")
    store.create("acme", "staff", actor="key")
    store.opt_out("acme", "staff", "anna", actor="key")

    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}

    assert {"gallery.db", "keys.db", "master.key", "erasures.jsonl"} <= modes.keys()
    assert [name for name, mode in modes.items() if mode & 0o077] == []


@pytest.mark.parametrize(
    "state", ["postgresql://nobody@/none?host=/nowhere", "postgresql://[", "mysql://host/name"]
)
def test_a_store_that_cannot_be_reached_is_unavailable_and_tells_no_password(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
    monkeypatch.setenv("VOXGRAPH_GALLERY_ERASURES", str(tmp_path / "erasures.jsonl"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GalleryUnavailable) as caught:
        Galleries(state)

    assert "nobody" not in caught.value.detail

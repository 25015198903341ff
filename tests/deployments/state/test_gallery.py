"""The deployment that keeps galleries: threads, allowed methods, counts, the sweep, lost replicas."""

import asyncio
import secrets
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from postgres import PostgresServer, own_server
from ray.exceptions import ActorDiedError
from voices import MASTER_KEY, SPACE, heard

from deployments.state import gallery as module
from deployments.state import local_gallery
from deployments.state.gallery import Gallery
from deployments.state.gallery_client import READING_METHODS, GalleryClient
from deployments.state.local_gallery import METHODS, LocalGallery
from gallery.galleries import Galleries
from voxgraph.errors import DeadlineExceeded, GalleryUnavailable, NotFound
from voxgraph.options import ModelKey
from voxgraph.results import (
    Evidence,
    GalleryPage,
    GalleryPolicy,
    ModelInfo,
    Observation,
    Space,
    VoiceSample,
)

NONE = GalleryPage((), None)


def test_every_allowed_method_is_one_of_the_galleries() -> None:
    assert [name for name in METHODS if not hasattr(Galleries, name)] == []
    assert not METHODS & {"close", "sweep", "reapply_erasures"}


async def test_work_is_done_in_threads_and_nothing_else_may_be_called() -> None:
    class Recording:
        def list(self, tenant: str) -> str:
            return f"{tenant} in {threading.current_thread().name}"

    local = LocalGallery(Recording())  # type: ignore[arg-type]

    assert "MainThread" not in await local.ask("list", "default")
    with pytest.raises(GalleryUnavailable):
        await local.ask("close")


async def test_decisions_are_counted_without_names(tmp_path: Path) -> None:
    kept = Gallery(str(tmp_path))
    counted: list[tuple[str, str]] = []
    kept._metrics = type("Counting", (), {"record": lambda _, *pair: counted.append(pair)})()  # type: ignore[assignment]
    sample = VoiceSample(Space("m", "r", 8), np.ones(8, np.float32))
    voice = Observation((sample,), Evidence(speech_s=5.0))
    await kept.ask("create", ("t", "g"), {"actor": "a"})

    await kept.ask("identify", ("t", "g", [voice, voice]), {"actor": "a"})
    await kept.ask("verify", ("t", "g", "nobody", voice), {"actor": "a"})
    with pytest.raises(NotFound):
        await kept.ask("show", ("other", "g"), {})

    assert counted == [("identify", "unknown"), ("identify", "unknown"), ("verify", "not_enrolled")]


async def test_who_has_expired_is_swept_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, sweeps = Gallery(str(tmp_path)), []

    def sweep() -> int:
        sweeps.append(1)
        raise OSError("the disk is full")

    monkeypatch.setattr(module, "SWEEP_INTERVAL_S", 0.01)
    monkeypatch.setattr(kept._local, "sweep", sweep)
    await kept.reconfigure({})
    while len(sweeps) < 3:
        await asyncio.sleep(0.01)
    for task in kept._tasks:
        task.cancel()


@pytest.mark.parametrize("failure", [ActorDiedError(), DeadlineExceeded("The answer was not ready in time.")])
async def test_a_call_that_may_have_been_done_is_not_repeated(failure: Exception) -> None:
    calls: list[str] = []

    class Response:
        def __await__(self) -> Any:
            raise failure
            yield

        def cancel(self) -> None:
            calls.append("cancelled")

    class Handle:
        class ask:  # noqa: N801
            @staticmethod
            def remote(method: str, _arguments: Any, _options: Any) -> Response:
                calls.append(method)
                return Response()

    with pytest.raises(GalleryUnavailable):
        await GalleryClient(Handle()).ask("enrol", "default")  # type: ignore[arg-type]

    assert calls.count("enrol") == 1


@pytest.mark.parametrize(("method", "options"), [("speakers", {}), ("enrol", {"content": b"hash"})])
async def test_a_call_that_may_be_done_twice_is_repeated(method: str, options: dict[str, Any]) -> None:
    calls: list[str] = []

    class Response:
        def __await__(self) -> Any:
            if len(calls) == 1:
                raise ActorDiedError
            return "done"
            yield

        def cancel(self) -> None:
            calls.append("cancelled")

    class Handle:
        class ask:  # noqa: N801
            @staticmethod
            def remote(method: str, _arguments: Any, _options: Any) -> Response:
                calls.append(method)
                return Response()

    found = await GalleryClient(Handle()).ask(method, "default", **options)  # type: ignore[arg-type]

    assert (found, calls) == ("done", [method, method])


def test_what_only_reads_is_among_the_methods() -> None:
    assert READING_METHODS <= METHODS


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    monkeypatch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
    monkeypatch.setenv("VOXGRAPH_GALLERY_ERASURES", str(tmp_path / "erasures.jsonl"))
    monkeypatch.setattr(local_gallery, "REOPEN_S", 0.0)
    with own_server() as server:
        yield server


async def test_a_database_that_starts_later_or_goes_away_is_opened_when_it_answers(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.stop()
    kept = LocalGallery.open(server.url)
    with pytest.raises(GalleryUnavailable) as caught:
        await kept.ask("list", "acme")
    # Callers learn nothing of the database, the log says what is wrong.
    assert "socket" not in caught.value.detail
    assert "socket" in caplog.text
    assert type(caught.value) is GalleryUnavailable

    server.start()
    assert await kept.ask("list", "acme") == NONE
    for _ in range(2):
        server.stop()
        with pytest.raises(GalleryUnavailable):
            await kept.ask("list", "acme")
        server.start()
        # The connections of the pool are all dead, and none of them costs an answer.
        assert await asyncio.gather(*(kept.ask("list", "acme") for _ in range(8))) == [NONE] * 8
    kept.close()


async def test_while_one_question_tries_to_open_the_store_the_others_fail_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []

    def opening() -> Galleries:
        tried.append(1)
        raise GalleryUnavailable("The server does not answer.")

    kept = LocalGallery(None, opening)
    answers = await asyncio.gather(*(kept.ask("list", "acme") for _ in range(8)), return_exceptions=True)

    assert {type(each) for each in answers} == {GalleryUnavailable}
    assert len(tried) == 1


def test_a_password_that_is_refused_is_said_at_the_start_and_not_told(server: PostgresServer) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE keeper LOGIN PASSWORD 'the-right-one'")
    server.ask_for_passwords()

    wrong = secrets.token_hex()

    with pytest.raises(GalleryUnavailable, match="password authentication failed for user") as caught:
        LocalGallery.open(server.url.replace("postgres@", f"keeper:{wrong}@"))

    assert wrong not in "".join(traceback.format_exception(caught.value))


async def test_whose_encoder_is_gone_is_stale_before_anybody_has_asked_anything(tmp_path: Path) -> None:
    with Galleries(tmp_path / "state") as store:
        store.create("acme", "staff", GalleryPolicy(require_consent=False), actor="key")
        store.put_speaker("acme", "staff", "anna", actor="key")
        store.enrol("acme", "staff", "anna", heard(0), actor="key")

    class Answer:
        def __init__(self, revision: str) -> None:
            self._info = ModelInfo("speaker_voxceleb", SPACE.model, revision, "hub", "cpu", 1)

        def __await__(self) -> Any:
            yield from ()
            return self._info

    class Handle:
        """Of an encoder with a revision."""

        def __init__(self, revision: str) -> None:
            self._revision = revision

        def options(self, **_: Any) -> "Handle":
            return self

        @property
        def info(self) -> Any:
            return type("Method", (), {"remote": lambda _: Answer(self._revision)})()

    async def state_with(revision: str) -> str:
        handles: Any = {ModelKey.SPEAKER_VOXCELEB: Handle(revision)}
        kept = Gallery(str(tmp_path / "state"), handles)
        found = await kept.ask("speaker", ("acme", "staff", "anna"), {})
        kept._local.close()
        state: str = found.state
        return state

    assert await state_with(SPACE.revision) == "active"
    assert await state_with("another") == "stale"


@pytest.mark.parametrize("method", ["calibrate", "duplicates", "verify_ledger"])
async def test_long_work_is_done_one_after_the_other_and_holds_up_nobody(method: str) -> None:
    running: list[str] = []
    most: list[int] = []
    go_on = threading.Event()

    class Slow:
        def long(self, tenant: str) -> str:
            running.append(tenant)
            most.append(len(running))
            go_on.wait(20)
            running.remove(tenant)
            return tenant

        calibrate = duplicates = verify_ledger = long

        def list(self, tenant: str) -> str:
            return tenant

    local = LocalGallery(Slow())  # type: ignore[arg-type]
    asked = [asyncio.create_task(local.ask(method, f"tenant {number}")) for number in range(40)]
    await asyncio.sleep(0.1)

    assert await asyncio.wait_for(local.ask("list", "acme"), 10) == "acme"
    go_on.set()

    assert len(await asyncio.gather(*asked)) == 40
    assert max(most) == 1

"""The deployment that keeps galleries: threads, allowed methods, counts, the sweep, lost replicas."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.exceptions import ActorDiedError

from deployments.state import gallery as module
from deployments.state.gallery import Gallery
from deployments.state.gallery_client import READING_METHODS, GalleryClient
from deployments.state.local_gallery import METHODS, LocalGallery
from gallery.galleries import Galleries
from voxgraph.errors import DeadlineExceeded, GalleryUnavailable, NotFound
from voxgraph.results import Evidence, Observation, Space, VoiceSample


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
    assert kept._sweeping is not None
    kept._sweeping.cancel()


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

"""The state of the graph without Ray: counts, caches and the janitor."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launched import ROOT

from config.settings import ENGINE_CACHE, GraphStateTunables
from deployments.state import graph_state
from deployments.state.graph_state import REPORT_EXPIRY_S, CacheSize, GraphState
from deployments.state.janitor import Janitor
from voxgraph.graph import CacheInfo, Count, Counts

HOUR_S = 3600.0


def old(path: Path, content: str = "12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    long_ago = time.time() - 48 * HOUR_S
    os.utime(path, (long_ago, long_ago))
    return path


NO_CACHE = CacheSize(0, 0, 0)


async def test_reports_of_replicas_add_up() -> None:
    state = GraphState()
    await state.report("one", Counts({"/a": Count(2, 1, 0.5)}, {"accent": Count(1, 0, 0.25)}), NO_CACHE)
    await state.report("two", Counts({"/a": Count(1, 0, 0.5), "/b": Count(1, 1, 1.0)}, {}), NO_CACHE)

    counts = await state.counts()

    assert counts.requests == {"/a": Count(3, 1, 1.0), "/b": Count(1, 1, 1.0)}
    assert counts.inferences == {"accent": Count(1, 0, 0.25)}


async def test_the_caches_of_all_replicas_are_summed_until_a_replica_is_gone() -> None:
    now = 0.0
    state = GraphState(clock=lambda: now)
    generation = await state.report("one", Counts(cache_hits=3, cache_misses=2), NO_CACHE)
    for replica, entries in (("one", 2), ("two", 5)):
        await state.report(replica, Counts(cache_misses=1), CacheSize(generation, entries, 100))

    assert await state.cache_info() == CacheInfo(hits=3, misses=4, maxsize=100, currsize=7)

    now = REPORT_EXPIRY_S / 2
    await state.report("two", Counts(), CacheSize(generation, 6, 100))
    now = REPORT_EXPIRY_S + 1.0
    assert (await state.cache_info()).currsize == 6


async def test_clearing_the_cache_resets_its_statistics_but_no_request_counts() -> None:
    state = GraphState()
    counts = Counts({"/a": Count(1, 0, 0.5)}, {}, cache_hits=1, cache_misses=1)
    old = await state.report("one", counts, NO_CACHE)
    await state.report("one", Counts(), CacheSize(old, 1, 100))

    before, new = await state.clear_cache()

    assert (before.hits, before.misses, before.currsize) == (1, 1, 1)
    assert new > old
    assert await state.cache_info() == CacheInfo(0, 0, 100, 0)
    assert await state.report("one", Counts(), CacheSize(old, 1, 100)) == new
    assert (await state.cache_info()).currsize == 0
    assert (await state.counts()).requests == counts.requests


async def test_a_restarted_state_has_a_later_generation() -> None:
    first = await GraphState().report("one", Counts(), NO_CACHE)

    assert await GraphState().report("one", Counts(), NO_CACHE) > first


def test_old_files_are_deleted_and_new_ones_kept(tmp_path: Path) -> None:
    gone = [old(tmp_path / "a.wav"), old(tmp_path / "deep" / "er" / "b.wav", "123")]
    kept = tmp_path / "new.wav"
    kept.write_text("new")
    janitor = Janitor(tmp_path)
    assert janitor.info().file_count == 3

    assert janitor.clean(24 * HOUR_S) == (2, 8)

    assert not any(path.exists() for path in gone)
    assert kept.exists()
    assert (janitor.stats.total_cleanups, janitor.stats.files_deleted, janitor.stats.bytes_freed) == (1, 2, 8)


def test_links_are_never_followed(tmp_path: Path) -> None:
    outside = old(tmp_path / "outside" / "precious.wav")
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "to_folder").symlink_to(outside.parent)
    (folder / "to_file.wav").symlink_to(outside)
    (folder / "to_nothing").symlink_to(folder / "nothing")
    for name in ("to_folder", "to_file.wav", "to_nothing"):
        os.utime(folder / name, (0, 0), follow_symlinks=False)
    janitor = Janitor(folder)

    janitor.clean(24 * HOUR_S)

    assert outside.read_text() == "12345"
    assert not (folder / "to_file.wav").is_symlink()
    assert not (folder / "to_nothing").is_symlink()
    assert (folder / "to_folder").is_symlink()


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = old(tmp_path / "outside" / "precious.wav")
    (tmp_path / "uploads").symlink_to(outside.parent)
    janitor = Janitor(tmp_path / "uploads")

    assert janitor.clean(0) == (0, 0)

    assert outside.exists()
    assert not janitor.info().exists


@pytest.mark.parametrize("folder", [None, Path("/no/such/folder")])
def test_without_a_folder_there_is_nothing_to_do(folder: Path | None) -> None:
    assert Janitor(folder).clean(0) == (0, 0)
    assert not Janitor(folder).info().exists


LEVELS = 3_000


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder with `LEVELS` folders in each other, an old file in the first and in the last."""
    top = tmp_path / "deep"
    top.mkdir()
    old(top / "a.wav")
    directory = os.open(top, os.O_RDONLY)
    for _ in range(LEVELS):
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    descriptor = os.open("b.wav", os.O_CREAT | os.O_WRONLY, dir_fd=directory)
    os.utime(descriptor, (0, 0))
    os.close(descriptor)
    os.close(directory)
    yield top
    # What pytest does to old folders calls itself for each level, too.
    subprocess.run(["rm", "-r", str(top)], check=True)


def test_a_tree_of_any_depth_is_cleaned_with_few_descriptors(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, most, open_folder, close = 0, 0, os.open, os.close

    def counted_open(*arguments: Any, **named: Any) -> int:
        nonlocal opened, most
        descriptor = open_folder(*arguments, **named)
        opened, most = opened + 1, max(most, opened + 1)
        return descriptor

    def counted_close(descriptor: int) -> None:
        nonlocal opened
        opened -= 1
        close(descriptor)

    monkeypatch.setattr(os, "open", counted_open)
    monkeypatch.setattr(os, "close", counted_close)

    assert Janitor(deep).info().file_count == 2
    assert Janitor(deep).clean(24 * HOUR_S) == (2, 5)

    assert Janitor(deep).info().file_count == 0
    assert opened == 0
    assert most == 3


def test_a_tree_of_many_branches_is_cleaned_as_a_whole(tmp_path: Path) -> None:
    folders = [tmp_path / first / second for first in "abc" for second in "abc"]
    gone = [old(folder / "a.wav") for folder in (tmp_path, *folders)]

    assert Janitor(tmp_path).clean(24 * HOUR_S) == (10, 50)

    assert not any(path.exists() for path in gone)


def test_a_folder_that_is_moved_while_it_is_walked_leads_to_no_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, outside, unlink = tmp_path / "uploads", tmp_path / "outside", os.unlink
    precious = [old(outside / folder / "precious.wav") for folder in "abc"]
    for folder in "abc":
        old(uploads / folder / f"{folder}.wav")

    def unlink_and_move(name: str, *, dir_fd: int) -> None:
        unlink(name, dir_fd=dir_fd)
        # The parent of the folder that is walked is outside now, where others have the same names.
        (uploads / Path(name).stem).rename(outside / "moved")

    monkeypatch.setattr(os, "unlink", unlink_and_move)

    assert Janitor(uploads).clean(24 * HOUR_S) == (1, 5)

    assert all(path.exists() for path in precious)
    assert len(list(uploads.iterdir())) == 2


@pytest.mark.parametrize(
    "name", ["root", "code", "above the code", "home", "hub", "in the hub", "engines", "a link"]
)
def test_a_folder_whose_files_are_needed_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "HF_HOME", ENGINE_CACHE):
        (tmp_path / variable / "below").mkdir(parents=True)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    (tmp_path / "link").symlink_to(ROOT)
    folders = {
        "root": Path("/"), "code": ROOT, "above the code": ROOT.parent, "home": tmp_path / "HOME",
        "hub": tmp_path, "in the hub": tmp_path / "HF_HOME" / "below", "engines": tmp_path / ENGINE_CACHE,
        "a link": tmp_path / "link",
    }  # fmt: skip

    with pytest.raises(ValueError, match="would be deleted there"):
        Janitor(folders[name])


def test_a_folder_within_the_home_or_the_service_is_accepted_and_a_relative_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    for folder in (tmp_path / "uploads", ROOT / "uploads"):
        assert not Janitor(folder).info().exists
    with pytest.raises(ValueError, match="absolute"):
        Janitor(Path("uploads"))


async def test_the_janitor_survives_a_pass_that_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[BaseException | None] = []
    gone, clean, failures = old(tmp_path / "a.wav"), Janitor.clean, [RecursionError("Too deep."), OSError()]

    def clean_or_fail(janitor: Janitor, max_age_s: float) -> tuple[int, int]:
        if failures:
            raise failures.pop(0)
        return clean(janitor, max_age_s)

    monkeypatch.setattr(Janitor, "clean", clean_or_fail)
    monkeypatch.setattr(graph_state.log, "exception", lambda *_: logged.append(sys.exception()))
    state = GraphState()
    tunables = GraphStateTunables(uploads_folder=str(tmp_path)).model_copy(
        update={"cleanup_interval_s": 0.02}
    )
    monkeypatch.setattr(GraphStateTunables, "model_validate", lambda _: tunables)
    await state.reconfigure({})

    for _ in range(100):
        if not gone.exists():
            break
        await asyncio.sleep(0.01)

    assert not gone.exists()
    assert [type(error) for error in logged] == [RecursionError, OSError]
    monkeypatch.undo()
    await state.reconfigure({})


async def test_the_janitor_cleans_a_folder_that_is_configured_later(tmp_path: Path) -> None:
    gone = old(tmp_path / "a.wav")
    state = GraphState()
    await state.reconfigure({"uploads_folder": str(tmp_path), "cleanup_interval_s": 3600.0})

    for _ in range(100):
        if not gone.exists():
            break
        await asyncio.sleep(0.01)

    status = await state.cleanup_status()
    assert not gone.exists()
    assert status.stats.files_deleted == 1
    await state.reconfigure({})

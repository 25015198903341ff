"""The state of the graph without Ray: counts, caches and the janitor."""

import asyncio
import os
import time
from pathlib import Path

import pytest

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
    os.utime(folder / "to_file.wav", (0, 0), follow_symlinks=False)
    janitor = Janitor(folder)

    janitor.clean(24 * HOUR_S)

    assert outside.read_text() == "12345"
    assert not (folder / "to_file.wav").is_symlink()


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

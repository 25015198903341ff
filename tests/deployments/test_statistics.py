"""Counts and the janitor, without Ray."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from deployments.janitor import Janitor
from deployments.statistics import Count, Counts, Statistics

HOUR_S = 3600.0


def old(path: Path, content: str = "12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    long_ago = time.time() - 48 * HOUR_S
    os.utime(path, (long_ago, long_ago))
    return path


async def test_what_replicas_report_adds_up() -> None:
    statistics = Statistics()
    await statistics.add(Counts({"/a": Count(2, 1, 0.5)}, {"accent": Count(1, 0, 0.25)}))
    await statistics.add(Counts({"/a": Count(1, 0, 0.5), "/b": Count(1, 1, 1.0)}, {}))

    counts = await statistics.counts()

    assert counts.requests == {"/a": Count(3, 1, 1.0), "/b": Count(1, 1, 1.0)}
    assert counts.inferences == {"accent": Count(1, 0, 0.25)}


def test_old_files_go_and_new_ones_stay(tmp_path: Path) -> None:
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


def test_a_link_in_the_place_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
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


async def test_the_janitor_makes_its_rounds_in_the_folder_it_is_given_later(tmp_path: Path) -> None:
    gone = old(tmp_path / "a.wav")
    statistics = Statistics()
    await statistics.reconfigure({"uploads_folder": str(tmp_path), "cleanup_interval_s": 3600.0})

    for _ in range(100):
        if not gone.exists():
            break
        await asyncio.sleep(0.01)

    status = await statistics.cleanup_status()
    assert not gone.exists()
    assert status.stats.files_deleted == 1
    await statistics.reconfigure({})

"""A process that is killed in the middle of an operation leaves the store as before or as after it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from launched import ROOT
from postgres import database
from voices import MASTER_KEY

SUPPORT = ROOT / "tests" / "support"


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder in memory where there is one: who is killed loses nothing that was only written."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield name


@pytest.fixture
def own_database(postgres_url: str) -> Iterator[str]:
    with database(postgres_url, "kills") as url:
        yield url


@pytest.mark.parametrize(("state", "kills"), [("folder", 200), ("own_database", 15)])
def test_who_is_killed_leaves_no_half_profile_and_a_whole_ledger(
    state: str, kills: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = os.pathsep.join((str(ROOT), str(SUPPORT)))
    listed = {"VOXGRAPH_GALLERY_ERASURES": str(tmp_path / "erasures.jsonl")} if state != "folder" else {}
    finished = subprocess.run(
        [sys.executable, SUPPORT / "killed_galleries.py", request.getfixturevalue(state), str(kills), "1"],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": path, "VOXGRAPH_GALLERY_KEY": MASTER_KEY, **listed},
    )  # fmt: skip

    assert finished.returncode == 0, finished.stderr[-4000:]
    outcome = json.loads(finished.stdout)
    assert outcome["problems"] == []
    assert sum(outcome["killed"].values()) == kills
    # Kills before and after the commit: otherwise the test would see only one of the two outcomes.
    assert 0 < sum(outcome["done"].values()) < kills

"""The page of results."""

from pathlib import Path

import pytest

from benchmarks.results import RESULTS, keep, publish, sections


def test_a_measurement_takes_the_place_of_the_one_before_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    keep("First", "| a |\n| 1 |", path)
    keep("Second", "text\n", path)
    before = path.read_text()

    keep("First", "| a |\n| 2 |", path)

    assert path.read_text() == before.replace("| 1 |", "| 2 |")
    assert list(sections(path.read_text())) == ["First", "Second"]


def test_what_is_not_kept_is_printed_only(capsys: pytest.CaptureFixture[str]) -> None:
    before = RESULTS.read_bytes()

    publish("First", "something", write=False)

    assert "something" in capsys.readouterr().out
    assert RESULTS.read_bytes() == before

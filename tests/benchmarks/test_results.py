"""The page of results."""

from pathlib import Path

import pytest

from benchmarks.results import publish, sections


def test_a_measurement_takes_the_place_of_the_one_before_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    publish("First", "| a |\n| 1 |", write=True, path=path)
    publish("Second", "text\n", write=True, path=path)
    before = path.read_text()

    publish("First", "| a |\n| 2 |", write=True, path=path)

    assert path.read_text() == before.replace("| 1 |", "| 2 |")
    assert list(sections(path.read_text())) == ["First", "Second"]


def test_what_is_not_kept_is_printed_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish("First", "something", write=False, path=tmp_path / "RESULTS.md")

    assert "something" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())

"""The sections of RESULTS.md."""

from pathlib import Path

import pytest

from benchmarks.results import RESULTS, publish, sections, write_section


def test_writing_a_section_replaces_it_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_section("First", "| a |\n| 1 |", path)
    write_section("Second", "text\n", path)
    before = path.read_text()

    write_section("First", "| a |\n| 2 |", path)

    assert path.read_text() == before.replace("| 1 |", "| 2 |")
    assert list(sections(path.read_text())) == ["First", "Second"]


def test_publish_without_write_only_prints(capsys: pytest.CaptureFixture[str]) -> None:
    before = RESULTS.read_bytes()

    publish("First", "something", write=False)

    assert "something" in capsys.readouterr().out
    assert RESULTS.read_bytes() == before

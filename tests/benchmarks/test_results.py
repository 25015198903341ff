"""The page of results."""

from pathlib import Path

from benchmarks.results import keep, sections


def test_a_measurement_takes_the_place_of_the_one_before_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    keep("First", "| a |\n| 1 |", path)
    keep("Second", "text\n", path)
    before = path.read_text()

    keep("First", "| a |\n| 2 |", path)

    assert path.read_text() == before.replace("| 1 |", "| 2 |")
    assert list(sections(path.read_text())) == ["First", "Second"]

"""The command line: what it refuses before any work, and what it leaves behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import served

from config.settings import GraphSettings
from deployments.api.app import create_app
from evaluation.__main__ import main
from voxgraph.keys import add_key


@pytest.fixture
def url(analyzer) -> Iterator[str]:
    """Serve the fake graph over a socket, as another process would find it."""
    with served(create_app(analyzer, GraphSettings())) as address:
        yield address


def test_the_report_is_printed_and_written(folder, url: str, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"

    status = main([str(folder.path), "--url", url, "--out", str(out), "--only", "language", "--limit", "4"])

    printed = capsys.readouterr()
    assert status == 0
    assert (out / "report.md").read_text() in printed.out
    assert "12 recordings" not in printed.out
    assert "11 recordings of" in printed.out  # 4 real ones of two sources, and the 3 generated ones
    assert "recordings" in printed.err


def test_a_graph_that_asks_for_a_key_is_given_that_of_the_environment(
    folder, analyzer, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "evaluation", ("ask",), None, None)
    arguments = [str(folder.path), "--out", str(tmp_path / "out"), "--only", "language", "--limit", "1"]

    with served(create_app(analyzer, GraphSettings(keys_file=str(keys)))) as url:
        refused = main([*arguments, "--url", url])
        monkeypatch.setenv("VOXGRAPH_API_KEY", key)
        answered = main([*arguments, "--url", url])

    assert (refused, answered) == (1, 0)
    assert key not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--url or --config is required"),
        (["--url", "http://x", "--config", "y"], "not allowed with"),
        (["--url", "http://x", "--only", "mood"], "questions are language, speaker"),
        (["--url", "http://x", "--only", ","], "questions are language, speaker"),
        (["--url", "http://x", "--limit", "0"], "at least 1"),
        (["--url", "http://x", "--cut", "nan"], "more than 0"),
    ],
)
def test_a_wrong_option_is_refused_with_what_would_be_right(
    folder, capsys, options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(folder.path), *options])

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_wrong_labels_end_the_evaluation_before_the_graph_is_asked(folder, capsys) -> None:
    folder.rows[0]["sex"] = "x"
    folder.write()

    assert main([str(folder.path), "--url", "http://127.0.0.1:9"]) == 1
    assert "line 2: sex is 'x'" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "no address", "ftp://127.0.0.1"])
def test_an_address_without_a_graph_is_told_in_a_sentence(folder, capsys, tmp_path: Path, url: str) -> None:
    assert main([str(folder.path), "--url", url, "--out", str(tmp_path / "out")]) == 1

    assert "does not answer" in capsys.readouterr().err


def test_a_folder_for_the_report_that_cannot_be_written_is_told_before_the_work(folder, capsys) -> None:
    inside_a_file = folder.path / "0_0.wav" / "out"

    assert main([str(folder.path), "--url", "http://127.0.0.1:9", "--out", str(inside_a_file)]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_missing_folder_is_told(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path / "none"), "--url", "http://x"]) == 1
    assert "is not a folder" in capsys.readouterr().err

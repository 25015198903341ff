"""The curl lines of docs/formats.md run as they are written, and answer what the page says."""

import csv
import io
import json
import re
import shlex
import subprocess

import pytest
from curl_lines import FORMAT_LINES
from launched import ROOT, Launched

from voxgraph.formats import FORMATS

PAGE = (ROOT / "docs" / "formats.md").read_text()


STREAMED = ("application/x-ndjson", "text/event-stream; charset=utf-8")


def run(service: Launched, line: str) -> tuple[str, str]:
    """Return the media type and the text of the answer to a curl line."""
    command = shlex.split(line.replace("http://127.0.0.1:8000", service.url))
    done = subprocess.run(
        [*command, "--silent", "--show-error", "--fail-with-body", "--write-out", "\n%{content_type}"],
        cwd=ROOT, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    text, _, media_type = done.stdout.decode().rpartition("\n")
    assert done.returncode == 0, text + done.stderr.decode()
    return media_type, text


def test_the_page_lists_every_format_with_its_media_type() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w/.-]+)` \|", PAGE, re.MULTILINE)

    assert rows == [(name, written.media_type.partition(";")[0]) for name, written in FORMATS.items()]


@pytest.mark.parametrize("line", FORMAT_LINES)
def test_every_curl_line_answers_its_format(service: Launched, line: str) -> None:
    (row,) = [row for row in PAGE.splitlines() if f"`{line}`" in row]
    media_type, text = run(service, line)

    promised = [*(written.media_type for written in FORMATS.values()), *STREAMED]
    assert media_type in promised
    if named := re.match(r"\| `(\w+)` \|", row):
        assert media_type == FORMATS[named[1]].media_type
    assert text.strip()


def test_every_block_of_python_runs_as_it_is_written(
    service: Launched, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(ROOT)

    printed = []
    with service.driver():
        for block in blocks:
            exec(compile(block, "a page", "exec"), {})
            printed.append(capsys.readouterr().out)

    assert len(blocks) == 2
    assert "Ann" in printed[0]
    assert "DiarizationResult(" in printed[1]


def test_the_files_hold_the_turns_of_the_json_answer(service: Launched) -> None:
    as_json = "curl -F file=@tests/data/conversation.flac http://127.0.0.1:8000/diarize"
    turns = json.loads(run(service, as_json)[1])["diarization_results"]
    _, text = run(service, f"{as_json}?format=csv")

    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(float(row["start"]), float(row["end"]), row["speaker"]) for row in rows] == [
        (turn["start"], turn["end"], turn["speaker"]) for turn in turns
    ]

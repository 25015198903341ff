"""Commands about recordings: what they take, ask and write, and how they end."""

import csv
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_analyzer import FakeAnalyzer
from recordings import DATA

from voxgraph import ModelKey, SpeakerCount
from voxgraph.cli import asking, tables, writers
from voxgraph.cli.progress import Display
from voxgraph.client import failures
from voxgraph.errors import ModelUnavailable, Overloaded
from voxgraph.options import ChunkOptions

VOICE, OTHER = DATA / "voice.wav", DATA / "other.wav"
COMMANDS = ["analyze", "language", "accent", "deepfake", "diarize", "embed"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two recordings, one of them in a folder, and files that are none."""
    inner = tmp_path / "calls" / "monday"
    inner.mkdir(parents=True)
    shutil.copy(VOICE, tmp_path / "calls" / "a.wav")
    shutil.copy(OTHER, inner / "b.WAV")
    (tmp_path / "calls" / "notes.txt").write_text("not a recording")
    (tmp_path / "calls" / ".hidden.wav").write_bytes(b"hidden")
    return tmp_path / "calls"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the client try again without a pause."""
    monkeypatch.setattr(failures, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(failures, "retry_after_s", lambda _response: None)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_gets_a_line_of_json_with_the_name_of_the_recording(command, name: str) -> None:
    done = command(name, VOICE)

    (answer,) = lines(done.out)
    assert (done.status, done.err, answer["file"]) == (0, "", str(VOICE))
    assert answer["quality"]["duration_s"] == 3.0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("analyze", ["Japanese (ja), 75.0 %", "us 85.7 %", "2, in 3 turns", "2 of 3 chunks", "192 numbers"]),
        ("language", ["Japanese (ja), 75.0 %", "ko 15.0 %"]),
        ("accent", ["us 85.7 %, canada 14.3 %"]),
        ("deepfake", ["AI-generated: 2 of 3 chunks"]),
        ("diarize", ["2, in 3 turns", "SPEAKER_00 1.5 s", "0:00.500    0:02.000    SPEAKER_00"]),
        ("embed", ["192 numbers of LanceaKing/spkrec-ecapa-cnceleb", "chosen by the language ja"]),
    ],
)
def test_people_get_a_table(command, name: str, said: list[str]) -> None:
    done = command(name, VOICE, "--format", "table")

    assert done.status == 0
    assert f"{VOICE}" in done.out
    assert [text for text in said if text not in done.out] == []


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.5, "50.0 %"), (0.0, "0.0 %"), (0.0004, "under 0.1 %"), (0.9996, "over 99.9 %"), (1.0, "over 99.9 %")],
)
def test_a_table_never_claims_certainty(probability: float, text: str) -> None:
    assert tables.percent(probability) == text


def test_a_document_has_the_answers_in_the_order_of_the_recordings(command, folder: Path) -> None:
    one = json.loads(command("language", VOICE, "--json").out)
    many = json.loads(command("language", folder, VOICE, "--format", "json").out)

    assert one["language"] == "ja"
    assert [each["file"] for each in many] == [
        str(folder / "a.wav"), str(folder / "monday" / "b.WAV"), str(VOICE),
    ]  # fmt: skip


def test_standard_input_is_a_recording(command) -> None:
    done = command("language", "-", stdin=VOICE.read_bytes())

    assert (done.status, lines(done.out)[0]["file"]) == (0, "-")


def test_patterns_and_folders_name_their_recordings_once(command, folder: Path) -> None:
    done = command("language", f"{folder}/*.wav", folder / "a.wav", folder)

    assert sorted(each["file"] for each in lines(done.out)) == [
        str(folder / "a.wav"), str(folder / "monday" / "b.WAV"),
    ]  # fmt: skip


def test_a_recording_without_an_answer_does_not_stop_the_others(command, folder: Path) -> None:
    (folder / "c.wav").write_bytes(b"no recording")
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")

    done = command("language", folder)

    failed = {Path(each["file"]).name: each["error"] for each in lines(done.out) if "error" in each}
    assert done.status == 1
    assert len(lines(done.out)) == 4
    assert {name: error["code"] for name, error in failed.items()} == {
        "c.wav": "unsupported_audio", "gone.wav": "unreadable_file",
    }  # fmt: skip
    assert failed["c.wav"]["request_id"]
    assert "gone.wav: The file cannot be read: No such file or directory." in done.err


def test_turns_are_written_as_rttm(command) -> None:
    done = command("diarize", VOICE, "--format", "rttm")

    assert done.out.splitlines()[0].split()[:5] == ["SPEAKER", "voice", "1", "0.500", "1.500"]
    assert command("analyze", VOICE, "--format", "rttm").out == done.out
    assert len(command("diarize", VOICE, OTHER, "-f", "rttm").out.splitlines()) == 6


def test_chunks_are_written_as_a_table_of_numbers(command) -> None:
    rows = list(csv.DictReader(io.StringIO(command("deepfake", VOICE, "--format", "csv").out)))

    assert [row["verdict"] for row in rows] == ["ai_generated", "inconclusive", "ai_generated"]


@pytest.mark.parametrize(
    "format", ["json", "rttm", "vtt", "srt", "csv", "tsv", "textgrid", "audacity", "aud"]
)
def test_every_format_has_a_file_of_its_own(command, folder: Path, format: str) -> None:
    done = command("diarize", folder, "--output_format", format, "--output_dir", folder / "out")

    written = sorted(str(path.relative_to(folder / "out")) for path in (folder / "out").rglob("*.*"))
    assert (done.status, done.out) == (0, "")
    assert [Path(name).with_suffix("") for name in written] == [Path("a"), Path("monday/b")]


def test_what_is_written_already_is_left_out(command, folder: Path, fake: FakeAnalyzer) -> None:
    out = folder / "out"
    command("language", folder / "a.wav", "--output-dir", out)
    (out / "a.json").write_text("from an earlier run")
    fake.waveform = None

    again = command("language", folder / "a.wav", "--output-dir", out, "--skip-existing")

    assert again.status == 0
    assert fake.waveform is None
    assert (out / "a.json").read_text() == "from an earlier run"
    command("language", folder, "--output-dir", out, "--skip-existing")
    assert json.loads((out / "monday" / "b.json").read_text())["language"] == "ja"
    command("language", folder / "a.wav", "--output-dir", out)
    assert json.loads((out / "a.json").read_text())["language"] == "ja"


def test_an_error_leaves_no_file_so_that_the_next_run_asks_again(command, folder: Path) -> None:
    (folder / "c.wav").write_bytes(b"no recording")

    assert command("language", folder, "-o", folder / "out").status == 1
    assert sorted(path.name for path in (folder / "out").rglob("*.*")) == ["a.json", "b.json"]


def test_recordings_of_one_name_have_files_of_their_own(command, tmp_path: Path) -> None:
    for name in ("a/x.wav", "b/x.wav", "a/x.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(VOICE, tmp_path / name)

    command("language", *(tmp_path / name for name in ("a/x.wav", "b/x.wav", "a/x.flac")), "-o", "out")

    assert sorted(os.listdir("out")) == ["x.flac.json", "x.wav-2.json", "x.wav.json"]


def test_options_reach_the_analyzer(command, fake: FakeAnalyzer) -> None:
    command("diarize", VOICE, "--min_speakers", 2, "--max-speakers", 3)
    assert fake.speakers == SpeakerCount(min_speakers=2, max_speakers=3)

    command("deepfake", VOICE, "--chunk-duration", 4, "--overlap", 0)
    assert fake.options == ChunkOptions(4.0, 0.0)

    command("analyze", VOICE, "--tasks", "language,speaker", "--encoder", "voxceleb", "--languages", "en,ko")
    assert (fake.tasks, fake.encoder, fake.languages) == (
        ("language", "speaker"), ModelKey.SPEAKER_VOXCELEB, ("en", "ko"),
    )  # fmt: skip


def test_two_recordings_are_compared(command) -> None:
    table = command("compare", VOICE, OTHER, "--format", "table")
    answer = json.loads(command("compare", VOICE, OTHER, "--json").out)

    assert table.status == 0
    assert "the same speaker: similarity 1.000, threshold 0.250" in table.out
    assert (answer["file"], answer["other_file"]) == (str(VOICE), str(OTHER))
    assert command("compare", VOICE, DATA).status == 2


def test_the_timeline_is_drawn(command, tmp_path: Path) -> None:
    done = command("diarize", VOICE, "--plot", tmp_path / "x.png")

    assert done.status == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert command("diarize", VOICE, "--plot", tmp_path / "x.unknown").status == 2
    assert command("diarize", VOICE, OTHER, "--plot", tmp_path / "x.png").status == 2


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("language",),
        ("language", "nothing.wav"),
        ("language", "*.nothing"),
        ("language", VOICE, "--colour", "red"),
        ("language", VOICE, "--format", "rttm"),
        ("language", VOICE, "--format", "csv", "--json"),
        ("language", VOICE, "--skip-existing"),
        ("language", VOICE, "--format", "table", "--output-dir", "out"),
        ("language", VOICE, "--output-dir", "/proc/nowhere"),
        ("language", VOICE, "--url", "ftp://example.com"),
        ("language", VOICE, "--languages", "klingon"),
        ("diarize", VOICE, OTHER, "--format", "srt"),
        ("diarize", VOICE, "--min-speakers", "3", "--max-speakers", "2"),
        ("analyze", VOICE, "--tasks", "language", "--format", "rttm"),
        ("analyze", VOICE, "--tasks", "karaoke"),
        ("serve", "--karaoke"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_sentence(command, arguments: tuple[object, ...]) -> None:
    done = command(*arguments)

    assert done.status == 2
    assert done.err or "Usage" in done.out
    assert "Traceback" not in done.err


def test_a_server_that_is_not_there_ends_the_run_with_status_3(
    command, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("language", VOICE, OTHER, "--url", "http://127.0.0.1:9")

    assert done.status == 3
    assert "http://127.0.0.1:9 cannot be reached" in done.err


@pytest.mark.usefixtures("hasty")
def test_an_overloaded_server_is_an_error_of_the_recording(
    command, fake: FakeAnalyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "error", Overloaded("Every queue is full."))

    done = command("language", VOICE)

    assert done.status == 1
    assert "Every queue is full." in done.err


def test_ctrl_c_ends_with_status_130(command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asking, "find_inputs", interrupt)

    assert command("language", VOICE).status == 130


def test_nobody_reads_the_answers_any_more(command, monkeypatch: pytest.MonkeyPatch) -> None:
    def close(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(writers.StreamWriter, "write", close)

    done = command("language", VOICE, OTHER)

    assert (done.status, done.err) == (1, "")


def test_progress_is_shown_to_those_who_watch(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(asking, "is_watched", lambda *, quiet: not quiet)

    watched = command("diarize", VOICE, OTHER)
    quiet = command("diarize", VOICE, OTHER, "--quiet")

    assert "recordings" in watched.err
    assert "0 of 2" in watched.err
    assert quiet.err == ""
    assert len(lines(watched.out)) == len(lines(quiet.out)) == 2


def test_the_bar_is_that_of_the_task_furthest_behind() -> None:
    display = Display(1, is_shown=False)
    display.start("x")
    for task, done_s in (("", 0.0), ("deepfake", 8.0), ("diarization", 2.0)):
        display.advance("x", task, done_s, 10.0)

    assert display._progress.tasks[1].completed == 2.0


@pytest.mark.parametrize("format", ["ndjson", "json"])
def test_a_task_without_an_answer_leaves_the_others(command, fake: FakeAnalyzer, format: str) -> None:
    fake.failures = {"accent": ModelUnavailable("Gone.")}
    done = command("analyze", VOICE, "--format", format)
    table = command("analyze", VOICE, "--format", "table")
    fake.failures = {}

    answer = json.loads(done.out)
    assert done.status == table.status == 1
    assert answer["errors"]["accent"]["code"] == "model_unavailable"
    assert answer["language"]["language"] == "ja"
    assert "accent: Gone." in done.err
    assert "no answer: Gone." in table.out

"""The writers of formats, read back by other people's readers."""

import csv
import html
import io
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import webvtt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from praatio import textgrid
from pyannote.database.util import load_rttm

from voxgraph.errors import InvalidOptions
from voxgraph.formats import (
    CHUNK_FORMATS,
    FORMATS,
    MAX_URI_CHARS,
    TURN_FORMATS,
    file_name,
    uri_of,
    write,
    write_chunks,
)
from voxgraph.formats.spans import one_line
from voxgraph.results import DeepfakeChunk, DeepfakeScore, OperatingPoints, Turn

HUNDRED_HOURS = 360_000.0
EXAMPLES = settings(
    max_examples=100, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
NAMES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", " ", "Ann", 'Ann "the voice" B', "a\tb", "a\nb", "00:00:01.000 --> 00:00:02.000", "12", "-->",
         "<v Bob>", "&amp;", "=cmd|' /C calc'!A0", "\u202eevil", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
         "NA", "None", "nan", "<NA>", "WEBVTT", "NOTE", "'", '"', "\ud800", "\x00", "x" * 5000, "\u2028",
         "a_2"]
    ),
)  # fmt: skip
TIMES = st.one_of(
    st.floats(0, HUNDRED_HOURS, allow_nan=False),
    st.builds(lambda whole, part: whole + part, st.integers(0, 7200),
              st.sampled_from([0.0, 0.0005, 0.4995, 0.9994, 0.9995, 0.99951, 0.9999999])),
)  # fmt: skip
LENGTHS = st.one_of(st.sampled_from([1e-9, 0.0004, 0.0005, 0.001, 59.9995]), st.floats(1e-6, 3600))
TURNS = st.lists(
    st.builds(
        lambda start, length, number: Turn(start, start + length, f"SPEAKER_{number:02}"),
        TIMES, LENGTHS, st.integers(0, 3),
    ),
    max_size=8,
)  # fmt: skip
NAMINGS = st.dictionaries(st.sampled_from(["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]), NAMES, max_size=3)
SPOKEN = [Turn(0.5, 2.0, "SPEAKER_00"), Turn(1.75, 1.9, "SPEAKER_01"), Turn(2.5, 3.2504, "SPEAKER_01")]


def expected(turns: list[Turn], names: dict[str, str]) -> list[tuple[int, int, str]]:
    """Return the turns as they are promised: whole milliseconds, never empty, the name in one line."""
    found = []
    for turn in turns:
        start = round(1000 * round(turn.start_s, 3))
        end = round(1000 * round(turn.end_s, 3))
        name = one_line(names.get(turn.speaker, "")) or turn.speaker
        found.append((start, max(end, start + 1), name))
    return sorted(found, key=lambda turn: turn[:2])


def written(turns: list[Turn], format_name: str, names: dict[str, str]) -> str:
    text = write(turns, format_name, uri="meeting", duration_s=10.0, names=names)
    return text.encode().decode()


@EXAMPLES
@given(TURNS, NAMINGS)
def test_pyannote_reads_rttm(
    tmp_path_factory: pytest.TempPathFactory, turns: list[Turn], names: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("rttm") / "meeting.rttm"
    path.write_text(written(turns, "rttm", names))

    found = load_rttm(path)["meeting"] if turns else None
    tracks = [] if found is None else list(found.itertracks(yield_label=True))

    promised = expected(turns, names)
    assert sorted((round(1000 * segment.start), round(1000 * segment.end)) for segment, *_ in tracks) == [
        turn[:2] for turn in promised
    ]
    assert len({label for *_, label in tracks}) == len({name for *_, name in promised})
    assert all(segment.duration > 0 for segment, *_ in tracks)
    assert all(isinstance(label, str) for *_, label in tracks)  # pandas has taken none for a missing value


@EXAMPLES
@given(TURNS, NAMINGS)
def test_webvtt_py_reads_vtt(turns: list[Turn], names: dict[str, str]) -> None:
    cues = webvtt.from_string(written(turns, "vtt", names)).captions

    assert [
        (milliseconds(cue.start), milliseconds(cue.end), html.unescape(cue.voice or "")) for cue in cues
    ] == expected(turns, names)
    assert [html.unescape(cue.text) for cue in cues] == [name for *_, name in expected(turns, names)]


@EXAMPLES
@given(TURNS, NAMINGS)
def test_webvtt_py_reads_srt(turns: list[Turn], names: dict[str, str]) -> None:
    text = written(turns, "srt", names)
    cues = webvtt.from_buffer(io.StringIO(text), format="srt").captions if turns else []

    assert [(milliseconds(cue.start), milliseconds(cue.end)) for cue in cues] == [
        turn[:2] for turn in expected(turns, names)
    ]
    shown = [name.replace("<", "\u2039").replace(">", "\u203a") for *_, name in expected(turns, names)]
    assert [cue.raw_text for cue in cues] == shown


@pytest.mark.parametrize(("name", "dialect"), [("csv", "excel"), ("tsv", "excel-tab")])
@EXAMPLES
@given(turns=TURNS, names=NAMINGS)
def test_a_csv_reader_reads_the_tables(
    name: str, dialect: str, turns: list[Turn], names: dict[str, str]
) -> None:
    text = written(turns, name, names)
    rows = list(csv.DictReader(io.StringIO(text, newline=""), dialect=dialect))

    assert [(float(row["start"]), float(row["end"])) for row in rows] == [
        (start / 1000, end / 1000) for start, end, _ in expected(turns, names)
    ]
    for row, (*_, promised) in zip(rows, expected(turns, names), strict=True):
        assert row["speaker"].removeprefix("'") == promised.removeprefix("'")
        assert row["speaker"][0] not in "=+-@\t\r\uff1d\uff0b\uff0d\uff20"


@EXAMPLES
@given(TURNS, NAMINGS)
def test_praatio_reads_textgrid(
    tmp_path_factory: pytest.TempPathFactory, turns: list[Turn], names: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("grid") / "meeting.TextGrid"
    path.write_text(written(turns, "textgrid", names))

    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")

    promised = expected(turns, names)
    assert grid.maxTimestamp == max([10.0, *(end / 1000 for _, end, _ in promised)])
    speakers = list(dict.fromkeys(name for *_, name in promised))
    assert len(grid.tierNames) == max(1, len(speakers))
    for name, tier in zip(speakers, grid.tiers, strict=False):
        spoken = [(entry.start, entry.end) for entry in tier.entries if entry.label]
        union = joined([turn[:2] for turn in promised if turn[2] == name])
        assert spoken == [(start / 1000, end / 1000) for start, end in union]
        assert tier.entries[0].start == 0
        assert tier.entries[-1].end == grid.maxTimestamp


@EXAMPLES
@given(TURNS, NAMINGS)
def test_audacity_has_three_fields_in_every_line(turns: list[Turn], names: dict[str, str]) -> None:
    lines = [line.split("\t") for line in written(turns, "audacity", names).split("\n")[:-1]]

    assert [(round(1000 * float(start)), round(1000 * float(end)), name) for start, end, name in lines] == (
        expected(turns, names)
    )
    assert all(re.fullmatch(r"\d+\.\d{6}", time) for *times, _ in lines for time in times)


def milliseconds(time: str) -> int:
    hours, minutes, seconds = time.split(":")
    return round(1000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds)))


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that overlap, the slow way."""
    for number, (one, other) in enumerate(pairwise(spans)):
        if other[0] < one[1]:
            return joined([*spans[:number], (one[0], max(one[1], other[1])), *spans[number + 2 :]])
    return spans


def test_the_formats_look_as_their_tools_expect() -> None:
    texts = {name: write(SPOKEN, name, uri="a b", duration_s=4, note="model --> 1") for name in TURN_FORMATS}

    assert texts["rttm"].splitlines()[2] == "SPEAKER a_b 1 2.500 0.750 <NA> <NA> SPEAKER_01 <NA> <NA>"
    assert texts["vtt"].startswith(
        "WEBVTT\n\nNOTE model --&gt; 1\n\n00:00:00.500 --> 00:00:02.000\n<v SPEAKER_00>SPEAKER_00\n\n"
    )
    assert texts["srt"].startswith("1\n00:00:00,500 --> 00:00:02,000\nSPEAKER_00\n\n2\n")
    assert texts["csv"].startswith("start,end,speaker,confidence\r\n0.500,2.000,SPEAKER_00,\r\n")
    assert texts["tsv"].startswith("start\tend\tspeaker\tconfidence\n0.500\t2.000\tSPEAKER_00\t\n")
    assert texts["audacity"].startswith("0.500000\t2.000000\tSPEAKER_00\n")
    assert 'File type = "ooTextFile"' in texts["textgrid"]


def test_names_stand_in_every_format() -> None:
    for name in TURN_FORMATS:
        text = write(SPOKEN, name, uri="a", duration_s=4, names={"SPEAKER_00": "Ann"})
        assert "Ann" in text
        assert "SPEAKER_00" not in text
        assert "SPEAKER_01" in text


def test_a_cell_that_looks_like_a_formula_is_none() -> None:
    names = {"SPEAKER_00": "=HYPERLINK(1)", "SPEAKER_01": "@sum"}
    rows = list(csv.reader(io.StringIO(write(SPOKEN, "csv", uri="a", duration_s=4, names=names))))

    assert [row[2] for row in rows[1:]] == ["'=HYPERLINK(1)", "'@sum", "'@sum"]


def test_quotes_are_doubled_in_a_textgrid() -> None:
    text = write(SPOKEN, "textgrid", uri="a", duration_s=4, names={"SPEAKER_00": 'Ann "x"'})

    assert 'name = "Ann ""x"""\n' in text
    assert 'text = "Ann ""x"""\n' in text


def test_names_that_rttm_would_write_alike_stay_two_speakers() -> None:
    names = {"SPEAKER_00": "Ann B", "SPEAKER_01": "Ann_B"}
    text = write(SPOKEN, "rttm", uri="a", duration_s=4, names=names)

    assert [line.split()[7] for line in text.splitlines()] == ["Ann_B", "Ann_B_2", "Ann_B_2"]


def test_the_verdict_is_the_label_of_a_chunk() -> None:
    points = OperatingPoints(0.5, 0.1)
    chunks = [
        DeepfakeChunk(number, 2.5 * number, 2.5 * number + 5, DeepfakeScore(score, 1 - score, points))
        for number, score in enumerate((0.9, 0.3, 0.05))
    ]

    assert write_chunks(chunks, "csv").splitlines() == [
        "start,end,verdict,ai_generated", "0.000,5.000,ai_generated,0.9000",
        "2.500,7.500,inconclusive,0.3000", "5.000,10.000,no_sign_found,0.0500",
    ]  # fmt: skip
    assert write_chunks(chunks, "audacity").splitlines()[1] == "2.500000\t7.500000\tinconclusive"
    assert set(CHUNK_FORMATS) < set(TURN_FORMATS) < set(FORMATS)


def test_a_format_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="rttm, vtt, srt"):
        write(SPOKEN, "docx", uri="a", duration_s=4)
    with pytest.raises(InvalidOptions, match="csv, tsv, audacity"):
        write_chunks([], "vtt")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("meeting.m4a", "meeting"), ("a/b/c.tar.gz", "c.tar"), (r"C:\calls\Anruf 3.wav", "Anruf 3"),
        ("", "recording"),
        ("...", "recording"), ("../../etc/passwd", "passwd"), ("a\r\nset-cookie: b.wav", "a set-cookie: b"),
        (".wav", "wav"), ("\ud800.wav", "wav"), ("x" * 300 + ".wav", "x" * MAX_URI_CHARS),
    ],
)  # fmt: skip
def test_the_uri_is_the_clean_name_of_the_file(name: str, uri: str) -> None:
    assert uri_of(name) == uri
    assert file_name(uri, "textgrid") == f"{uri}.TextGrid"


def test_twenty_thousand_turns_are_written_in_a_moment() -> None:
    turns = [Turn(1.8 * number, 1.8 * number + 2, f"SPEAKER_{number % 7:02}") for number in range(20_000)]

    for name in TURN_FORMATS:
        assert len(write(turns, name, uri="ten hours", duration_s=36_002)) > 400_000


def test_the_writers_import_only_the_standard_library() -> None:
    folder = Path(sys.modules["voxgraph.formats"].__file__ or "").parent
    imported = {
        found.split(".")[0]
        for path in folder.glob("*.py")
        for found in re.findall(r"^(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
    }

    assert imported - set(sys.stdlib_module_names) == {"voxgraph"}

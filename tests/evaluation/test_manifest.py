"""Labels are read with their types, and every fault is named with its line."""

from pathlib import Path

import pytest

from evaluation.errors import DataError
from evaluation.manifest import Clip, read_manifest


def write(folder: Path, text: str, *files: str) -> Path:
    (folder / "manifest.tsv").write_text(text, encoding="utf-8")
    for name in files or ("a.wav",):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_all_columns_are_read_and_others_are_ignored(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        "file\tstart_s\tduration_s\tsource\tlang\tlocale\tspeaker\tsex\tage\taccent\tus\tlabel\tgenerator\n"
        "a.wav\t1.5\t2\tradio\tEN-gb\tx\tann\tF\t31\tscotland\t0\treal\t\n"
        "b/c.wav\t\t\t\tiw\t\t\t\t\t\t1\tfake\tVITS\n",
        "a.wav", "b/c.wav",
    )  # fmt: skip

    assert read_manifest(folder) == [
        Clip("a.wav", 1.5, 2.0, "radio", "en", "ann", "f", 31, "scotland", False, "real", ""),
        Clip("b/c.wav", lang="he", us=True, label="fake", generator="VITS"),
    ]


def test_a_file_is_the_only_column_that_is_required(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, "\ufefffile\na.wav\n")) == [Clip("a.wav")]


def test_a_line_may_end_before_its_last_empty_cells(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, "file\tlang\tsex\na.wav\tde\n")) == [Clip("a.wav", lang="de")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column `file`; its header is: empty"),
        ("path\tlang\na.wav\ten\n", "no column `file`; its header is: path, lang"),
        ("file,lang\na.wav,en\n", "separated by tabs"),
        ("file\tlang\tlang\na.wav\ten\ten\n", "same column twice: lang"),
        ("file\n", "no line below the header"),
        ("file\tlang\na.wav\ten\tde\n", "line 2: it has more cells than the header"),
        ("file\tlang\n\ten\n", "line 2: file is empty"),
        ("file\nb.wav\n", "line 2: there is no file b.wav"),
        ("file\n../a.wav\n", "line 2: file is '../a.wav'; it must be a path below the folder"),
        ("file\n/etc/hostname\n", "it must be a path below the folder"),
        ("file\tlang\na.wav\t12\n", "line 2: lang is '12'; it must be an ISO 639 code"),
        ("file\tstart_s\na.wav\t-1\n", "start_s is '-1'; it must not be negative"),
        ("file\tstart_s\na.wav\tnan\n", "start_s is 'nan'; it must be a number"),
        ("file\tduration_s\na.wav\t0\n", "duration_s is '0'; it must be more than 0"),
        ("file\tduration_s\na.wav\t1,5\n", "duration_s is '1,5'; it must be a number"),
        ("file\tage\na.wav\t200\n", "age is '200'; it must be years"),
        ("file\tsex\na.wav\tfemale\n", "sex is 'female'; it must be f or m"),
        ("file\tus\na.wav\tyes\n", "us is 'yes'; it must be 0 or 1"),
        ("file\tlabel\na.wav\tspoof\n", "label is 'spoof'; it must be real or fake"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line_and_what_would_be_right(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError) as refused:
        read_manifest(write(tmp_path, text))

    assert message in str(refused.value)


def test_many_faults_are_told_at_once_up_to_a_limit(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        read_manifest(write(tmp_path, "file\tsex\n" + "a.wav\tx\n" * 30))

    assert str(refused.value).count("line ") == 20
    assert "and 10 more" in str(refused.value)


def test_a_missing_manifest_and_one_that_is_no_text_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no manifest\.tsv"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.tsv").write_bytes(b"file\n\xff\xfe.wav\n")
    with pytest.raises(DataError, match="not a table in UTF-8"):
        read_manifest(tmp_path)

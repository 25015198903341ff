"""Manifests of people: what is read, and what is refused before anything is sent."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from voxgraph.client import ManifestLine, ManifestPerson, read_manifest
from voxgraph.errors import InvalidOptions
from voxgraph.results import Consent

HEAD = "speaker,file,display_name,purposes,given_at,expires_at,channel\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


def test_the_lines_of_a_person_are_together_and_say_name_and_consent_once(manifest: Path) -> None:
    text = (
        "a,1.wav,Anna,door; desk,2026-11-28T10:00:00Z,2027-11-28T10:00:00+01:00,\n"
        "b,/tmp/b.wav,,,,,1\n"
        '"a",2.wav,,,,,\n'
    )
    manifest.write_text("\ufeff" + HEAD + text, encoding="utf-8")

    anna, other = read_manifest(manifest)

    consent = Consent(
        ("door", "desk"), datetime(2026, 11, 28, 10, tzinfo=UTC), datetime(2027, 11, 28, 9, tzinfo=UTC)
    )
    assert (anna.speaker, anna.display_name, anna.consent) == ("a", "Anna", consent)
    assert [(each.line, each.file) for each in anna.lines] == [
        (2, manifest.with_name("1.wav")), (4, manifest.with_name("2.wav")),
    ]  # fmt: skip
    assert other == ManifestPerson("b", None, None, (ManifestLine(3, "b", Path("/tmp/b.wav"), channel=1),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column speaker"),
        ("speaker,purposes\n", "no column file"),
        ("speaker,file,concent\na,1.wav,x\n", "no column 'concent'"),
        ("speaker,file,file\na,1.wav,1.wav\n", "twice"),
        ("speaker,file\na\n", "Line 2"),
        ("speaker,file\na,1.wav,more\n", "Line 2"),
        ("speaker,file\na,1.wav\n,2.wav\n", "Line 3 of the manifest has no speaker"),
        ('speaker,file\na,"1.wav\n', "no CSV"),
        (HEAD + "a,1.wav,,door,,,\n", "purposes and given_at"),
        (HEAD + "a,1.wav,,door,yesterday,,\n", "Line 2"),
        (HEAD + "a,1.wav,,door,2026-11-28T10:00:00,,\n", "time zone"),
        (HEAD + "a,1.wav,,door;;desk,2026-11-28T10:00:00Z,,\n", "Line 2"),
        (HEAD + "a,1.wav,,,,,left\n", "channel"),
        (HEAD + "a,1.wav,Anna,,,,\na,2.wav,Bert,,,,\n", "Line 3"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_line(manifest: Path, text: str, said: str) -> None:
    manifest.write_text(text)

    with pytest.raises(InvalidOptions, match=said):
        read_manifest(manifest)


def test_what_is_no_text_is_refused(manifest: Path) -> None:
    manifest.write_bytes(b"speaker,file\n\xff\xfe,1.wav\n")

    with pytest.raises(InvalidOptions):
        read_manifest(manifest)

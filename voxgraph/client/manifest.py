"""Manifests of people to enrol: CSV with one recording a line, read and checked before anything is sent."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from voxgraph.errors import InvalidOptions
from voxgraph.results import Consent

NEEDED = ("speaker", "file")
CONSENT = ("purposes", "given_at", "expires_at", "notice_uri", "notice_sha256", "evidence_uri")
COLUMNS = (*NEEDED, "display_name", *CONSENT, "diarized_speaker", "channel")
BETWEEN_PURPOSES = ";"


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """A recording of a person."""

    line: int
    """Line of the file, from 2 on: the first has the names of the columns."""
    speaker: str
    """External id."""
    file: Path
    display_name: str | None = None
    consent: Consent | None = None
    diarized_speaker: str | None = None
    """Whose voice of several is meant, such as ``SPEAKER_01``."""
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class ManifestPerson:
    """A person with all recordings, in the order of the file."""

    speaker: str
    display_name: str | None
    consent: Consent | None
    lines: tuple[ManifestLine, ...]


def read_manifest(path: str | Path) -> list[ManifestPerson]:
    """Return the people of a manifest, in the order in which they come first.

    The columns are `COLUMNS`, of which `NEEDED` must be there; purposes have `BETWEEN_PURPOSES` between them,
    times are RFC 3339 with a zone, and files are relative to the folder of the manifest. The name and the
    consent of a person may stand in each of the person's lines or in one.

    Raises:
        InvalidOptions: A column or a value is wrong, or two lines of a person say different things.
        OSError: The file cannot be read.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            _check(reader.fieldnames or ())
            lines = [_line(reader.line_num, row, Path(path).parent) for row in reader]
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidOptions(f"The manifest is no CSV file in UTF-8: {error}.") from error
    by_speaker: dict[str, list[ManifestLine]] = {}
    for line in lines:
        by_speaker.setdefault(line.speaker, []).append(line)
    return [_person(speaker, tuple(of_speaker)) for speaker, of_speaker in by_speaker.items()]


def _check(names: object) -> None:
    given = list(names) if isinstance(names, list | tuple) else []
    if missing := [name for name in NEEDED if name not in given]:
        raise InvalidOptions(f"The manifest has no column {missing[0]}.")
    if unknown := [name for name in given if name not in COLUMNS]:
        raise InvalidOptions(f"A manifest has no column {unknown[0]!r}; it has {', '.join(COLUMNS)}.")
    if len(set(given)) < len(given):
        raise InvalidOptions("A column of the manifest is there twice.")


def _line(number: int, row: Mapping[str | None, str | None], folder: Path) -> ManifestLine:
    if None in row or None in row.values():
        raise InvalidOptions(f"Line {number} of the manifest has more or fewer fields than its first line.")
    fields = {str(name): (value or "").strip() for name, value in row.items()}
    if missing := [name for name in NEEDED if not fields[name]]:
        raise InvalidOptions(f"Line {number} of the manifest has no {missing[0]}.")
    channel = fields.get("channel") or None
    if channel is not None and not (channel.isascii() and channel.isdigit()):
        raise InvalidOptions(f"Line {number} of the manifest: a channel is a number from 0 on.")
    return ManifestLine(
        number, fields["speaker"], folder / fields["file"],
        display_name=fields.get("display_name") or None, consent=_consent(number, fields),
        diarized_speaker=fields.get("diarized_speaker") or None,
        channel=None if channel is None else int(channel),
    )  # fmt: skip


def _consent(number: int, fields: Mapping[str, str]) -> Consent | None:
    given = {name: fields[name] for name in CONSENT if fields.get(name)}
    if not given:
        return None
    if "purposes" not in given or "given_at" not in given:
        raise InvalidOptions(f"Line {number} of the manifest: a consent has purposes and given_at.")
    purposes = tuple(each.strip() for each in given.pop("purposes").split(BETWEEN_PURPOSES))
    try:
        times = {
            name: datetime.fromisoformat(given.pop(name))
            for name in ("given_at", "expires_at")
            if name in given
        }
        return Consent(purposes, **times, **given)  # type: ignore[arg-type]
    except ValueError as error:
        raise InvalidOptions(f"Line {number} of the manifest: {error}.") from error
    except InvalidOptions as error:
        raise InvalidOptions(f"Line {number} of the manifest: {error.detail}") from error


def _person(speaker: str, lines: tuple[ManifestLine, ...]) -> ManifestPerson:
    said: dict[str, object] = {}
    for name in ("display_name", "consent"):
        for line in lines:
            value = getattr(line, name)
            if value is not None and said.setdefault(name, value) != value:
                raise InvalidOptions(
                    f"Line {line.line} of the manifest has another {name} than the speaker's lines before it."
                )
    first = {name: said.get(name) for name in ("display_name", "consent")}
    return ManifestPerson(speaker, lines=lines, **first)  # type: ignore[arg-type]

"""Commands about galleries, against the application with a fake analyzer and a real store."""

import csv
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_analyzer import FakeAnalyzer
from served import served
from tone_voices import ANNA, BERT, voice_of, wav_of

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.state.local_gallery import LocalGallery
from gallery.galleries import Galleries
from voxgraph.client import galleries as questions
from voxgraph.keys import read_keys


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an application that keeps galleries; the fixture `command` asks it."""
    fake = FakeAnalyzer()
    fake.voice_of, fake.speech_s = voice_of, 25.0
    with Galleries(tmp_path_factory.mktemp("state")) as galleries:
        fake.gallery = LocalGallery(galleries)
        with served(
            create_app(fake, GraphSettings.model_validate({"decoders": {"processes": 0}}))
        ) as address:
            yield address


@pytest.fixture
def recordings(tmp_path: Path) -> dict[str, str]:
    found = {}
    for name, pitches in {"anna": (ANNA,), "bert": (BERT,), "both": (ANNA, BERT)}.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(wav_of(*pitches, seconds=2.0))
        found[name] = str(path)
    return found


def test_a_person_is_enrolled_recognised_and_erased(command: Any, recordings: dict[str, str]) -> None:
    created = command("gallery", "create", "staff", "--operating-point", "strict", "--spoof-gate", "off")
    command("gallery", "add", "staff", "a-1", "--name", "Anna", "--consent", "door", "--consent", "desk")
    enrolled = command("gallery", "enrol", "staff", "a-1", recordings["anna"])
    claimed = command("gallery", "verify", "staff", "a-1", recordings["anna"], "--purpose", "door")
    other = command("gallery", "verify", "staff", "a-1", recordings["bert"])
    renamed = command("gallery", "rename", "staff", "a-1", "Anna B.")
    receipt = Path(recordings["anna"]).with_name("receipt.json")
    erased = command("gallery", "erase", "staff", "a-1", "--yes", "--receipt", receipt)

    assert json.loads(created.out)["policy"]["operating_point"] == "strict"
    assert json.loads(enrolled.out)["speaker"]["state"] == "active"
    assert json.loads(enrolled.out)["speaker"]["consent"]["purposes"] == ["door", "desk"]
    assert (claimed.status, json.loads(claimed.out)["decision"]) == (0, "match")
    assert (other.status, json.loads(other.out)["decision"]) == (1, "no_match")
    assert json.loads(renamed.out)["display_name"] == "Anna B."
    assert erased.status == 0
    assert json.loads(receipt.read_text())["removed"]["references"] == 1
    assert command("gallery", "show", "staff", "a-1").status == 1
    assert json.loads(command("audit", "receipts").out.splitlines()[0])["kind"] == "speaker"


def test_lists_have_what_is_on_all_pages(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_pages_of_two(*named: Any, of: Any, **options: Any) -> Any:
        asked.append(options.get("after"))
        return of(*named, **{**options, "limit": 2})

    asked = list[Any]()
    for name in ("list_galleries", "speakers", "receipts"):
        build = getattr(questions, name)
        monkeypatch.setattr(questions, name, functools.partial(in_pages_of_two, of=build))
    for gallery in ("p1", "p2", "p3", "p4", "p5"):
        command("gallery", "create", gallery)
    for number in range(3):
        command("gallery", "add", "p1", f"s-{number}", "--consent", "door")
    for gallery in ("p2", "p3", "p4"):
        command("gallery", "erase", gallery, "--yes")

    listed = json.loads(command("gallery", "list").out)
    speakers = json.loads(command("gallery", "speakers", "p1").out)["speakers"]
    receipts = [json.loads(line) for line in command("audit", "receipts").out.splitlines()]
    newest = command("audit", "receipts", "--after", receipts[-2]["ledger_seq"]).out
    verified = command("audit", "verify")

    names = [each["name"] for each in listed["galleries"]]
    assert [name for name in names if name.startswith("p")] == ["p1", "p5"]
    assert listed["after"] is None
    assert [each["external_id"] for each in speakers] == ["s-0", "s-1", "s-2"]
    assert [each["kind"] for each in receipts[-3:]] == ["gallery"] * 3
    assert json.loads(newest) == receipts[-1]
    assert (verified.status, f"{len(receipts)} receipts: whole" in verified.out) == (0, True)
    assert len([after for after in asked if after]) >= 4


def test_everybody_is_listed_and_named(command: Any, recordings: dict[str, str]) -> None:
    command("gallery", "create", "club")
    for who in ("anna", "bert"):
        command("gallery", "add", "club", who, "--consent", "door")
        command("gallery", "enrol", "club", who, recordings[who])

    listed = json.loads(command("gallery", "speakers", "club", "--state", "active").out)["speakers"]
    named = json.loads(command("diarize", recordings["both"], "--gallery", "club", "--json").out)
    found = command("gallery", "identify", "club", recordings["bert"], "--top-n", "1")
    merged = json.loads(command("gallery", "merge", "club", "anna", "bert").out)
    left = json.loads(command("gallery", "list").out)["galleries"]

    assert [each["external_id"] for each in listed] == ["anna", "bert"]
    assert {each["label"] for each in named["identities"].values()} == {"SPEAKER_00", "SPEAKER_01"}
    assert json.loads(found.out)["speaker"] == "bert"
    assert merged["references"] == 2
    assert [each["references"] for each in left if each["name"] == "club"] == [2]


def test_what_is_refused_has_its_reason(command: Any, recordings: dict[str, str]) -> None:
    command("gallery", "create", "strangers")

    without_consent = command("gallery", "add", "strangers", "x")
    unmeant = command("gallery", "erase", "strangers")
    nobody = command("gallery", "enrol", "strangers", "x", recordings["anna"])
    mistaken = command("gallery", "add", "strangers", "x", "--consent", "door", "--expires", "soon")

    assert (without_consent.status, unmeant.status, nobody.status, mistaken.status) == (1, 2, 1, 2)
    assert "consent" in without_consent.err
    assert "--yes" in unmeant.err


def test_the_ledger_is_verified_here(command: Any) -> None:
    command("gallery", "create", "books")
    lines = [json.loads(line) for line in command("audit", "ledger").out.splitlines()]

    whole = command("audit", "verify")
    forged = command("audit", "verify", "--public-key", "A" * 43 + "=")

    assert (whole.status, whole.out) == (0, whole.out)
    assert f"{len(lines)} lines" in whole.out
    assert forged.status == 1
    assert "NOT WHOLE" in forged.out


def test_people_get_tables(command: Any, recordings: dict[str, str], monkeypatch: Any) -> None:
    monkeypatch.setattr("voxgraph.cli.galleries._wants_json", lambda is_json: is_json)
    command("gallery", "create", "tables")
    command("gallery", "add", "tables", "a-1", "--name", "Anna", "--consent", "door")

    enrolled = command("gallery", "enrol", "tables", "a-1", recordings["anna"]).out
    found = command("gallery", "identify", "tables", recordings["anna"]).out
    several = command("gallery", "identify", "tables", recordings["both"], "--diarize").out

    assert "enrolled" in enrolled
    assert "active" in enrolled
    assert found.split()[:3] == ["voice", "decision", "speaker"]
    assert "match" in found
    assert "SPEAKER_01" in several
    assert "Anna" in command("gallery", "speakers", "tables").out
    assert "not enough" in command("gallery", "calibrate", "tables").out.lower()


def test_a_decision_is_confirmed_or_rejected(
    command: Any, recordings: dict[str, str], monkeypatch: Any
) -> None:
    command("gallery", "create", "reviewed")
    found = json.loads(command("gallery", "identify", "reviewed", recordings["anna"]).out)

    confirmed = command("gallery", "confirm", "reviewed", found["decision_id"])
    rejected = command("gallery", "reject", "reviewed", found["decision_id"])
    missing = command("gallery", "reject", "reviewed", "dec_unknown")
    monkeypatch.setattr("voxgraph.cli.galleries._wants_json", lambda is_json: is_json)
    report = command("gallery", "report", "reviewed").out

    assert json.loads(confirmed.out)["verdict"] == "confirmed"
    assert json.loads(rejected.out)["verdict"] == "rejected"
    assert missing.status == 1
    assert report.split()[-6:] == ["identify", "balanced", "unknown", "1", "0", "1"]


def test_the_people_of_a_manifest_are_enrolled_once(command: Any, recordings: dict[str, str]) -> None:
    command("gallery", "create", "many")
    manifest = Path(recordings["anna"]).with_name("people.csv")
    head = "speaker,file,display_name,purposes,given_at\n"
    people = "a,anna.wav,Anna,door,2026-01-01T00:00:00Z\nb,bert.wav,,door,2026-01-01T00:00:00Z\n"
    manifest.write_text(head + people)
    report = manifest.with_name("report.csv")

    first = command("gallery", "enrol-all", "many", manifest, "--concurrency", "2")
    again = command("gallery", "enrol-all", "many", manifest, "--report", report)
    manifest.write_text(head + people + "c,anna.wav,,,\n")
    partly = command("gallery", "enrol-all", "many", manifest, "-q")
    manifest.write_text("speaker\na\n")
    wrong = command("gallery", "enrol-all", "many", manifest)
    missing = command("gallery", "enrol-all", "many", "nowhere.csv")

    assert first.status == 0
    assert sorted(row["outcome"] for row in csv.DictReader(first.out.splitlines())) == ["enrolled"] * 2
    assert "2 recordings of 2 people: 2 enrolled, 0 enrolled before" in first.err
    assert (again.status, again.out) == (0, "")
    rows = {row["speaker"]: row for row in csv.DictReader(report.open())}
    assert {row["outcome"] for row in rows.values()} == {"enrolled_before"}
    assert rows["a"]["state"] == "active"
    assert rows["a"]["reference"].startswith("ref_")
    failed = [row for row in csv.DictReader(partly.out.splitlines()) if row["outcome"] == "failed"]
    assert (partly.status, [row["reasons"] for row in failed]) == (1, ["consent_missing"])
    assert (wrong.status, missing.status) == (2, 2)


def test_a_key_has_the_galleries_of_its_tenant(command: Any, tmp_path: Path) -> None:
    command("keys", "new", "desk", "--file", tmp_path / "keys.json", "--gallery", "--tenant", "clinic")
    command("keys", "new", "alone", "--file", tmp_path / "keys.json")
    command("keys", "new", "boss", "--file", tmp_path / "keys.json", "--gallery", "--scores")

    desk, alone, boss = read_keys(tmp_path / "keys.json")

    assert (desk.scopes, desk.owner) == (("ask", "gallery"), "clinic")
    assert (alone.scopes, alone.owner) == (("ask",), "alone")
    assert boss.scopes == ("ask", "gallery", "scores")

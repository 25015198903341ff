"""The graph of `make serve` with the checkpoints of the repository: it starts, and every endpoint answers."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import clips
import httpx2
import numpy as np
import pytest
import soundfile
import sounds
import yaml
from curl_lines import LINES, check_curl_line
from launched import ROOT, Launched, running
from recordings import DATA, post

from config.checkpoints import row_for
from config.settings import AudioLimits, GraphSettings
from deployments.api.schemas.health import STARTER_NOTICE
from deployments.loading import served_models
from pipelines.audio.decoding import decode
from voxgraph.handles import Voxgraph
from voxgraph.options import ModelKey

CONFIG = ROOT / "config" / "starter.yaml"
CONSENT = {"purposes": ["door"], "given_at": "2026-11-28T10:00:00Z"}
FIRST, OTHER = "en_m3.flac", "de_f3.flac"
SOON = {"active_speech_s": 1.0, "reference_speech_s": 1.0}
"""A policy by which short recordings suffice."""
SETTINGS = GraphSettings.model_validate(yaml.safe_load(CONFIG.read_text())["applications"][0]["args"])


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Start the graph, which also keeps galleries."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    folder = tmp_path_factory.mktemp("starter")
    config["applications"][0]["args"]["state"] = str(folder / "state")
    (folder / CONFIG.name).write_text(yaml.safe_dump(config))
    with running(folder / CONFIG.name) as launched:
        yield launched


@pytest.fixture(scope="module")
def http(starter: Launched) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=starter.url, timeout=120) as client:
        yield client


def hub_id(model: ModelKey) -> str:
    return row_for(model, SETTINGS.checkpoint(model)).hub_id


def test_it_says_which_checkpoints_answer(starter: Launched, http: httpx2.Client) -> None:
    health = http.get("/health").json()

    assert (health["status"], health["failed"]) == ("ok", {})
    assert {key: model["hub_id"] for key, model in health["models"].items()} == {
        key: hub_id(key) for key in served_models(SETTINGS)
    }
    assert (health["checkpoints"], health["notice"]) == ("starter", STARTER_NOTICE)
    assert f"Checkpoints that answer: {health['checkpoints']}." in starter.output
    assert STARTER_NOTICE in " ".join(starter.output.split())


@pytest.mark.parametrize("line", LINES)
def test_every_endpoint_answers(starter: Launched, line: str) -> None:
    check_curl_line(starter, line)


def test_voices_of_all_languages_are_in_one_space(http: httpx2.Client) -> None:
    answers = [
        post(http, "/embedding", files={"file": (DATA / name).read_bytes()})
        for name in ("zh_f3.flac", "de_f3.flac", "voice.wav")
    ]

    assert {(a["model"], a["revision"]) for a in answers} == {
        (hub_id(ModelKey.SPEAKER_VOXCELEB), answers[0]["revision"])
    }
    assert answers[0]["revision"].startswith("starter-")


def test_a_sentence_gets_its_language_or_none(http: httpx2.Client, conversation: bytes) -> None:
    """The clips of tests/data are synthetic; the conversation is real and in English."""
    found = post(http, "/detect-language", files={"file": conversation})

    assert found["language"] == "en"
    assert found["confidence"] > 0.5


@pytest.mark.parametrize("sound", sounds.WITHOUT_SPEECH.values(), ids=sounds.WITHOUT_SPEECH)
def test_questions_about_nobodys_speech_are_refused_unless_that_is_allowed(
    http: httpx2.Client, sound: Callable[[], np.ndarray]
) -> None:
    data = clips.soundfile_bytes(sound(), 16_000, "WAV", "PCM_16")
    for tasks in ("language", "speaker", "accent", "deepfake", "language,diarization"):
        refused = post(http, "/v1/analyze", 422, content=data, params={"tasks": tasks})
        assert refused["code"] == "no_speech"

    allowed = post(http, "/v1/analyze", content=data, params={"allow_no_speech": "true"})
    old = post(http, "/embedding", content=data)

    assert {"language", "speaker", "accent", "deepfake", "diarization"} <= set(allowed)
    for answer in (allowed, old):
        assert answer["quality"]["speech_s"] == 0.0
        assert "No speech was found." in answer["quality"]["warnings"]


@pytest.mark.parametrize("level", [1.0, 0.01])
def test_a_voice_is_heard_however_quiet_and_for_how_long(
    http: httpx2.Client, conversation: bytes, level: float
) -> None:
    samples, rate = soundfile.read(io.BytesIO(conversation), dtype="float32")
    whole = clips.soundfile_bytes(samples * level, rate, "WAV", "PCM_24")
    word = clips.soundfile_bytes(samples[7 * rate : 8 * rate] * level, rate, "WAV", "PCM_24")

    answer = post(http, "/v1/analyze", content=whole)
    turns = post(http, "/diarize", content=whole)
    short = post(http, "/v1/analyze", content=word, params={"tasks": "language"})

    assert answer["quality"]["speech_s"] == pytest.approx(turns["quality"]["speech_s"], rel=0.05)
    assert 15 < answer["quality"]["speech_s"] < answer["quality"]["duration_s"]
    assert not any("speech" in warning for warning in answer["quality"]["warnings"])
    assert 0.5 < short["quality"]["speech_s"] <= 1.0
    assert any("too short to trust" in warning for warning in short["quality"]["warnings"])


def answer(http: httpx2.Client, path: str, name: str, **options: str) -> dict[str, Any]:
    response = http.post(path, files={"file": (name, (DATA / name).read_bytes())}, data=options)
    assert response.status_code in (200, 201), response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_real_voice_is_enrolled_recognised_and_erased(starter: Launched, http: httpx2.Client) -> None:
    path = "/v1/galleries/staff/speakers/a-1"
    http.put("/v1/galleries/staff", json=SOON)
    http.put(path, json={"display_name": "Anton", "consent": CONSENT})

    enrolled = answer(http, f"{path}/references", FIRST)
    same = answer(http, "/v1/galleries/staff/verify", FIRST, speaker="a-1")
    other = answer(http, "/v1/galleries/staff/identify", OTHER)
    named = answer(http, "/diarize", FIRST, gallery="staff")

    # Both places of the starter are one encoder: one space, one vector.
    assert len(enrolled["reference"]["spaces"]) == 1
    assert enrolled["reference"]["evidence"]["speakers_heard"] == 1
    assert enrolled["reference"]["evidence"]["spoof_verdict"] is not None
    assert (same["decision"], same["calibrated"]) == ("match", True)
    assert other["speaker"] is None
    assert named["speakers"] == ["Anton"]
    assert "a-1" not in starter.output
    receipt = http.delete(path).json()
    assert receipt["removed"]["references"] == 1
    assert answer(http, "/v1/galleries/staff/identify", FIRST)["decision"] == "unknown"
    assert http.get("/v1/ledger/check").json()["whole"]


def test_handles_ask_the_same_galleries(starter: Launched, http: httpx2.Client) -> None:
    http.put("/v1/galleries/guests", json=SOON)
    http.put("/v1/galleries/guests/speakers/b-2", json={"consent": CONSENT})
    waveform = decode((DATA / FIRST).read_bytes(), AudioLimits())
    with starter.driver():
        guests = Voxgraph.connect().gallery("guests")
        enrolled = guests.enrol("b-2", waveform)
        found = guests.identify(waveform)
        turns = guests.diarize(waveform)
        silent = guests.verify("b-2", np.zeros(32_000, np.float32))
        kept = guests.ask("speaker", "b-2")

    assert enrolled.accepted
    assert (found.decision, found.speaker) == ("match", "b-2")
    assert turns.speakers == ("b-2",)
    assert silent.decision == "not_enough_speech"
    assert kept.references == 1

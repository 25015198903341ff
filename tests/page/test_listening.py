"""One recording on the page: from dropping it to taking its answers away."""

import json
import re
from pathlib import Path
from typing import Any

import clips
import pytest
from fake_analyzer import TURNS, FakeAnalyzer
from page_actions import analyze, choose, download, drop, played_from, position, until
from playwright.sync_api import Page, expect

from voxgraph.calibration import SpeakerCalibration
from voxgraph.errors import ModelUnavailable
from voxgraph.formats import write
from voxgraph.results import GraphHealth, ModelInfo

WORDS = ["Japanese", "75 %", "United States", "86 %", "only ranks", "inconclusive", "one channel"]


def test_a_dropped_recording_is_answered_in_lanes_bars_and_words(page: Page, recording: Path) -> None:
    drop(page, recording)

    expect(page.locator(".exports")).to_be_visible()
    lanes = page.locator(".track:not(.heat)")
    assert [lane.locator(".turn").count() for lane in lanes.all()] == [1, 2]
    assert page.locator(".speaker").evaluate_all("all => all.map(one => one.placeholder)") == [
        "Speaker 1",
        "Speaker 2",
    ]
    assert page.locator(".sign.inconclusive").count() > 1
    text = page.locator("article").inner_text()
    assert [word for word in WORDS if word not in text] == []


def test_a_file_that_is_dropped_beside_the_area_is_taken(page: Page, recording: Path) -> None:
    drop(page, recording, "header")

    expect(page.locator(".exports")).to_be_visible()


def test_a_click_plays_exactly_its_turn(page: Page, recording: Path) -> None:
    analyze(page, recording)

    page.locator(".track").nth(1).locator(".turn").last.click()

    assert played_from(page, 1) == TURNS[2].start_s
    until(page, "window.player.paused")
    assert position(page) == pytest.approx(TURNS[2].end_s, abs=0.01)


def test_the_keyboard_plays_pauses_and_moves(page: Page, recording: Path) -> None:
    analyze(page, recording)

    page.keyboard.press(" ")
    assert played_from(page, 1) == 0
    page.keyboard.press(" ")
    until(page, "window.player.paused")
    page.keyboard.press("]")
    assert played_from(page, 2) == next(turn.start_s for turn in TURNS if turn.start_s > 0)
    page.keyboard.press("ArrowRight")
    until(page, "window.player.currentTime > 5")
    page.keyboard.press("[")
    assert played_from(page, 3) == TURNS[2].start_s
    page.get_by_role("link", name="Compare voices").click()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("]")
    assert page.evaluate("window.plays.length") == 3


def test_the_table_says_and_plays_what_the_lanes_show(page: Page, recording: Path) -> None:
    analyze(page, recording)

    page.get_by_text("Turns as a table").click()
    rows = page.locator("table tbody tr", has=page.locator("button"))
    expect(rows).to_have_count(len(TURNS))
    found = [row.inner_text().split("\t") for row in rows.all()]
    rows.nth(2).get_by_role("button").click()

    assert [row[:3] for row in found] == [
        [f"▶ Speaker {int(turn.speaker[-2:]) + 1}", f"0:{turn.start_s:05.2f}", f"0:{turn.end_s:05.2f}"]
        for turn in TURNS
    ]
    assert played_from(page, 1) == TURNS[2].start_s


@pytest.mark.parametrize(("button", "format"), [("RTTM", "rttm"), ("CSV", "csv")])
def test_a_download_is_what_the_formats_write(page: Page, recording: Path, button: str, format: str) -> None:
    analyze(page, recording)

    assert download(page, button) == write(TURNS, format, uri=recording.stem, duration_s=6.0)


def test_names_reach_every_download_and_are_never_markup(page: Page, recording: Path) -> None:
    analyze(page, recording)
    name = "Ann <b>& Bob"

    page.locator(".speaker").first.press_sequentially(name)
    page.get_by_text("Turns as a table").click()

    expect(page.locator("article tbody th").first).to_have_text(f"▶ {name}")
    expect(page.locator("table b")).to_have_count(0)
    assert write(TURNS, "vtt", uri="", duration_s=6.0, names={"SPEAKER_00": name}) == download(page, "WebVTT")
    answer = json.loads(download(page, "JSON"))["diarization"]
    assert answer["speakers"] == [name, "SPEAKER_01"]
    assert [turn["speaker"] for turn in answer["diarization_results"]] == [name, "SPEAKER_01", "SPEAKER_01"]


def test_the_options_reach_the_server(page: Page, recording: Path, analyzer: FakeAnalyzer) -> None:
    page.get_by_text("Options").click()
    page.get_by_label("AI-generated speech").uncheck()
    page.get_by_label("Number of speakers").fill("3")

    analyze(page, recording)

    expect(page.locator(".card h3")).to_contain_text(["Language", "Accent", "Recording"])
    expect(page.locator(".track.heat")).to_have_count(0)
    assert analyzer.speakers is not None
    assert analyzer.speakers.num_speakers == 3
    command = page.locator("pre").inner_text()
    assert re.search(
        r"curl -F 'file=@a meeting.wav' .*tasks=diarization,language,accent&num_speakers=3", command
    )


def test_what_is_no_recording_is_refused_in_the_words_of_the_server(
    page: Page, tmp_path: Path, url: str
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes.")

    choose(page, path)
    refusal = page.get_by_role("alert")
    expect(refusal).to_be_visible()
    answer = page.request.post(f"{url}/v1/analyze", data=path.read_bytes()).json()

    assert answer["detail"] in refusal.inner_text()
    assert re.search(r"Request [0-9a-f]{32}", refusal.inner_text())
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_voice_is_recorded_by_the_microphone(page: Page, analyzer: FakeAnalyzer) -> None:
    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop recording").click()

    expect(page.locator(".exports")).to_be_visible()
    assert analyzer.waveform is not None
    assert 0.8 < len(analyzer.waveform) / 16_000 < 3.0
    assert abs(analyzer.waveform).max() > 0.05
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "window.player && window.player.currentTime > 0.3")


def test_several_recordings_are_answered_one_after_the_other(
    page: Page, recording: Path, tmp_path: Path
) -> None:
    other = tmp_path / "<img src=x onerror=alert(1)>.wav"
    other.write_bytes(recording.read_bytes())

    choose(page, recording, other)

    expect(page.locator(".list li.done")).to_have_count(2)
    page.locator(".list button").nth(2).click()
    expect(page.locator("h2").first).to_have_text(other.name)
    page.get_by_role("button", name=f"Remove {other.name}").click()
    expect(page.locator("h2").first).to_have_text(recording.name)


def test_a_file_that_the_browser_cannot_play_is_answered(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "old.au"
    path.write_bytes(clips.soundfile_bytes(clips.tone(4.0), 8_000, "AU", "ULAW"))

    analyze(page, path)

    expect(page.get_by_text("This browser cannot play the file.")).to_be_visible()


def test_a_key_is_asked_for_when_the_server_wants_one(page: Page, recording: Path) -> None:
    keys: list[str | None] = []

    def guard(route: Any) -> None:
        keys.append(route.request.headers.get("authorization"))
        body = {"detail": "A key is needed.", "code": "unauthorized", "request_id": "abc"}
        if keys[-1] == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, json=body)

    page.route("**/v1/**", guard)
    choose(page, recording)
    page.get_by_label("API key").fill("secret")
    page.get_by_role("button", name="Use this key").click()
    page.get_by_role("button", name="Try again").click()

    expect(page.locator(".exports")).to_be_visible()
    assert keys == [None, "Bearer secret"]
    assert "secret" not in page.locator("pre").inner_text()
    assert page.evaluate("Object.keys(localStorage).length") == 0


def test_a_lost_server_is_said_and_found_again(page: Page, recording: Path) -> None:
    page.route("**/v1/**", lambda route: route.abort())
    page.route("**/health", lambda route: route.abort())
    choose(page, recording)
    lost = page.get_by_text("The server does not answer.")
    expect(lost).to_be_visible()
    # A question about health can fail before the recording is sent, so the page is given its server
    # back only after the upload failed too.
    again = page.get_by_role("button", name="Try again")
    expect(again).to_be_visible()

    page.unroute_all()

    expect(lost).to_be_hidden()
    again.click()
    expect(page.locator(".exports")).to_be_visible()


def test_it_says_which_checkpoints_answer(open_page: Any, url: str, analyzer: FakeAnalyzer) -> None:
    analyzer.graph_health = GraphHealth(
        models={"language": ModelInfo("language", "openai/whisper-base", "abc", "starter", "cpu", 7)},
        failed={"deepfake": "its file is missing"},
    )

    banner = open_page(url).locator(".checkpoints")

    expect(banner).to_contain_text("Starter checkpoints answer here. Good for")
    expect(banner).to_contain_text("Not available now: deepfake.")
    banner.locator("summary").click()
    expect(banner).to_contain_text("openai/whisper-base")


@pytest.mark.parametrize(
    ("calibration", "verdict", "sure"),
    [
        (None, "Similar enough to count as the same person", "This model is not calibrated"),
        (
            SpeakerCalibration(20.0, -8.0),
            "Almost certainly the same person",
            "over 99.9 %, if 50 % was expected",
        ),
        (SpeakerCalibration(0.1, 0.0), "The recordings do not decide it", "52 %"),
    ],
)
def test_two_voices_are_compared_in_plain_words(
    page: Page, recording: Path, analyzer: FakeAnalyzer, calibration: Any, verdict: str, sure: str
) -> None:
    analyzer.calibration = calibration
    page.get_by_role("link", name="Compare voices").click()
    for chooser in page.locator(".pair input[type=file]").all():
        chooser.set_input_files(str(recording))

    page.get_by_role("button", name="Compare", exact=True).click()

    expect(page.locator(".result h2")).to_have_text(verdict)
    expect(page.locator(".result")).to_contain_text(sure)


def test_a_model_that_is_not_there_is_said(page: Page, recording: Path, analyzer: FakeAnalyzer) -> None:
    analyzer.error = ModelUnavailable("Model language is not loaded: no checkpoint.")

    choose(page, recording)

    expect(page.get_by_role("alert")).to_contain_text("Model language is not loaded: no checkpoint.")

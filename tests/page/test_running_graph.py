"""The page against the running graph: the real conversation, long files, and how soon it is there."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import clips
import httpx2
import numpy as np
import pytest
import soundfile
from launched import ROOT, Launched, sample_path
from page_actions import analyze, choose, download, drop, played_from, until
from playwright.sync_api import Page, expect

CONVERSATION = sample_path()
VIEWS = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True},
}
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def diarized(http: httpx2.Client, **options: str) -> httpx2.Response:
    files = {"file": (CONVERSATION.name, CONVERSATION.read_bytes())}
    response = http.post("/diarize", files=files, params=options)
    response.raise_for_status()
    return response


def test_the_real_conversation_has_a_lane_for_each_speaker(
    open_page: Any, service: Launched, http: httpx2.Client
) -> None:
    page = open_page(service.url)

    drop(page, CONVERSATION)

    expect(page.locator(".exports")).to_be_visible(timeout=120_000)
    answer = diarized(http).json()
    expect(page.locator(".track:not(.heat)")).to_have_count(len(answer["speakers"]))
    assert download(page, "RTTM") == diarized(http, format="rttm").text
    assert json.loads(download(page, "JSON"))["diarization"]["speakers"] == answer["speakers"]


def test_a_click_plays_a_turn_of_the_real_conversation(
    open_page: Any, service: Launched, http: httpx2.Client
) -> None:
    page = open_page(service.url)
    analyze(page, CONVERSATION, within_s=120)
    answer = diarized(http).json()
    first = next(one for one in answer["diarization_results"] if one["speaker"] == answer["speakers"][0])

    page.locator(".track").first.locator(".turn").first.click()

    assert played_from(page, 1) == pytest.approx(first["start"], abs=1e-3)


def test_a_voice_is_recorded_and_answered(open_page: Any, service: Launched) -> None:
    page = open_page(service.url)

    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(3_000)
    page.get_by_role("button", name="Stop recording").click()

    expect(page.locator(".exports")).to_be_visible(timeout=60_000)
    expect(page.locator(".card h3").first).to_contain_text("Language")


def test_a_text_file_is_refused_in_the_words_of_the_graph(
    open_page: Any, service: Launched, http: httpx2.Client, tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes.")
    page = open_page(service.url)

    drop(page, path)

    expect(page.get_by_role("alert")).to_contain_text(
        http.post("/v1/analyze", content=path.read_bytes()).json()["detail"]
    )


def test_the_copied_commands_ask_the_same(open_page: Any, service: Launched) -> None:
    page = open_page(service.url)
    analyze(page, CONVERSATION, within_s=120)
    turns = json.loads(download(page, "JSON"))["diarization"]["diarization_results"]

    curl = json.loads(run(shlex.split(copied(page, "curl"))))
    python = run([sys.executable, "-c", copied(page, "Python")])
    program, *arguments = shlex.split(copied(page, "Command"))
    command = json.loads(run([sys.executable, "-m", program, *arguments]))

    assert curl["diarization"]["diarization_results"] == turns
    assert command["diarization"]["diarization_results"] == turns
    assert python.startswith("Analysis(")
    assert python.count("Turn(") >= len(turns)


def copied(page: Page, way: str) -> str:
    page.get_by_role("button", name=way, exact=True).click()
    return page.locator("pre").inner_text()


def run(command: list[str]) -> str:
    """Run a command beside the conversation, and return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=CONVERSATION.parent, env=environment, capture_output=True, check=True)
    return done.stdout.decode()


def test_ten_minutes_show_progress_and_can_be_stopped(
    open_page: Any, service: Launched, tmp_path: Path
) -> None:
    samples, rate = soundfile.read(CONVERSATION, dtype="float32", always_2d=True)
    path = tmp_path / "interview.wav"
    # With noise of its own, so that no answer comes from a cache.
    noise = np.random.default_rng(3).normal(0, 1e-3, (600 * rate, 1))
    path.write_bytes(
        clips.soundfile_bytes(np.resize(samples, (600 * rate, 1)) + noise, rate, "WAV", "PCM_16")
    )
    page = open_page(service.url)

    choose(page, path)
    expect(page.locator(".running")).to_contain_text("of 10:00", timeout=60_000)
    page.get_by_role("button", name="Stop").click()

    expect(page.get_by_text("You stopped this analysis.")).to_be_visible()


@pytest.mark.parametrize("view", VIEWS)
def test_the_whole_page_can_be_pictured(open_page: Any, service: Launched, view: str, tmp_path: Path) -> None:
    page = open_page(service.url, **VIEWS[view])
    analyze(page, CONVERSATION, within_s=120)

    picture = page.screenshot(full_page=True, path=tmp_path / f"{view}.png")

    assert len(picture) > 50_000


def test_the_first_paint_comes_within_a_second(open_page: Any, service: Launched) -> None:
    paints = []
    for _ in range(3):
        page = open_page(service.url)
        until(page, FIRST_PAINT)
        paints.append(page.evaluate(FIRST_PAINT))

    assert min(paints) < 1_000

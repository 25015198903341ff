"""Long recordings answer in parts: progress is seen, what is ready is shown, and they can be stopped."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import clips
import pytest
from fake_analyzer import TURNS, FakeAnalyzer
from page_actions import choose, until
from page_server import serving
from playwright.sync_api import Page, expect

from voxgraph.errors import ModelUnavailable
from voxgraph.results import (
    AnalysisEvent,
    DiarizationResult,
    Progress,
    Received,
    TaskAnswer,
    TaskFailure,
    Waveform,
)

LONG_S = 600.0
SPEAKERS = ("SPEAKER_00", "SPEAKER_01")


class SlowAnalyzer(FakeAnalyzer):
    """Answers the language at once, and goes through the conversation until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = False
        self.may_end = False

    async def analyze_events(self, waveform: Waveform, *_: Any, **__: Any) -> AsyncGenerator[AnalysisEvent]:
        yield Received(LONG_S)
        yield TaskAnswer("language", self.language)
        yield TaskFailure("accent", ModelUnavailable("Model accent_xlsr is not loaded: no checkpoint."))
        done_s = 0.0
        try:
            while not self.may_end:
                done_s = min(done_s + 25, LONG_S - 25)
                yield Progress("diarization", done_s, LONG_S)
                await asyncio.sleep(0.05)
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled = True
            raise
        turns = tuple(replace(turn, confidence=0.5) for turn in TURNS)
        yield TaskAnswer("diarization", DiarizationResult(turns, turns, SPEAKERS))


@pytest.fixture
def analyzer() -> SlowAnalyzer:
    return SlowAnalyzer()


@pytest.fixture(scope="module")
def ten_minutes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("streaming") / "interview.flac"
    path.write_bytes(clips.soundfile_bytes(clips.tone(LONG_S, 8_000), 8_000, "FLAC"))
    yield path
    path.unlink()


def test_progress_and_what_is_ready_are_shown_before_the_end(
    page: Page, analyzer: SlowAnalyzer, ten_minutes: Path
) -> None:
    choose(page, ten_minutes)

    expect(page.locator(".running")).to_contain_text("Who speaks when: 9:35 of 10:00")
    assert 0.2 < page.locator("progress").evaluate("bar => bar.value") < 1
    expect(page.locator(".card")).to_contain_text(["Japanese"])
    expect(page.locator(".wave canvas").first).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Accent: Model accent_xlsr is not loaded")
    expect(page.locator(".exports")).to_have_count(0)

    analyzer.may_end = True

    expect(page.locator(".exports")).to_be_visible()
    expect(page.locator(".running")).to_have_count(0)
    expect(page.locator(".turn").first).to_have_css("opacity", "0.65")
    page.get_by_text("Turns as a table").click()
    expect(page.locator("article tbody tr").first).to_contain_text("50 %")


def test_stop_ends_the_work_of_the_server(page: Page, analyzer: SlowAnalyzer, ten_minutes: Path) -> None:
    choose(page, ten_minutes)
    expect(page.locator(".running")).to_contain_text("of 10:00")

    page.get_by_role("button", name="Stop").click()

    expect(page.get_by_text("You stopped this analysis.")).to_be_visible()
    expect(page.locator(".card")).to_contain_text(["Japanese"])
    for _ in range(100):
        if analyzer.cancelled:
            break
        page.wait_for_timeout(50)
    assert analyzer.cancelled

    analyzer.may_end = True
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".exports")).to_be_visible()


def test_a_server_that_dies_in_the_middle_is_said(
    open_page: Any, analyzer: SlowAnalyzer, ten_minutes: Path
) -> None:
    with serving(analyzer) as url:
        page = open_page(url)
        choose(page, ten_minutes)
        expect(page.locator(".running")).to_contain_text("of 10:00")

    expect(page.get_by_text("The server does not answer.")).to_be_visible()
    expect(page.get_by_text("The connection to the server was lost")).to_be_visible()
    expect(page.locator(".card")).to_contain_text(["Japanese"])
    until(page, "document.querySelector('h2').textContent === 'interview.flac'")

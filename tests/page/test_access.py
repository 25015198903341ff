"""For everybody: no barrier that axe finds, narrow screens, less motion, the keyboard."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fake_analyzer import FakeAnalyzer
from page_actions import analyze, choose, compare
from playwright.sync_api import Page, Route, expect

from voxgraph.calibration import SpeakerCalibration
from voxgraph.results import GraphHealth, ModelInfo

SERIOUS = {"serious", "critical"}
MODEL = ModelInfo(
    "diarization_community_1", "iic/speech_campplus_sv_zh_en_16k-common_advanced", "abc", "starter", "cpu", 1
)
"""A model with a name as long as those of the starter checkpoints."""
WIDTHS = (320, 768, 1440)
"""Widths of a telephone, a tablet and a desktop in pixels."""
FOCUSED = "document.activeElement.ariaLabel || document.activeElement.innerText || ''"
MOVING = "all => all.filter((one) => parseFloat(getComputedStyle(one).transitionDuration) > 0).length"


def barriers(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['html'][:80] for node in one['nodes']]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_page: Any, url: str, recording: Path, analyzer: FakeAnalyzer, theme: str, tmp_path: Path
) -> None:
    analyzer.advice = "The detector was taught few kinds of synthesis."
    analyzer.calibration = SpeakerCalibration(20.0, -8.0)
    # axe puts a style of its own on the page, which the policy forbids.
    page = open_page(url, color_scheme=theme, reduced_motion="reduce", bypass_csp=True)
    page.locator(".drop summary").click()
    page.locator(".checkpoints summary").click()
    first = barriers(page)

    analyze(page, recording)
    for summary in page.locator("article summary").all():
        summary.click()
    answered = barriers(page)

    bad = tmp_path / "notes.txt"
    bad.write_text("Notes.")
    choose(page, bad)
    expect(page.get_by_role("alert")).to_be_visible()
    refused = barriers(page)

    compare(page, recording)

    assert first == answered == refused == barriers(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(
    open_page: Any, url: str, recording: Path, analyzer: FakeAnalyzer, width: int
) -> None:
    analyzer.graph_health = GraphHealth({"diarization_community_1": MODEL}, {}, 1.0)
    page = open_page(url, viewport={"width": width, "height": 700})
    overflow = "document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(overflow) <= 0
    page.locator(".checkpoints summary").click()
    assert page.evaluate(overflow) <= 0

    analyze(page, recording)
    for summary in page.locator("article summary").all():
        summary.click()
    assert page.evaluate(overflow) <= 0

    compare(page, recording)
    assert page.evaluate(overflow) <= 0


def test_the_keyboard_reaches_everything_in_the_order_of_reading(page: Page, recording: Path) -> None:
    analyze(page, recording)
    page.evaluate("document.activeElement.blur()")

    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED).strip())

    order = [
        "Skip to the recording", "Listen", "Compare voices", "Speakers", "API", "Models", "Choose files",
        "Record",
        "Options", "Play", "Zoom in", "Name of Speaker 1", "Name of Speaker 2", "Turns as a table", "JSON",
        "RTTM", "Copy",
    ]  # fmt: skip
    places = [reached.index(name) for name in order]
    assert places == sorted(places)


def test_who_wants_less_motion_gets_none(open_page: Any, url: str) -> None:
    page = open_page(url, reduced_motion="reduce")

    assert page.locator("body *").evaluate_all(MOVING) == 0


def test_a_screen_reader_is_told_when_an_answer_is_ready(page: Page, recording: Path) -> None:
    analyze(page, recording)

    expect(page.get_by_role("status")).to_have_text("The analysis of a meeting.wav is ready.")


def test_the_tab_is_named_after_the_view(page: Page) -> None:
    expect(page).to_have_title("Listen · voxgraph")

    page.get_by_role("link", name="Compare voices").click()

    expect(page).to_have_title("Compare voices · voxgraph")


@pytest.mark.parametrize("status", [200, 403])
def test_the_place_of_the_banner_is_kept_until_the_server_has_answered(
    open_page: Any, url: str, status: int
) -> None:
    answer = {"models": {}, "failed": {}, "checkpoints": "none", "version": "1"}
    page, waiting = open_page(f"{url}/openapi.json"), list[Route]()
    page.route("**/health", lambda route: waiting.append(route))
    page.goto(url)
    asking = page.get_by_text("Asking which models answer here.")
    expect(asking).to_be_visible()

    waiting[0].fulfill(status=status, json=answer)

    expect(asking).to_have_count(0)
    expect(page.get_by_text("No model is loaded.")).to_have_count(int(status == 200))

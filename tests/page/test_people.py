"""The page's view of the people whose voices the server keeps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fake_analyzer import FakeAnalyzer
from page_actions import download
from playwright.sync_api import Page, expect
from tone_voices import ANNA, BERT, voice_of, wav_of

from deployments.state.local_gallery import LocalGallery
from gallery.galleries import Galleries

SERIOUS = {"serious", "critical"}
NARROW = {"width": 320, "height": 700}


@pytest.fixture
def analyzer(tmp_path: Path) -> Iterator[FakeAnalyzer]:
    """Return an analyzer that hears tones as voices, with a gallery."""
    analyzer = FakeAnalyzer()
    analyzer.voice_of, analyzer.speech_s = voice_of, 12.0
    with Galleries(tmp_path / "state") as galleries:
        analyzer.gallery = LocalGallery(galleries)
        yield analyzer


@pytest.fixture
def voices(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, pitch, seconds in (("anna", ANNA, 4.0), ("anna again", ANNA, 5.0), ("bert", BERT, 4.0)):
        found[name] = tmp_path / f"{name}.wav"
        found[name].write_bytes(wav_of(pitch, seconds=seconds))
    return found


def give(page: Page, title: str, path: Path) -> None:
    page.locator(f'input[type=file][aria-label="{title}"]').set_input_files(str(path))


def open_gallery(page: Page) -> None:
    page.get_by_role("link", name="Speakers").click()
    page.get_by_label("Name of a new gallery").fill("staff")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Nobody is kept here yet.")).to_be_visible()


def add(page: Page, name: str, path: Path) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("The person has agreed to this.").check()
    give(page, "First recording", path)
    expect(page.get_by_label(f"Name of {name}")).to_be_visible()


def test_a_person_is_added_recognised_renamed_and_erased(page: Page, voices: dict[str, Path]) -> None:
    open_gallery(page)

    # Without consent there is no way to give a recording.
    expect(page.locator('input[aria-label="First recording"]')).to_have_count(0)
    add(page, "Anna", voices["anna"])
    expect(page.get_by_text("8.0 s of speech are missing.")).to_be_visible()
    give(page, "Another recording of Anna", voices["anna again"])
    expect(page.get_by_text("recognised")).to_be_visible()

    give(page, "A recording of one person", voices["anna"])
    expect(page.locator(".identified")).to_contain_text("This is Anna.")
    give(page, "A recording of one person", voices["bert"])
    expect(page.locator(".identified")).to_contain_text("Nobody whom this gallery knows.")

    name = page.get_by_label("Name of Anna")
    name.fill("Anna B.")
    name.press("Enter")
    name.blur()
    expect(page.get_by_label("Name of Anna B.")).to_be_visible()
    page.get_by_role("button", name="Erase Anna B.").click()
    page.get_by_role("button", name="Erase Anna B. for good").click()
    expect(page.get_by_text("Nobody is kept here yet.")).to_be_visible()
    receipt = json.loads(download(page, "Save the receipt"))
    assert receipt["removed"]["references"] == 2
    assert "Anna" not in json.dumps(receipt)


def test_a_recording_that_is_given_twice_is_said_to_be_known(page: Page, voices: dict[str, Path]) -> None:
    open_gallery(page)
    add(page, "Anna", voices["anna"])

    give(page, "Another recording of Anna", voices["anna"])

    known = "This recording of Anna was known already; it counts once."
    expect(page.locator(".note")).to_have_text(known)
    expect(page.get_by_role("status")).to_have_text(known)
    expect(page.locator(".people")).to_contain_text("1 recording")
    give(page, "Another recording of Anna", voices["anna again"])
    expect(page.locator(".people")).to_contain_text("2 recordings")
    expect(page.locator(".note").filter(has_text=known)).to_have_count(0)


def test_the_keyboard_says_whether_a_decision_was_right(
    page: Page, url: str, voices: dict[str, Path]
) -> None:
    open_gallery(page)
    add(page, "Anna", voices["anna"])
    give(page, "Another recording of Anna", voices["anna again"])
    expect(page.get_by_text("recognised")).to_be_visible()
    give(page, "A recording of one person", voices["anna"])
    right, wrong = (page.get_by_role("button", name=name, exact=True) for name in ("Right", "Wrong"))

    right.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Noted: the decision was wrong.")
    expect(wrong).to_have_attribute("aria-pressed", "true")
    assert reviews(page, url) == ({}, {"match": 1})
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_contain_text("Noted: the decision was right.")
    expect(wrong).to_have_attribute("aria-pressed", "false")
    assert reviews(page, url) == ({"match": 1}, {})

    # The next answer is a decision of its own.
    give(page, "A recording of one person", voices["bert"])
    expect(page.locator(".identified")).to_contain_text("Nobody whom this gallery knows.")
    expect(right).to_have_attribute("aria-pressed", "false")
    right.click()
    expect(page.get_by_role("status")).to_contain_text("Noted: the decision was right.")
    assert reviews(page, url) == ({"match": 1, "unknown": 1}, {})
    expect(page.get_by_role("button", name="Add this recording to")).to_have_count(0)


def reviews(page: Page, url: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many decisions were confirmed and rejected."""
    (found,) = page.request.get(f"{url}/v1/galleries/staff/report").json()["reviews"]
    return found["confirmed"], found["rejected"]


def test_a_recording_that_was_recognised_rightly_can_be_added(
    page: Page, tmp_path: Path, voices: dict[str, Path]
) -> None:
    third = tmp_path / "third.wav"
    third.write_bytes(wav_of(ANNA, seconds=6.0))
    open_gallery(page)
    add(page, "Anna", voices["anna"])
    give(page, "Another recording of Anna", voices["anna again"])
    expect(page.get_by_text("recognised")).to_be_visible()
    give(page, "A recording of one person", third)

    page.get_by_role("button", name="Right", exact=True).click()
    expect(page.locator(".identified")).to_contain_text("Nothing is learned from it.")
    expect(page.locator(".people")).to_contain_text("2 recordings")
    page.get_by_role("button", name="Add this recording to Anna").click()

    expect(page.locator(".people")).to_contain_text("3 recordings")


def test_what_claims_nothing_cannot_be_right(
    page: Page, analyzer: FakeAnalyzer, voices: dict[str, Path]
) -> None:
    open_gallery(page)
    add(page, "Anna", voices["anna"])
    analyzer.speech_s = 0.4

    give(page, "A recording of one person", voices["bert"])

    expect(page.locator(".identified")).to_contain_text("too little speech")
    expect(page.get_by_role("button", name="Right", exact=True)).to_have_count(0)


def test_galleries_of_all_pages_can_be_chosen(page: Page, url: str) -> None:
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        assert page.request.put(f"{url}/v1/galleries/{name}").ok
    page.route(
        "**/v1/galleries?*",
        lambda route: route.continue_(url=route.request.url.replace("limit=200", "limit=2")),
    )

    page.get_by_role("link", name="Speakers").click()

    expect(page.locator("label", has_text="Gallery").locator("option")).to_have_text(names)


def test_a_refused_recording_says_why(page: Page, analyzer: FakeAnalyzer, voices: dict[str, Path]) -> None:
    analyzer.speech_s = 0.4
    open_gallery(page)

    page.get_by_label("Name", exact=True).fill("Anna")
    page.get_by_label("The person has agreed to this.").check()
    give(page, "First recording", voices["anna"])

    expect(page.get_by_role("alert")).to_contain_text("speech")


def test_a_server_without_state_says_so(page: Page, analyzer: FakeAnalyzer) -> None:
    analyzer.gallery = None
    page.get_by_role("link", name="Speakers").click()

    expect(page.get_by_role("alert")).to_contain_text("keeps no voices")


def test_it_is_for_everybody(open_page: Any, url: str, voices: dict[str, Path]) -> None:
    # axe puts a style of its own on the page, which the policy forbids.
    page = open_page(url, viewport=NARROW, reduced_motion="reduce", bypass_csp=True)
    open_gallery(page)
    add(page, "Anna", voices["anna"])
    give(page, "A recording of one person", voices["anna"])
    expect(page.locator(".identified")).to_be_visible()
    page.locator(".people summary").click()
    page.get_by_role("button", name="Right", exact=True).click()
    expect(page.locator(".identified")).to_contain_text("Noted")

    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in SERIOUS] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_keyboard_adds_and_erases(page: Page, voices: dict[str, Path]) -> None:
    open_gallery(page)
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type("Anna")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    give(page, "First recording", voices["anna"])
    expect(page.get_by_label("Name of Anna")).to_be_visible()

    page.get_by_role("button", name="Erase Anna").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Erase Anna for good").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Save the receipt")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Everything about Anna is erased.")

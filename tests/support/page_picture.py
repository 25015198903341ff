"""Make pictures of the page: ``python tests/support/page_picture.py http://127.0.0.1:8000``.

It asks a running graph about pyannote's sample, a telephone conversation of two people. The picture of README
is written to its place, and those for people who change the page to ``build/pictures``: light, dark and on a
telephone, before and after an answer, with everything opened, and of two voices.
"""

import sys
from pathlib import Path
from typing import Any

from chromium import browser
from launched import ROOT, sample_path
from page_actions import analyze, compare
from playwright.sync_api import Browser, Page

PICTURE = ROOT / "docs" / "images" / "page.png"
MAX_BYTES = 250_000
VIEWPORT = {"width": 1200, "height": 1010}
FOLDER = ROOT / "build" / "pictures"
SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": VIEWPORT, "color_scheme": "light"},
    "dark": {"viewport": VIEWPORT, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
}
WITHIN_S = 120.0


def main(url: str) -> None:
    """Write all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        for screen in SCREENS:
            draw(chromium, url, screen)
    size = PICTURE.stat().st_size
    assert size <= MAX_BYTES, f"{PICTURE} has {size} bytes."


def draw(chromium: Browser, url: str, screen: str) -> None:
    """Write the pictures of one kind of screen; the first one is README's."""
    page = chromium.new_page(**SCREENS[screen])
    page.goto(url)
    page.locator(".checkpoints summary").wait_for()
    page.evaluate("document.fonts.ready")
    take(page, screen, "first")
    analyze(page, sample_path(), within_s=WITHIN_S)
    if screen == "light":
        page.screenshot(path=PICTURE)
    take(page, screen, "answered")
    for summary in page.locator("article summary, .checkpoints summary").all():
        summary.click()
    take(page, screen, "opened")
    compare(page, sample_path(), within_s=WITHIN_S)
    take(page, screen, "compared")
    page.close()


def take(page: Page, screen: str, name: str) -> None:
    """Write a picture of the whole page."""
    page.screenshot(path=FOLDER / f"{screen}-{name}.png", full_page=True)


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2])]
    main(sys.argv[1])

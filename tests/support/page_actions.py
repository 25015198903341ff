"""What a listener does on the page."""

import base64
import time
from pathlib import Path

from playwright.sync_api import Page, expect

DROP = """([content, name, target]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  document.querySelector(target).dispatchEvent(
    new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }),
  );
}"""


def drop(page: Page, path: Path, target: str = ".drop") -> None:
    """Drop a file on an element of the page."""
    page.evaluate(DROP, [base64.b64encode(path.read_bytes()).decode(), path.name, target])


def choose(page: Page, *paths: Path) -> None:
    """Choose files."""
    page.locator("input[type=file]").first.set_input_files([str(path) for path in paths])


def analyze(page: Page, path: Path, within_s: float = 15.0) -> None:
    """Choose a file and wait for its whole answer."""
    choose(page, path)
    expect(page.locator(".exports")).to_be_visible(timeout=1000 * within_s)


def compare(page: Page, path: Path, within_s: float = 15.0) -> None:
    """Compare a recording with itself, in the view for it."""
    page.get_by_role("link", name="Compare voices").click()
    for chooser in page.locator(".pair input[type=file]").all():
        chooser.set_input_files(str(path))
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator(".result")).to_be_visible(timeout=1000 * within_s)


def download(page: Page, button: str) -> str:
    """Return the text of a file that a button saves."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(waiting.value.path()).read_bytes().decode()


def played_from(page: Page, count: int) -> float:
    """Wait until something is played for the `count`-th time; return the second from which."""
    until(page, f"window.plays.length >= {count}")
    return float(page.evaluate(f"window.plays[{count - 1}]"))


def position(page: Page) -> float:
    """Return the second that was reached."""
    return float(page.evaluate("window.player.currentTime"))


def until(page: Page, condition: str, within_s: float = 10.0) -> None:
    """Wait for a condition in JavaScript; Playwright's own waiting needs what the page's policy forbids."""
    deadline = time.monotonic() + within_s
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)

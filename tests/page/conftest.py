"""The page in Chromium, against the HTTP application with a fake analyzer, or against a running graph."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import clips
import pytest
from chromium import browser
from fake_analyzer import FakeAnalyzer
from page_server import serving
from playwright.sync_api import Browser, ConsoleMessage, Page

DATA = Path(__file__).parents[1] / "data"
MICROPHONE = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    f"--use-file-for-fake-audio-capture={DATA / 'voice.wav'}",
]
INSTRUMENTS = """
// What plays, and the seconds from which it was played: the page keeps its audio element to itself.
const { play } = HTMLMediaElement.prototype;
window.plays = [];
HTMLMediaElement.prototype.play = function () {
  window.player = this;
  window.plays.push(this.currentTime);
  return play.call(this);
};
document.addEventListener("securitypolicyviolation", (event) => console.error(event.violatedDirective));
"""
OpenPage = Callable[..., Page]


# Not for the whole session: Playwright's loop would be in the way of other modules' coroutines.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser(*MICROPHONE) as started:
        yield started


@pytest.fixture
def analyzer() -> FakeAnalyzer:
    return FakeAnalyzer()


@pytest.fixture
def url(analyzer: FakeAnalyzer) -> Iterator[str]:
    """Return the address of an application with a fake analyzer."""
    with serving(analyzer) as address:
        yield address


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Return a function that opens an address in a new browser context.

    In the end no page may have asked another host for anything, violated its policy, or raised an error.
    """
    faults: list[str] = []
    with ExitStack() as stack:

        def make(address: str, **options: Any) -> Page:
            context = chromium.new_context(**options)
            stack.callback(context.close)
            context.add_init_script(INSTRUMENTS)
            page = context.new_page()
            page.set_default_timeout(15_000)
            origin = "/".join(address.split("/")[:3])

            def watch(asked: str) -> None:
                if not asked.startswith((f"{origin}/", "blob:", "data:")):
                    faults.append(asked)

            page.on("request", lambda request: watch(request.url))
            page.on("console", lambda message: faults.extend(errors(message)))
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(address)
            return page

        yield make
        assert faults == []


def errors(message: ConsoleMessage) -> list[str]:
    """Return what is wrong; that the browser lists refusals and broken connections is not."""
    expected = message.text.startswith("Failed to load resource")
    return [message.text] if message.type == "error" and not expected else []


@pytest.fixture
def page(open_page: OpenPage, url: str) -> Page:
    return open_page(url)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return six seconds of a tone: longer than the turns of the fake analyzer."""
    path = tmp_path_factory.mktemp("recordings") / "a meeting.wav"
    path.write_bytes(clips.soundfile_bytes(clips.tone(6.0), 16_000, "WAV", "PCM_16"))
    return path

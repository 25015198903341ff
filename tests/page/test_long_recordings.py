"""Ten hours on the page: the tab stays small, and every turn can still be reached."""

import base64
import json
import os
import random
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_analyzer import FakeAnalyzer
from page_actions import analyze, played_from
from page_server import application, listening
from playwright.sync_api import expect
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

HOURS = 10
SECONDS = HOURS * 3600
MAX_TAB_BYTES = 400e6
TURN_S = 3.0


def ten_hours() -> dict[str, Any]:
    """An answer as the graph would give it: 12,000 turns, 14,400 chunks, 20 peaks a second."""
    chance = random.Random(7)
    turns = [
        {"start": at, "end": at + TURN_S - 0.5, "speaker": f"SPEAKER_{chance.randrange(4):02}"}
        for at in (TURN_S * index for index in range(int(SECONDS / TURN_S)))
    ]
    chunks = [
        {"start_time": 2.5 * index, "end_time": 2.5 * index + 5, "verdict": "inconclusive",
         "class_probabilities": {"ai_generated": 0.3}}
        for index in range(int(SECONDS / 2.5) - 1)
    ]  # fmt: skip
    return {
        "audio_duration": float(SECONDS),
        "diarization": {
            "diarization_results": turns,
            "speakers": [f"SPEAKER_{number:02}" for number in range(4)],
        },
        "deepfake": {
            "chunks": chunks,
            "verdict": "inconclusive",
            "summary": {"ai_generated_chunks": 0, "total_chunks": len(chunks)},
        },
        "peaks": {
            "per_second": 20,
            "scale": 1.0,
            "data": base64.b64encode(chance.randbytes(SECONDS * 20 * 2)).decode(),
        },
    }


class LongAnswers:
    """The application, but an analysis of anything is that of ten hours: no model runs that long here."""

    def __init__(self) -> None:
        self._app = application(FakeAnalyzer())
        self._answer = JSONResponse(ten_hours())
        self.received = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/analyze":
            await self._app(scope, receive, send)
            return
        while True:
            message = await receive()
            self.received += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await self._answer(scope, receive, send)


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return ten hours of PCM at 8 kHz, 288 MB, in a file with a hole."""
    path = tmp_path_factory.mktemp("long") / "ten hours.wav"
    size = SECONDS * 8000
    head = (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    )
    path.write_bytes(head + b"data" + struct.pack("<I", size))
    os.truncate(path, len(head) + 8 + size)
    yield path
    path.unlink()


def tab_bytes() -> int:
    """Return the memory of the tab's process that it does not share with others."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # a process that has just ended
            if "--type=renderer" in " ".join(child.cmdline()):
                found.append(child.memory_full_info().uss)
    return max(found)


def test_ten_hours_keep_the_tab_small(open_page: Any, long_recording: Path) -> None:
    app = LongAnswers()
    with listening(app) as url:
        page = open_page(url)
        analyze(page, long_recording, within_s=60)
        page.get_by_text("Turns as a table").click()
        page.get_by_text("Signs of generation as a table").click()
        memory = [tab_bytes()]
        cells = page.locator(".turn, .sign").count()

        for _ in range(6):
            page.get_by_role("button", name="Zoom in").click()
            page.wait_for_timeout(100)
            memory.append(tab_bytes())
        page.keyboard.press("]")
        assert played_from(page, 1) == TURN_S
        page.get_by_role("button", name="Next page").first.click()
        page.locator("table").nth(1).locator("tbody tr").nth(10).get_by_role("button").click()

        assert app.received == long_recording.stat().st_size
        assert max(memory) < MAX_TAB_BYTES, [round(one / 1e6) for one in memory]
        assert 1_000 < cells < 6_000
        assert played_from(page, 2) == 60 * TURN_S
        expect(page.locator(".turn").first).to_be_visible()
        print("Memory of the tab in MB:", json.dumps([round(one / 1e6) for one in memory]))

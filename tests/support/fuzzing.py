"""Send mutations of good requests to the HTTP application and count its answers.

``python tests/support/fuzzing.py 20000 [SEED] [--report FILE]`` runs many. The application runs in this
process with a fake analyzer; recordings are decoded in processes, as in production.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clips
import numpy as np
import psutil
from fake_analyzer import FakeAnalyzer
from starlette.types import ASGIApp, Message

from config.settings import AudioLimits, GraphSettings
from deployments.api.app import create_app
from deployments.api.edge import EdgeMiddleware
from deployments.api.errors import ErrorAnswer

ROOT = Path(__file__).parents[2]
ALLOWED = {200, 400, 401, 403, 404, 405, 406, 408, 411, 413, 415, 421, 422, 429, 503}
"""Statuses of an application that is well; 500 is none of them."""
LIMIT_S = 30.0
"""Seconds after which a request counts as hung."""
BOUNDARY = b"----voice"
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Request:
    """One request to mutate."""

    kind: str
    path: str
    headers: Headers
    body: bytes


@dataclass
class Report:
    """What the application answered."""

    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    memory_mb: tuple[float, float] = (0.0, 0.0)

    def text(self) -> str:
        """Return the report for a page."""
        rows = [f"| {name} | {count} |" for name, count in sorted(self.answers.items())]
        memory = "{:.0f} MB before, {:.0f} MB after".format(*self.memory_mb)
        return "\n".join(
            [
                f"{sum(self.answers.values())} requests, {len(self.problems)} problems, slowest "
                f"{self.slowest_s:.2f} s, memory of the process {memory}.",
                "", "| kind, status and code | requests |", "|---|---|", *rows, "", *self.problems,
            ]
        )  # fmt: skip


def requests() -> list[Request]:
    """Return the good requests: recordings in many formats, forms, JSON, pickles, headers."""
    wav = clips.soundfile_bytes(clips.tone(0.5), 16_000, "WAV", "PCM_16")
    recordings = [content for content in clips.formats().values() if len(content) < 300_000]
    vector = np.linspace(-1, 1, 192).tolist()
    voices = [{"id": n, "embedding": vector, "metadata": {"a": [n]}} for n in range(3)]
    search = json.dumps({"user_embedding": vector, "stored_embeddings": voices, "top_n": 2})
    compare = json.dumps({"embedding1": vector, "embedding2": vector, "threshold": 0.5})
    pickled = (ROOT / "tests" / "data" / "embedding.pkl").read_bytes()
    kind: Headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    audio: Headers = [(b"content-type", b"audio/wav")]
    many: Headers = [
        (b"x-request-id", b"mine"), (b"content-encoding", b"identity"), (b"accept", b"application/json"),
        (b"authorization", b"Bearer vox_1"), (b"origin", b"http://localhost"), (b"host", b"localhost"),
        (b"x-request-timeout-seconds", b"5"), (b"traceparent", b"00-0-0-01"), *audio,
    ]  # fmt: skip
    return [
        *[Request("recording", "/detect-language", audio, content) for content in recordings],
        Request("form", "/detect-language", kind, _form(("file", wav), ("tasks", b"language"))),
        Request("form", "/compare", kind, _form(("file1", wav), ("file2", wav))),
        Request("JSON", "/find-match", [(b"content-type", b"application/json")], search.encode()),
        Request("JSON", "/compare-voices", [(b"content-type", b"application/json")], compare.encode()),
        Request("pickle", "/compare_embedding", kind, _form(("file", wav), ("embedding", pickled))),
        Request("headers", "/detect-language", many, wav),
    ]


def _form(*parts: tuple[str, bytes]) -> bytes:
    head = 'Content-Disposition: form-data; name="{0}"; filename="{0}.bin"\r\n\r\n'
    pieces = [
        b"--" + BOUNDARY + b"\r\n" + head.format(name).encode() + body + b"\r\n" for name, body in parts
    ]
    return b"".join(pieces) + b"--" + BOUNDARY + b"--\r\n"


def flip(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def repeat(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.randint(1, 4096)] * chance.randint(1, 20)


def insert(chance: random.Random, data: bytearray) -> None:
    data[(start := chance.randrange(len(data))) : start] = chance.randbytes(chance.randint(1, 64))


def extreme(chance: random.Random, data: bytearray) -> None:
    """Overwrite a number near the beginning, where headers have counts and sizes."""
    start = chance.randrange(min(len(data), 512))
    value = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"99999999"))
    data[start : start + len(value)] = value


MUTATIONS: tuple[Callable[[random.Random, bytearray], None], ...] = (flip, cut, repeat, insert, extreme)


def mutated(chance: random.Random, request: Request) -> Request:
    """Return a request with one to three mutations of its body, or of its headers."""
    if request.kind != "headers":
        return Request(request.kind, request.path, request.headers, _mutated(chance, request.body))
    headers = list(request.headers)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(headers))
        name, value = headers[place]
        if chance.random() < 0.3:
            headers.append((name, value))
        headers[place] = (name, _mutated(chance, value or b"a"))
    return Request(request.kind, request.path, headers, request.body)


def _mutated(chance: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        if data:
            chance.choice(MUTATIONS)(chance, data)
    return bytes(data)


async def answer(app: ASGIApp, request: Request) -> tuple[int, bytes]:
    """Send a request to the application and return the status and the body of its answer."""
    sent: list[Message] = []
    messages = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.sleep(LIMIT_S)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": request.path, "raw_path": request.path.encode(), "query_string": b"", "root_path": "",
        "headers": request.headers, "client": ("127.0.0.1", 1), "server": ("localhost", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def run(count: int, seed: int = 0) -> Report:
    """Send that many mutated requests, one after the other, and a good one now and then."""
    chance, report, seeds = random.Random(seed), Report(), requests()
    by_kind = {kind: [each for each in seeds if each.kind == kind] for kind in {each.kind for each in seeds}}
    kinds = sorted(by_kind)
    limits = AudioLimits(max_upload_bytes=8_000_000, max_audio_s=600)
    settings = GraphSettings.model_validate({"limits": limits.model_dump(), "decoders": {"processes": 1}})
    inner = create_app(FakeAnalyzer(), settings)
    app = EdgeMiddleware(inner)
    await inner.state.decoder.start()
    before = psutil.Process().memory_info().rss / 1e6
    try:
        for number in range(count):
            request = mutated(chance, chance.choice(by_kind[kinds[number % len(kinds)]]))
            await _count(app, request, report, f"request {number} of seed {seed}")
            if number % 100 == 99:
                good = by_kind["headers"][0]
                status, body = await answer(app, good)
                if status != 200:
                    report.problems.append(f"A good request after {number} is {status}: {body[:200]!r}")
    finally:
        await inner.state.decoder.close()
    report.memory_mb = before, psutil.Process().memory_info().rss / 1e6
    return report


async def _count(app: ASGIApp, request: Request, report: Report, name: str) -> None:
    started = time.monotonic()
    try:
        async with asyncio.timeout(LIMIT_S):
            status, body = await answer(app, request)
    except Exception as error:
        report.problems.append(f"{name} ({request.kind}): {error!r}")
        return
    report.slowest_s = max(report.slowest_s, time.monotonic() - started)
    code = ErrorAnswer.model_validate_json(body).code if status >= 400 else ""
    report.answers[f"{request.kind} {status} {code}".rstrip()] += 1
    if status not in ALLOWED:
        report.problems.append(f"{name} ({request.kind}) is {status}: {body[:200]!r}")


def main() -> int:
    """Run the command; return 1 if there was a problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    report = asyncio.run(run(options.count, options.seed))
    if options.report is None:
        print(report.text())
    else:
        options.report.write_text(report.text() + "\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())

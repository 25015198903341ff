"""Send mutations of good requests to a running server as raw bytes, heads included, and count its answers."""

import asyncio
import random
import re
import time

import fuzzing

from deployments.api.errors import ErrorAnswer

Door = tuple[str, int]
WAIT_S = 1.0
TOO_LONG = (414, 431)
"""Refusals of a head that a mutation has made longer."""
HEAD = "head"
"""Kind of a request whose head is mutated as bytes: its line, names, values, lengths, ends of lines."""


def raw(request: fuzzing.Request) -> bytes:
    """Return the bytes of a request on a connection of its own."""
    fixed = [(b"content-length", b"%d" % len(request.body)), (b"connection", b"close")]
    if all(name != b"host" for name, _ in request.headers):
        fixed.append((b"host", b"localhost"))
    lines = [name + b": " + value for name, value in [*request.headers, *fixed]]
    return b"\r\n".join([b"POST %s HTTP/1.1" % request.path.encode(), *lines, b"", b""]) + request.body


def mutated(chance: random.Random, request: fuzzing.Request) -> bytes:
    """Return the bytes of a mutated request."""
    if request.kind != HEAD:
        return raw(fuzzing.mutated(chance, request))
    head, end, body = raw(request).partition(b"\r\n\r\n")
    data = bytearray(head)
    chance.choice(fuzzing.MUTATIONS)(chance, data)
    return bytes(data) + end + body


async def exchange(door: Door, sent: bytes) -> tuple[int, bytes]:
    """Send bytes and nothing more; return status and body of the answer, 0 for a connection that was closed.

    A server that waits for more, because a length was mutated, hears after `WAIT_S` that nothing comes. To
    say so at once would have most requests refused unread: HAProxy takes such a client for one that left.

    Raises `TimeoutError` if the server neither answers nor closes within `fuzzing.LIMIT_S`.
    """
    async with asyncio.timeout(fuzzing.LIMIT_S):
        reader, writer = await asyncio.open_connection(*door)
        try:
            writer.write(sent)
            receiving = asyncio.ensure_future(reader.read())
            await asyncio.wait([receiving], timeout=WAIT_S)
            if not receiving.done():
                writer.write_eof()
            received = await receiving
        except OSError:
            # The server has closed the connection, maybe before all was sent.
            return 0, b""
        finally:
            writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    # What a wrong length leaves over is a second request, whose refusal follows.
    if length := re.search(rb"\r\ncontent-length: *(\d+)", head.lower()):
        body = body[: int(length[1])]
    if received and not found:
        raise ValueError(f"no HTTP: {received[:100]!r}")
    return int(found[1]) if found else 0, body


async def run(door: Door, count: int, seed: int) -> fuzzing.Report:
    """Send that many mutated requests, one after the other, each on a connection of its own."""
    chance, report = random.Random(seed), fuzzing.Report()
    good = fuzzing.requests()
    seeds = [*good, *(fuzzing.Request(HEAD, each.path, each.headers, each.body) for each in good[-5:])]
    by_kind = {kind: [each for each in seeds if each.kind == kind] for kind in {each.kind for each in seeds}}
    kinds = sorted(by_kind)
    for number in range(count):
        request, started = chance.choice(by_kind[kinds[number % len(kinds)]]), time.monotonic()
        name = f"request {number} of seed {seed} ({request.kind})"
        try:
            status, body = await exchange(door, mutated(chance, request))
        except (TimeoutError, ValueError) as error:
            report.problems.append(f"{name}: {error!r}")
            continue
        report.slowest_s = max(report.slowest_s, time.monotonic() - started)
        # What HAProxy cannot parse, it refuses with a page of its own.
        code = ErrorAnswer.model_validate_json(body).code if status >= 400 and body[:1] == b"{" else ""
        report.answers[f"{request.kind} {status} {code}".rstrip()] += 1
        if status not in {0, *TOO_LONG, *fuzzing.ALLOWED}:
            report.problems.append(f"{name} is {status}: {body[:200]!r}")
    return report

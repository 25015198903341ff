"""The outermost layer: headers that steer the server, ids of requests, and the server's own refusals."""

import json
from typing import Any

import httpx2
import pytest
from ray.serve._private import constants
from ray.serve._private.http_util import convert_object_to_asgi_messages
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.api import edge
from deployments.api.edge import EdgeMiddleware
from deployments.api.errors import ErrorAnswer

Headers = list[tuple[bytes, bytes]]


async def ask(
    headers: Headers, answer: list[Message] | None = None, path: str = "/diarize"
) -> tuple[Headers, int, Headers, bytes]:
    """Send one request through; return its headers inside, and status, headers and body outside."""
    inside: Headers = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        inside.extend(scope["headers"])
        for message in answer or convert_object_to_asgi_messages({"a": 1}):
            await send(message)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    await EdgeMiddleware(app)(scope, None, send)  # type: ignore[arg-type]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return inside, sent[0]["status"], sent[0]["headers"], body


@pytest.mark.parametrize(
    "name",
    [
        constants.SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
        constants.SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
        constants.SERVE_MULTIPLEXED_MODEL_ID,
        constants.SERVE_MULTIPLEXED_MODEL_ID.replace("_", "-"),
        constants.SERVE_SESSION_ID,
        constants.SERVE_SESSION_ID.replace("-", "_").upper(),
        constants.SERVE_INGRESS_ROUTER_HEADER_PREFIX + "target",
        "näme",
    ],
)
async def test_a_header_that_steers_serve_is_removed(name: str) -> None:
    inside, *_ = await ask([(name.encode(), b"0"), (b"accept", b"a/b")])

    assert (b"accept", b"a/b") in inside
    assert [header for header, _ in inside] == [b"accept", b"x-request-id"]


@pytest.mark.parametrize("value", [b"visit-4711", b"a" * 128, b"!~"])
async def test_a_printable_request_id_is_kept(value: bytes) -> None:
    inside, _, outside, _ = await ask([(b"X-Request-ID", value)])

    assert dict(inside)[b"x-request-id"] == value
    assert [found for name, found in outside if name == b"x-request-id"] == [value]


@pytest.mark.parametrize(
    "values", [[b"\xff"], [b"a" * 129], [b""], [b"two words"], ["\x85".encode()], [b"a\x1b[2J"], [b"a", b"b"]]
)
async def test_any_other_request_id_is_replaced_by_one_new_one(values: list[bytes]) -> None:
    inside, _, outside, _ = await ask([(b"x-request-id", value) for value in values])

    (one,) = (value for name, value in inside if name == b"x-request-id")
    assert one not in values
    assert edge.is_request_id(one)
    assert [value for name, value in outside if name == b"x-request-id"] == [one]


async def test_the_ids_that_serve_adds_to_an_answer_are_one() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [[b"x-request-id", b"a"]] * 3}
    _, _, outside, _ = await ask([(b"x-request-id", b"a")], [start, {"type": "http.response.body"}])

    assert outside == [(b"x-request-id", b"a")]


async def test_a_header_that_is_not_utf8_but_is_nobody_elses_stays() -> None:
    inside, *_ = await ask([(b"user-agent", b"M\xfcller"), (b"traceparent", b"\xff")])

    assert (b"user-agent", b"M\xfcller") in inside
    assert b"traceparent" not in dict(inside)


@pytest.mark.parametrize(
    ("status", "code"),
    [(408, "deadline_exceeded"), (404, "http"), (500, "internal"), (503, "overloaded"), (418, "http")],
)
async def test_a_refusal_of_serve_gets_our_body(status: int, code: str) -> None:
    answer = convert_object_to_asgi_messages("Request dropped.", status_code=status)

    _, found, outside, body = await ask([(b"x-request-id", b"mine")], answer)

    refused = ErrorAnswer.model_validate_json(body)
    headers = dict(outside)
    assert (found, refused.code, refused.request_id) == (status, code, "mine")
    assert int(headers[b"content-length"]) == len(body)
    assert (b"retry-after" in headers) == (status == 503)


async def test_a_request_whose_replica_died_is_refused_with_our_body() -> None:
    async def leaves_without_an_answer(scope: Scope, receive: Receive, send: Send) -> None:
        return

    sent = await answered_by(leaves_without_an_answer)

    assert sent[0]["status"] == 503
    assert ErrorAnswer.model_validate_json(sent[1]["body"]).code == "overloaded"


async def test_a_server_that_fails_refuses_with_our_body() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    sent: list[Message] = []
    with pytest.raises(ZeroDivisionError):
        await answered_by(fails, sent)

    assert sent[0]["status"] == 500
    assert ErrorAnswer.model_validate_json(sent[1]["body"]).code == "internal"


async def answered_by(app: ASGIApp, sent: list[Message] | None = None) -> list[Message]:
    sent = [] if sent is None else sent

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/diarize", "headers": []}
    await EdgeMiddleware(app)(scope, None, send)  # type: ignore[arg-type]
    return sent


async def test_the_time_that_serve_names_is_kept() -> None:
    answer = convert_object_to_asgi_messages("Busy.", status_code=503, extra_headers=[(b"retry-after", b"7")])

    _, _, outside, _ = await ask([], answer)

    assert [value for name, value in outside if name == b"retry-after"] == [b"7"]


async def test_probes_of_serve_are_answered_as_serve_does() -> None:
    answer = convert_object_to_asgi_messages("DRAINING", status_code=503)

    _, status, _, body = await ask([], answer, path="/-/healthz")

    assert (status, body) == (503, b"DRAINING")


async def test_the_errors_of_the_application_pass_unchanged(client: httpx2.AsyncClient) -> None:
    app: Any = client._transport.app  # type: ignore[attr-defined]
    client._transport.app = EdgeMiddleware(app)  # type: ignore[attr-defined]

    response = await client.post("/detect-language", content=b"no audio", headers={"x-request-id": "mine"})

    assert response.status_code == 400
    assert response.json()["request_id"] == "mine"
    assert response.json()["code"] == "unsupported_audio"
    assert response.headers.get_list("x-request-id") == ["mine"]


def test_every_refusal_has_the_fields_of_an_error() -> None:
    for status in edge.REFUSALS:
        _, body = edge.refusal(status, "mine")
        assert set(json.loads(body)) == set(ErrorAnswer.model_fields)

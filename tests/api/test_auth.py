"""API keys: who is let in, to what, and how often; without keys, what only this machine may do."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asgi
import clips
import httpx2
import pytest

from config.settings import GraphSettings
from deployments.api import auth
from deployments.api.app import create_app
from voxgraph.keys import Key, KeysError, add_key, make_key, revoke_key, write_keys

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")
REMOTE, HERE = "203.0.113.7", "127.0.0.1"
ADMIN = ["/clear-cache", "/cleanup-files"]


def client_at(address: str, analyzer: Any, **settings: object) -> httpx2.AsyncClient:
    app = create_app(analyzer, GraphSettings.model_validate(settings))
    return asgi.client_at(app, address)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def assert_is(response: httpx2.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("path", ADMIN)
async def test_without_keys_only_this_machine_may_administer(analyzer: Any, path: str) -> None:
    async with client_at(REMOTE, analyzer) as remote, client_at(HERE, analyzer) as here:
        assert_is(await remote.post(path), 403, "forbidden")
        assert_is(await remote.post(path + "/"), 403, "forbidden")
        assert (await here.post(path)).status_code == 200
        assert (await remote.post("/detect-language", content=WAV)).status_code == 200


@pytest.mark.parametrize("address", [HERE, REMOTE])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("vox_guessed"),
        bearer(""),
        {"authorization": "Basic dm94OnZveA=="},
        {"x-api-key": "vox_guessed"},
        {"authorization": "Bearer \xff".encode("latin-1")},
    ],
)
async def test_with_keys_a_request_without_a_valid_one_is_401(
    analyzer: Any, address: str, headers: dict[str, Any]
) -> None:
    _, key = make_key("ours")
    async with client_at(address, analyzer, api_keys=[key]) as client:
        refused = await client.post("/detect-language", content=WAV, headers=headers)

    assert_is(refused, 401, "unauthenticated")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert analyzer.waveform is None


async def test_a_key_is_taken_from_either_header(analyzer: Any) -> None:
    secret, key = make_key("ours")
    async with client_at(REMOTE, analyzer, api_keys=[key]) as client:
        for headers in (bearer(secret), {"authorization": f"bearer {secret}"}, {"x-api-key": secret}):
            assert (await client.post("/detect-language", content=WAV, headers=headers)).status_code == 200


@pytest.mark.parametrize("path", ADMIN)
async def test_administration_needs_its_scope(analyzer: Any, path: str) -> None:
    asking, ask = make_key("asks")
    ruling, admin = make_key("rules", ["admin"])
    async with client_at(HERE, analyzer, api_keys=[ask, admin]) as client:
        assert_is(await client.post(path, headers=bearer(asking)), 403, "forbidden")
        assert (await client.post(path, headers=bearer(ruling))).status_code == 200
        refused = await client.post("/detect-language", content=WAV, headers=bearer(ruling))
        assert_is(refused, 403, "forbidden")
        assert "scope ask" in refused.json()["detail"]


async def test_pages_are_open_on_this_machine_and_where_it_is_chosen(analyzer: Any) -> None:
    _, key = make_key("ours")
    pages = ["/", "/openapi.json", "/health"]
    for address, chosen, status in [
        (HERE, None, 200),
        (REMOTE, None, 401),
        (REMOTE, True, 200),
        (HERE, False, 401),
    ]:
        async with client_at(address, analyzer, api_keys=[key], open_pages=chosen) as client:
            assert {(await client.get(path)).status_code for path in pages} == {status}
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/stats")).status_code == 401


async def test_a_key_that_is_revoked_in_the_file_is_refused_without_a_restart(
    analyzer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REREAD_S", 0.0)
    path = tmp_path / "keys.json"
    first = add_key(path, "first")
    async with client_at(REMOTE, analyzer, keys_file=str(path)) as client:
        assert (await client.get("/stats", headers=bearer(first))).status_code == 200
        second = add_key(path, "second")
        assert (await client.get("/stats", headers=bearer(second))).status_code == 200
        revoke_key(path, "first")
        assert_is(await client.get("/stats", headers=bearer(first)), 401, "unauthenticated")
        path.write_text("[{")
        assert (await client.get("/stats", headers=bearer(second))).status_code == 200
        revoke_key_by_hand(path)
        assert_is(await client.get("/stats", headers=bearer(second)), 401, "unauthenticated")


def revoke_key_by_hand(path: Path) -> None:
    path.write_text("[]")


def test_a_missing_file_of_keys_does_not_open_the_door(analyzer: Any, tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="missing"):
        create_app(analyzer, GraphSettings(keys_file=str(tmp_path / "missing.json")))


async def test_a_key_has_a_rate_and_says_so(analyzer: Any) -> None:
    secret, key = make_key("ours", requests_per_minute=3)
    other, unlimited = make_key("others")
    async with client_at(REMOTE, analyzer, api_keys=[key, unlimited]) as client:
        answers = [await client.get("/stats", headers=bearer(secret)) for _ in range(4)]
        free = await client.get("/stats", headers=bearer(other))

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert_is(answers[3], 429, "rate_limited")
    assert 15 <= int(answers[3].headers["retry-after"]) <= 21
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"requests";q=3;w=60'}
    assert [answer.headers["ratelimit"] for answer in answers] == [
        f'"requests";r={n};t=60' for n in (2, 1, 0, 0)
    ]
    assert free.status_code == 200
    assert "ratelimit" not in free.headers


async def test_the_replicas_of_a_graph_count_the_requests_of_a_key_together(analyzer: Any) -> None:
    secret, key = make_key("ours", requests_per_minute=3)
    async with (
        client_at(REMOTE, analyzer, api_keys=[key]) as one,
        client_at(REMOTE, analyzer, api_keys=[key]) as other,
    ):
        answers = [await client.get("/stats", headers=bearer(secret)) for client in (one, other) * 2]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]


async def test_a_key_has_a_number_of_recordings_at_a_time_in_all_replicas(analyzer: Any) -> None:
    secret, key = make_key("ours", max_concurrent=1)
    started, ends = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> Any:
        started.set()
        await ends.wait()
        return analyzer.language

    analyzer.detect_language = slow
    upload = {"content": WAV, "headers": bearer(secret)}
    async with (
        client_at(REMOTE, analyzer, api_keys=[key]) as one,
        client_at(REMOTE, analyzer, api_keys=[key]) as other,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(one.post("/detect-language", **upload))
        await started.wait()
        for client in (one, other):
            refused = await client.post("/detect-language", **upload)
            assert_is(refused, 429, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert refused.headers["ratelimit-policy"] == '"recordings";q=1;qu="concurrent-requests"'
            assert refused.headers["ratelimit"] == '"recordings";r=0'
        assert (await other.get("/stats", headers=bearer(secret))).status_code == 200
        ends.set()
        assert (await first).status_code == 200
        assert (await other.post("/detect-language", **upload)).status_code == 200


async def test_a_key_with_both_limits_says_both(analyzer: Any) -> None:
    secret, key = make_key("ours", requests_per_minute=2, max_concurrent=3)
    async with client_at(REMOTE, analyzer, api_keys=[key]) as client:
        answers = [
            await client.post("/detect-language", content=WAV, headers=bearer(secret)) for _ in range(3)
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    rate = '"requests";q=2;w=60'
    assert answers[0].headers["ratelimit-policy"] == f'{rate}, "recordings";q=3;qu="concurrent-requests"'
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"requests";r=1;t=60, "recordings";r=2',
        '"requests";r=0;t=60, "recordings";r=2',
        '"requests";r=0;t=60',
    ]


async def test_a_recording_that_is_refused_or_left_holds_no_place(analyzer: Any) -> None:
    secret, key = make_key("ours", max_concurrent=1)
    async with client_at(REMOTE, analyzer, api_keys=[key]) as client:
        bad = await client.post("/detect-language", content=b"no recording", headers=bearer(secret))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.post("/detect-language", content=_endless(), headers=bearer(secret))
        good = await client.post("/detect-language", content=WAV, headers=bearer(secret))

    assert (bad.status_code, good.status_code) == (400, 200)


async def _endless() -> AsyncIterator[bytes]:
    yield WAV[:100]
    await asyncio.sleep(60)


async def test_the_log_has_the_name_of_a_key_and_never_the_key(
    analyzer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    secret, key = make_key("clinic-7", requests_per_minute=1)
    caplog.set_level(logging.DEBUG)
    counted = list[tuple[str, int]]()
    analyzer.state.observe_key = lambda *of: counted.append(of)
    async with client_at(REMOTE, analyzer, api_keys=[key]) as client:
        answers = [await client.get("/stats", headers=bearer(secret)) for _ in range(2)]
        answers.append(await client.get("/stats", headers=bearer(secret + "x")))

    assert [answer.status_code for answer in answers] == [200, 429, 401]
    assert caplog.text.count("key clinic-7") >= 2
    assert counted == [("clinic-7", 200), ("clinic-7", 429)]
    assert secret not in caplog.text
    assert not any(secret in answer.text for answer in answers)


async def test_ids_of_others_are_not_shown(analyzer: Any) -> None:
    (one, first), (two, second) = make_key("one"), make_key("two")
    keys = [first, second]
    ends = asyncio.Event()

    async def slow(*_: object) -> Any:
        await ends.wait()
        return analyzer.accent

    analyzer.identify_accent = slow
    async with client_at(REMOTE, analyzer, api_keys=keys) as client, asyncio.TaskGroup() as tasks:
        headers = bearer(one) | {"x-request-id": "patient-4711"}
        tasks.create_task(client.post("/identify", content=WAV, headers=headers))
        while not (await analyzer.state.queue()).running:
            await asyncio.sleep(0.01)
        own = (await client.get("/queue-status", headers=bearer(one))).json()
        others = (await client.get("/queue-status", headers=bearer(two))).json()
        ends.set()

    assert own["active_request_ids"] == ["patient-4711"]
    assert (others["active_request_ids"], others["active_requests"]) == ([], 1)


def test_a_file_of_two_keys_with_one_name_is_refused(tmp_path: Path) -> None:
    _, key = make_key("twice")
    write_keys(tmp_path / "keys.json", [key, key])

    with pytest.raises(KeysError, match="same name"):
        auth.Keyring(GraphSettings(keys_file=str(tmp_path / "keys.json")))


def test_keys_in_the_settings_are_checked() -> None:
    good = Key("a", "0" * 64)

    assert GraphSettings.model_validate({"api_keys": [{"name": "a", "sha256": "0" * 64}]}).api_keys == (good,)
    for bad in (
        {"sha256": "x"},
        {"scopes": ["root"]},
        {"scopes": []},
        {"requests_per_minute": 0},
        {"name": ""},
    ):
        with pytest.raises(ValueError, match="api_keys"):
            GraphSettings.model_validate({"api_keys": [{"name": "a", "sha256": "0" * 64} | bad]})

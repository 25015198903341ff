"""Names of the server and pages of other sites: DNS rebinding and cross-site requests are refused."""

from typing import Any

import clips
import httpx2
import pytest

from deployments.api.hosts import LOOPBACK_HOSTS, default_hosts

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("127.0.0.1", LOOPBACK_HOSTS),
        ("::1", LOOPBACK_HOSTS),
        ("localhost", LOOPBACK_HOSTS),
        ("0.0.0.0", None),
        ("192.0.2.1", None),
        ("", None),
    ],
)
def test_a_server_on_the_loopback_has_the_names_of_the_loopback(address: str, hosts: Any) -> None:
    assert default_hosts(address) == hosts


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8000", "127.0.0.1:59171", "[::1]:8000", "[::1]"])
async def test_its_own_names_are_answered(client_of: Any, host: str) -> None:
    client = client_of(allowed_hosts=LOOPBACK_HOSTS)

    assert (await client.get("/queue-status", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["attacker.example", "localhost.attacker.example", "127.0.0.1.nip.example", "[::2]"]
)
async def test_another_name_is_421(client_of: Any, host: str) -> None:
    client = client_of(allowed_hosts=LOOPBACK_HOSTS)

    refused = await client.get("/queue-status", headers={"host": host})

    assert (refused.status_code, refused.json()["code"]) == (421, "unknown_host")


@pytest.mark.parametrize("page", [{"origin": "http://attacker.example"}, {"origin": "null"}])
async def test_a_page_of_another_name_may_not_ask(client_of: Any, page: dict[str, str]) -> None:
    client = client_of(allowed_hosts=LOOPBACK_HOSTS)

    refused = await client.post("/clear-cache", headers={"host": "attacker.example", **page})

    assert (refused.status_code, refused.json()["code"]) == (421, "unknown_host")


async def test_a_client_behind_a_proxy_may_ask_by_the_name_of_the_proxy(client_of: Any) -> None:
    client = client_of(allowed_hosts=LOOPBACK_HOSTS)
    sent = {"host": "voice.example.org", "x-forwarded-proto": "https"}

    assert (await client.post("/clear-cache", headers=sent)).status_code == 200


async def test_without_a_list_every_name_is_answered(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/livez", headers={"host": "voice.example"})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "same-site", "origin": "https://other.voxgraph"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://[::1"},
        {"origin": "http://voxgraph.evil.example"},
    ],
)
@pytest.mark.parametrize("path", ["/clear-cache", "/cleanup-files", "/detect-language"])
async def test_a_page_of_another_site_is_403(
    client: httpx2.AsyncClient, analyzer: Any, path: str, headers: dict[str, str]
) -> None:
    refused = await client.post(path, content=WAV, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert analyzer.waveform is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin", "origin": "http://voxgraph"},
        {"sec-fetch-site": "none"},
        {"origin": "http://voxgraph"},
        {"origin": "https://voxgraph"},
        {"sec-fetch-site": "cross-site", "origin": "https://ours.example"},
        {"origin": "https://ours.example"},
    ],
)
async def test_our_own_pages_allowed_origins_and_programs_are_answered(
    client_of: Any, headers: dict[str, str]
) -> None:
    client = client_of(cors_origins=["https://ours.example"])

    assert (await client.post("/detect-language", content=WAV, headers=headers)).status_code == 200


async def test_any_origin_may_be_allowed(client_of: Any) -> None:
    client = client_of(cors_origins=["*"])
    headers = {"sec-fetch-site": "cross-site", "origin": "https://any.example"}

    assert (await client.post("/detect-language", content=WAV, headers=headers)).status_code == 200

"""The page at `/`, the documentation, their files and the headers that protect them."""

import base64
import re
from typing import Any

import clips
import httpx2
import pytest

from deployments.api.page.pages import DOCS_MARK

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": "gzip, br"}
WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")


def links(html: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+)"', html)


async def test_browsers_get_the_page_and_programs_the_overview(client: httpx2.AsyncClient) -> None:
    page, overview = await client.get("/", headers=BROWSER), await client.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert overview.json()["docs"] == "/docs"
    assert page.headers["vary"] == overview.headers["vary"] == "accept"


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_allows_only_its_own_origin_and_a_new_nonce(
    client: httpx2.AsyncClient, path: str
) -> None:
    first, second = [await client.get(path, headers=BROWSER) for _ in range(2)]

    policies = [page.headers["content-security-policy"] for page in (first, second)]
    nonces = [re.findall("'nonce-([^']+)'", policy) for policy in policies]
    assert nonces[0] != nonces[1]
    assert f'nonce="{nonces[0][0]}"' in first.text
    assert "default-src 'none'" in first.headers["content-security-policy"]
    assert "unsafe" not in first.headers["content-security-policy"]
    assert not re.search(r"https?://", first.text)


async def test_the_files_of_a_page_never_change_and_come_compressed(client: httpx2.AsyncClient) -> None:
    for path in ("/", "/docs"):
        for link in links((await client.get(path, headers=BROWSER)).text):
            plain = await client.get(link, headers={"accept-encoding": "identity"})
            small = await client.get(link, headers=BROWSER)

            assert plain.status_code == 200, link
            assert small.headers["content-encoding"] == "gzip"
            assert small.content == plain.content
            assert "immutable" in small.headers["cache-control"]
            assert re.search(r"javascript|css|svg", small.headers["content-type"])


@pytest.mark.parametrize("name", ["nothing.js", "..%2Findex.html", "%2e%2e%2f__init__.py"])
async def test_no_other_file_is_served(client: httpx2.AsyncClient, name: str) -> None:
    response = await client.get(f"/assets/{name}")

    assert (response.status_code, response.json()["code"]) == (404, "http")


@pytest.mark.parametrize("prefix", ["", "/voice"], ids=["stripped", "left"])
async def test_behind_a_prefix_the_links_of_the_pages_begin_with_it(client_of: Any, prefix: str) -> None:
    client = client_of(root_path="/voice")

    for path in ("/", "/docs"):
        found = links((await client.get(f"{prefix}{path}", headers=BROWSER)).text)
        assert found
        assert all(link.startswith("/voice/assets/") for link in found)
        answers = [await client.get(link.removeprefix("/voice" if not prefix else "")) for link in found]
        assert {answer.status_code for answer in answers} == {200}


async def test_the_page_links_to_the_documentation_only_where_there_is_one(client_of: Any) -> None:
    marks = [
        DOCS_MARK in (await client_of(docs=docs).get("/", headers=BROWSER)).text for docs in (True, False)
    ]

    assert marks == [True, False]


async def test_page_and_documentation_can_be_switched_off(client_of: Any) -> None:
    client = client_of(page=False, docs=False)

    index = await client.get("/", headers=BROWSER)

    assert index.headers["content-type"] == "application/json"
    assert [(await client.get(path)).status_code for path in ("/docs", "/openapi.json")] == [404, 404]


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/nothing"])
async def test_every_answer_forbids_guessing_its_type_frames_and_referrers(
    client: httpx2.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"


async def test_an_analysis_has_peaks_if_it_is_asked_for_them(client: httpx2.AsyncClient) -> None:
    with_peaks = (await client.post("/v1/analyze?tasks=language&peaks=20", content=WAV)).json()
    without = (await client.post("/v1/analyze?tasks=language", content=WAV)).json()

    assert with_peaks["peaks"]["per_second"] == 20
    assert len(base64.b64decode(with_peaks["peaks"]["data"])) == 40
    assert with_peaks["peaks"]["scale"] == pytest.approx(0.3, abs=1e-3)
    assert "peaks" not in without


@pytest.mark.parametrize("peaks", [0, 101, "many"])
async def test_peaks_out_of_range_are_refused(client: httpx2.AsyncClient, peaks: object) -> None:
    response = await client.post(f"/v1/analyze?peaks={peaks}", content=WAV)

    assert (response.status_code, response.json()["code"]) == (422, "invalid_options")

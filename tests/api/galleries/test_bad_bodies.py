"""What galleries refuse of the bodies and parameters that a hostile or careless client sends."""

from typing import Any

import httpx2
import pytest
from tone_voices import CONSENT

STAFF = "/v1/galleries/staff"
ANNA = f"{STAFF}/speakers/a-1"


def refused(answer: httpx2.Response) -> bool:
    return (answer.status_code, answer.json().get("code")) == (422, "invalid_options")


@pytest.mark.parametrize("given", [None, "", "a/b", ".", "..", "a\u202eb", "a\nb", "x" * 129])
async def test_a_speaker_is_not_renamed_to_what_no_url_leads_to(
    staff: httpx2.AsyncClient, given: Any
) -> None:
    assert refused(await staff.patch(ANNA, json={"external_id": given}))
    assert (await staff.get(ANNA)).json()["external_id"] == "a-1"


@pytest.mark.parametrize(
    "name", ["a\nb", "\x1b[31mred", "\x00", "a\u202eb", "\u2066a", "\u2028", " ", "\u200b"]
)
async def test_a_name_has_nothing_that_a_terminal_obeys(staff: httpx2.AsyncClient, name: str) -> None:
    assert refused(await staff.put(f"{STAFF}/speakers/n-1", json={"display_name": name, "consent": CONSENT}))
    assert refused(await staff.patch(ANNA, json={"display_name": name}))


@pytest.mark.parametrize(
    "name",
    [
        "Zoë Ångström",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "क्\u200dष",
        "李 小龙",
        "<b>[red]x[/red]</b>",
        "👩\u200d🚀",
    ],
)
async def test_names_of_all_scripts_are_kept_as_they_are(staff: httpx2.AsyncClient, name: str) -> None:
    assert (await staff.patch(ANNA, json={"display_name": name})).json()["display_name"] == name


@pytest.mark.parametrize(
    "times",
    [
        {"given_at": "9999-12-31T23:59:59-23:00"},
        {"given_at": "0001-01-01T00:00:00+23:00"},
        {"given_at": "2026-11-28T10:00:00Z", "expires_at": "9999-12-31T23:59:59-23:00"},
        {"given_at": "2999-01-01T00:00:00Z"},
    ],
)
async def test_a_consent_has_times_that_can_be(staff: httpx2.AsyncClient, times: dict[str, str]) -> None:
    assert refused(await staff.put(ANNA, json={"consent": {"purposes": ["door"], **times}}))


async def test_a_purpose_is_short_for_the_ledger_keeps_it_for_good(staff: httpx2.AsyncClient) -> None:
    before = len((await staff.get("/v1/ledger")).content)
    consent = {**CONSENT, "purposes": ["x" * 5_000] * 50}

    assert refused(await staff.put(ANNA, json={"consent": consent}))
    assert len((await staff.get("/v1/ledger")).content) == before


async def test_metadata_has_finite_numbers(staff: httpx2.AsyncClient) -> None:
    answer = await staff.put(ANNA, content='{"metadata": {"x": 1e999}}')

    assert refused(answer)
    assert "finite" in answer.json()["detail"]


async def test_no_line_of_the_ledger_has_a_number_beyond_a_database(staff: httpx2.AsyncClient) -> None:
    assert refused(await staff.get("/v1/ledger", params={"after": 1 << 63}))
    assert (await staff.get("/v1/ledger", params={"after": (1 << 63) - 1})).json() == {"entries": []}


@pytest.mark.parametrize("name", ["%2e", "%2e%2e"])
async def test_no_gallery_is_called_by_dots_that_clients_resolve(
    client: httpx2.AsyncClient, name: str
) -> None:
    assert refused(await client.put(f"/v1/galleries/{name}"))


@pytest.mark.parametrize(
    ("change", "code"),
    [({"embedding": [1e300] * 192}, "invalid_embedding"), ({"model": "x" * 201}, "invalid_options")],
)
async def test_an_embedding_that_float32_cannot_hold_and_a_long_name_are_refused(
    staff: httpx2.AsyncClient, change: dict[str, Any], code: str
) -> None:
    body = {"embedding": [0.1] * 192, "model": "m", "revision": "r", "speech_s": 5.0, **change}
    answer = await staff.post(f"{ANNA}/references", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)

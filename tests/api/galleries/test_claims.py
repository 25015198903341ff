"""A voice may be claimed in vain only so often."""

import httpx2
import pytest
from tone_voices import ANNA, BERT, wav_of

from deployments.api import claims
from deployments.api.claims import MOST_IN_VAIN, WINDOW_S, Claims
from voxgraph.errors import RateLimited


async def test_a_claim_that_fails_again_and_again_is_429(staff: httpx2.AsyncClient) -> None:
    path = "/v1/galleries/staff/verify"

    failed = [await staff.post(path, content=wav_of(BERT), params={"speaker": "a-1"}) for _ in range(10)]
    refused = await staff.post(path, content=wav_of(ANNA), params={"speaker": "a-1"})
    other = await staff.post(path, content=wav_of(BERT), params={"speaker": "b-2"})

    assert {each.json()["decision"] for each in failed} == {"no_match"}
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert "retry-after" in refused.headers
    assert other.json()["decision"] == "match"


def test_a_claim_is_let_in_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MOST_SPEAKERS", 2)
    now = 0.0
    counted = Claims(lambda: now)
    anna, bert, cleo = (("t", "g", name) for name in "abc")
    for _ in range(MOST_IN_VAIN):
        counted.failed(anna)

    with pytest.raises(RateLimited):
        counted.check(anna)
    counted.check(bert)
    now = WINDOW_S
    counted.check(anna)
    for each in (anna, bert, cleo):
        counted.failed(each)
    assert len(counted._in_vain) == 2

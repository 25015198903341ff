"""The options that choose the language or the encoder of a recording."""

import json
from dataclasses import replace
from typing import Any

import clips
import httpx2
import pytest

from voxgraph.options import ModelKey

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")
ONE = {"file": ("1.wav", WAV)}
PAIR = {"file1": ("1.wav", WAV), "file2": ("2.wav", WAV)}
STORED = {"audio": ("1.wav", WAV), "embedding": ("e.json", json.dumps([1.0] * 192).encode())}
VOICES = [
    ("/extract-embedding", ONE), ("/embedding", ONE), ("/compare", PAIR), ("/compare_embedding", STORED),
    ("/v1/speaker/compare", PAIR), ("/v1/analyze", ONE),
]  # fmt: skip
ALL = [("/detect-language", ONE), *VOICES]
VOXCELEB = "speechbrain/spkrec-ecapa-voxceleb"


async def post(client: httpx2.AsyncClient, path: str, files: Any, **options: Any) -> dict[str, Any]:
    response = await client.post(path, files=files, data=options)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize(("path", "files"), ALL)
async def test_the_allowed_languages_reach_the_analyzer_in_lower_case(
    client: httpx2.AsyncClient, analyzer: Any, path: str, files: Any
) -> None:
    await post(client, path, files, languages="EN, zh")

    assert analyzer.languages == ("en", "zh")


async def test_the_probabilities_are_of_the_allowed_languages_alone_and_sum_to_one(
    client: httpx2.AsyncClient,
) -> None:
    answer = await post(client, "/detect-language", ONE, languages="en,zh")

    assert (answer["language"], answer["name"]) == ("zh", "Chinese")
    assert answer["probabilities"] == pytest.approx({"zh": 0.8, "en": 0.2})
    assert answer["confidence"] == pytest.approx(0.8)


@pytest.mark.parametrize(("path", "files"), ALL)
@pytest.mark.parametrize(("languages", "named"), [("en,xx,klingon", "'xx', 'klingon'"), (",", "''")])
async def test_unknown_languages_are_refused_by_name(
    client: httpx2.AsyncClient, path: str, files: Any, languages: str, named: str
) -> None:
    response = await client.post(path, files=files, data={"languages": languages})

    assert response.status_code == 422
    assert response.json()["code"] == "invalid_options"
    assert named in response.json()["detail"]


@pytest.mark.parametrize(("path", "files"), VOICES)
@pytest.mark.parametrize("encoder", ["voxceleb", "cnceleb"])
async def test_a_named_encoder_reaches_the_analyzer(
    client: httpx2.AsyncClient, analyzer: Any, path: str, files: Any, encoder: str
) -> None:
    await post(client, path, files, encoder=encoder)

    assert analyzer.encoder == ModelKey(f"speaker_{encoder}")


@pytest.mark.parametrize(("path", "files"), VOICES)
async def test_an_encoder_that_does_not_exist_is_refused(
    client: httpx2.AsyncClient, path: str, files: Any
) -> None:
    response = await client.post(path, files=files, data={"encoder": "wavlm"})

    assert response.status_code == 422
    assert "encoder" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/extract-embedding", "/embedding"])
async def test_an_embedding_by_a_named_encoder_has_no_language(client: httpx2.AsyncClient, path: str) -> None:
    answer = await post(client, path, ONE, encoder="voxceleb")

    assert answer["language"] is None
    assert answer["model"] == VOXCELEB


@pytest.mark.parametrize("options", [{"encoder": "voxceleb"}, {}])
async def test_a_stored_embedding_of_another_encoder_is_not_compared(
    client: httpx2.AsyncClient, analyzer: Any, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one checkpoint has the places of both encoders, so that the named model does not answer."""
    embed = analyzer.embed

    async def starter(*arguments: Any) -> Any:
        result = await embed(*arguments)
        return replace(result, embedding=replace(result.embedding, model=VOXCELEB))

    monkeypatch.setattr(analyzer, "embed", starter)
    stored = json.dumps({"model": "LanceaKing/spkrec-ecapa-cnceleb", "embedding": [1.0] * 192}).encode()

    response = await client.post(
        "/compare_embedding", files=STORED | {"embedding": ("e.json", stored)}, data=options
    )

    assert response.status_code == 422
    assert response.json()["code"] == "space_mismatch"


@pytest.mark.parametrize("warning", [None, "Only 1 s of speech."])
async def test_a_language_says_whether_it_is_calibrated_and_uncertain(
    client: httpx2.AsyncClient, analyzer: Any, warning: str | None
) -> None:
    analyzer.language = replace(analyzer.language, calibrated=True, warning=warning)

    answer = await post(client, "/detect-language", ONE)
    analysis = await post(client, "/v1/analyze", ONE, tasks="language")

    assert (answer["calibrated"], answer["uncertain"]) == (True, warning is not None)
    assert answer["warning"] == warning
    answer.pop("quality")
    assert analysis["language"] == {key: value for key, value in answer.items() if value is not None}

"""Embeddings in a JSON body are compared; an invalid body is answered 422 with the place of the error."""

import json
import re
import time
from typing import Any

import httpx2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import AudioLimits
from deployments.api.compat import voices
from deployments.api.compat.matching import cosines
from deployments.api.compat.voice_schemas import COMPARISON, SEARCH, MatchesAnswer
from voxgraph.errors import InvalidEmbedding, InvalidOptions, SpaceMismatch
from voxgraph.ranking import largest

VECTORS = np.random.default_rng(0).normal(size=(200, 192))


def vector(seed: int = 0) -> list[float]:
    numbers: list[float] = VECTORS[seed].tolist()
    return numbers


def stored(count: int = 3, **changes: Any) -> dict[str, Any]:
    """Return a search whose best match is the voice in the middle, with `changes` to that voice."""
    gallery: list[dict[str, Any]] = [
        {"id": f"voice {n}", "embedding": vector(n + 1), "metadata": {"n": n}} for n in range(count)
    ]
    gallery[count // 2] |= {"embedding": vector(0)} | changes
    return {"user_embedding": vector(0), "stored_embeddings": gallery}


def raw(search: dict[str, Any], **texts: str) -> bytes:
    """Return JSON in which each quoted name of `texts` is replaced by its raw text."""
    text = json.dumps(search)
    for name, piece in texts.items():
        assert f'"{name}"' in text
        text = text.replace(f'"{name}"', piece)
    return text.encode()


def run_search(body: bytes | dict[str, Any]) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer: dict[str, Any] = json.loads(voices.search(bytearray(content)))
    return answer


async def assert_refused(client: httpx2.AsyncClient, path: str, content: bytes, *words: str) -> None:
    response = await client.post(path, content=content)
    assert response.status_code == 422, response.text
    assert response.json()["error_type"] == "ValidationError"
    for word in words:
        assert word in response.json()["detail"]


async def test_a_voice_has_similarity_one_to_itself(client: httpx2.AsyncClient) -> None:
    body = {"embedding1": vector(), "embedding2": (3 * VECTORS[0]).tolist()}

    response = await client.post("/compare-voices", json=body)

    assert response.json() == {"success": True, "similarity": 1.0, "is_match": True, "threshold": 0.25}
    assert response.headers["server-timing"].startswith("match;dur=")


async def test_the_threshold_decides_the_match_and_is_in_the_answer(client: httpx2.AsyncClient) -> None:
    body = {"embedding1": vector(0), "embedding2": vector(1)}
    similarity = float(cosines(VECTORS[0], VECTORS[1:2])[0])

    answers = [
        (await client.post("/compare-voices", json=body | {"threshold": threshold})).json()
        for threshold in (similarity - 0.01, similarity, -1, 1)
    ]

    assert [answer["similarity"] for answer in answers] == [similarity] * 4
    assert [answer["is_match"] for answer in answers] == [True, False, True, False]
    assert answers[1]["threshold"] == similarity


async def test_embeddings_of_two_spaces_are_not_compared(client: httpx2.AsyncClient) -> None:
    body = {"embedding1": vector(), "embedding2": vector()}
    same = {"model1": "a", "model2": "a", "revision1": "x", "revision2": None}

    assert (await client.post("/compare-voices", json=body | same)).status_code == 200
    for differs in ({"model1": "a", "model2": "b"}, {"revision1": "x", "revision2": "y"}):
        response = await client.post("/compare-voices", json=body | differs)
        assert (response.status_code, response.json()["code"]) == (422, "space_mismatch")


async def test_the_best_match_comes_first_with_its_metadata(client: httpx2.AsyncClient) -> None:
    response = await client.post("/find-match", json=stored() | {"top_n": 2})

    answer = response.json()
    assert response.headers["content-type"] == "application/json"
    assert answer["best_match"] == {
        "id": "voice 1", "similarity": 1.0, "is_match": True, "metadata": {"n": 1}
    }  # fmt: skip
    assert answer["top_matches"][0] == answer["best_match"]
    assert len(answer["top_matches"]) == 2
    assert MatchesAnswer.model_validate(answer).model_dump() == answer


def test_a_gallery_of_many_blocks_equals_the_slow_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    parse_vector = voices._parse_vector
    parsed_slowly: list[str] = []

    def watched(number_list: Any, name: str) -> Any:
        parsed_slowly.append(name)
        return parse_vector(number_list, name)

    monkeypatch.setattr(voices, "_parse_vector", watched)
    ids = [n if n % 2 else f"voice {n}" for n in range(200)]
    gallery = [{"embedding": row.tolist(), "id": id_} for id_, row in zip(ids, VECTORS, strict=True)]
    query = VECTORS[150] + 0.5 * VECTORS[7]

    answer = run_search({"stored_embeddings": gallery, "top_n": 9, "user_embedding": query.tolist()})

    expected = [
        float(query @ row / np.linalg.norm(query) / np.linalg.norm(row)) for row in VECTORS
    ]  # fmt: skip
    order = largest(np.array(expected), 9)
    assert [match["id"] for match in answer["top_matches"]] == [ids[index] for index in order]
    assert [match["similarity"] for match in answer["top_matches"]] == pytest.approx(
        [expected[index] for index in order], abs=1e-11
    )
    assert [match["is_match"] for match in answer["top_matches"]] == [
        expected[index] > 0.25 for index in order
    ]
    # Only the user's embedding is parsed slowly.
    assert parsed_slowly == ["user_embedding"]


def test_equal_voices_keep_the_order_of_the_request() -> None:
    search = {
        "user_embedding": vector(0),
        "stored_embeddings": [{"id": n, "embedding": vector(n % 3)} for n in range(150)],
        "top_n": 60,
    }

    ids = [match["id"] for match in run_search(search)["top_matches"]]

    assert ids[:50] == list(range(0, 150, 3))


@pytest.mark.parametrize("top_n", [3, 4, 10**30])
def test_top_n_beyond_the_gallery_returns_all(top_n: int) -> None:
    assert len(run_search(stored() | {"top_n": top_n})["top_matches"]) == 3


@pytest.mark.parametrize(
    "metadata",
    [
        "1e400",
        "123456789012345678901234567890",
        "0.10",
        '{"a":1,"a":  2}',
        '"\\u00fc\\ud83d\\ude00"',
        '"ü"',
        '"}]"',
        "[[],{}]",
        "null",
        '{"embedding": [1, 2.50, 3]}',
        '{"embedding": ["a]", 2]}',
        '{"user_embedding":[],"embedding1": [ ],"embedding": {"embedding": [1]}}',
        '"\\"embedding\\": [1, 2]"',
        '{"\\"embedding":[1]}',
        '{"a\\\\":"embedding","embedding" :\\n[7]}'.replace("\\n", "\n"),
    ],
)
def test_metadata_is_returned_byte_for_byte(metadata: str) -> None:
    body = raw(stored(metadata="THIS"), THIS=metadata)

    answer = voices.search(bytearray(body)).decode()

    assert f'"metadata":{metadata}}}' in answer
    assert json.loads(answer)["top_matches"][1]["metadata"] in ({"n": 0}, {"n": 2})


def test_the_layout_of_the_json_makes_no_difference() -> None:
    search = stored(4)
    plain = run_search(search)
    spaced = json.dumps(search, indent=700).encode()
    escaped = json.dumps(search).replace('"embedding"', '"embeddin\\u0067"').encode()
    twice = raw(search).replace(b'{"id"', b'{"embedding": [1], "id"')
    reversed_ = json.dumps(
        {
            "top_n": 5,
            "stored_embeddings": [dict(reversed(one.items())) for one in search["stored_embeddings"]],
            "unknown": {"embedding": vector(5)},
            "user_embedding": search["user_embedding"],
        }
    ).encode()

    for body in (spaced, escaped, twice, reversed_):
        assert run_search(body) == plain


def test_rare_numbers_are_read_exactly() -> None:
    rest = ", ".join(map(repr, vector()[3:]))
    text = f"[1{'0' * 25}, -9223372036854775808, -0, {rest}]"
    same = [1e25, -(2.0**63), 0.0, *vector()[3:]]

    answer = run_search(raw(stored(embedding="THIS") | {"user_embedding": same}, THIS=text))

    assert (answer["best_match"]["id"], answer["best_match"]["similarity"]) == ("voice 1", 1.0)
    assert answer["top_matches"][1]["similarity"] < 0.5


BAD_LISTS = {
    "[]": "0 numbers",
    "[1, 2]": "2 numbers",
    "[" + "1," * 192 + "1]": "193 numbers",
    "[" + "1," * 50_000 + "1]": "50001 numbers",
    "[" + "0," * 191 + "0]": "zeros",
    "[" + "0," * 191 + "1e-400]": "zeros",
    "[" + "1," * 191 + "NaN]": "NaN",
    "[" + "1," * 191 + "-Infinity]": "NaN or infinite",
    "[" + "1," * 191 + "1e400]": "NaN or infinite",
    "[" + "1," * 191 + "1" * 400 + "]": "NaN or infinite",
    "[" + "1," * 191 + "null]": "values that are not numbers",
    "[" + "1," * 191 + "true]": "values that are not numbers",
    "[" + "1," * 191 + "{}]": "values that are not numbers",
    "[" + "1," * 191 + '"1"]': "values that are not numbers",
    "[" + "1," * 191 + "[1]]": "values that are not numbers",
    "[[" + "1," * 191 + "1]]": "values that are not numbers",
    "[" + "[1]," * 191 + "[1]]": "values that are not numbers",
    "[" + "1," * 191 + "01]": "not JSON",
    "[" + "1," * 191 + "]": "not JSON",
    "[" + "1," * 191 + "\x00]": "not JSON",
    '"text"': "not a list",
    "null": "not a list",
    "7": "not a list",
    "{}": "not a list",
}


@pytest.mark.parametrize("text", BAD_LISTS, ids=lambda text: text[-12:])
async def test_an_invalid_embedding_is_refused_by_name(client: httpx2.AsyncClient, text: str) -> None:
    bad = raw(stored(embedding="THIS"), THIS=text)
    user = raw(stored() | {"user_embedding": "THIS"}, THIS=text)
    second = raw({"embedding1": vector(), "embedding2": "THIS"}, THIS=text)

    await assert_refused(client, "/find-match", bad, "stored_embeddings[1] (id 'voice 1'):", BAD_LISTS[text])
    await assert_refused(client, "/find-match", user, "user_embedding:", BAD_LISTS[text])
    await assert_refused(client, "/compare-voices", second, "embedding2:", BAD_LISTS[text])


def test_the_first_of_several_invalid_embeddings_is_named() -> None:
    search = stored(150)
    for index in (70, 90, 140):
        search["stored_embeddings"][index]["embedding"] = [0.0] * 192

    with pytest.raises(InvalidEmbedding, match=r"^stored_embeddings\[70\] \(id 'voice 70'\): .*zeros"):
        run_search(search)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stored_embeddings": []}, ["length >= 1", "stored_embeddings"]),
        ({"stored_embeddings": None}, ["stored_embeddings"]),
        ({"stored_embeddings": {"a": 1}}, ["stored_embeddings"]),
        ({"stored_embeddings": [1]}, ["stored_embeddings[0]"]),
        ({"stored_embeddings": [{"id": 1}]}, ["`embedding`", "stored_embeddings[0]"]),
        ({"stored_embeddings": [{"embedding": [1]}]}, ["`id`", "stored_embeddings[0]"]),
        ({"top_n": 0}, ["top_n", ">= 1"]),
        ({"top_n": "5"}, ["top_n"]),
        ({"top_n": None}, ["top_n"]),
        ({"top_n": 1.5}, ["top_n"]),
        ({"top_n": True}, ["top_n"]),
        ({"threshold": "0.2"}, ["threshold"]),
        ({"threshold": 1.01}, ["threshold"]),
        ({"threshold": None}, ["threshold"]),
        ({"threshold": [0.2]}, ["threshold"]),
        ({"model": 5}, ["model"]),
    ],
)
async def test_a_field_of_a_wrong_type_is_refused_by_name(
    client: httpx2.AsyncClient, change: dict[str, Any], words: list[str]
) -> None:
    await assert_refused(client, "/find-match", raw(stored() | change), *words)


@pytest.mark.parametrize("wrong", [1.5, True, None, [1], {"a": 1}])
async def test_an_id_is_a_string_or_an_integer(client: httpx2.AsyncClient, wrong: Any) -> None:
    await assert_refused(client, "/find-match", raw(stored(id=wrong)), "stored_embeddings[1].id")
    assert run_search(stored(id="1"))["best_match"]["id"] == "1"
    assert run_search(stored(id=10**30))["best_match"]["id"] == 10**30


async def test_a_repeated_id_is_refused(client: httpx2.AsyncClient) -> None:
    await assert_refused(
        client, "/find-match", raw(stored(5, id="voice 1")), "stored_embeddings[2] (id 'voice 1')", "same id"
    )
    mixed = stored(3, id="0")
    mixed["stored_embeddings"][0]["id"] = 0
    assert len(run_search(mixed)["top_matches"]) == 3


def test_a_number_and_its_string_are_two_ids() -> None:
    numbers = [0, 1, -1, 31, 10**30]
    ids = [*numbers, *map(str, numbers), *(f"{number:x}" for number in (-31, 31, 10**30))]
    gallery = [{"id": id_, "embedding": vector(n)} for n, id_ in enumerate(ids)]
    search = {"user_embedding": vector(), "stored_embeddings": gallery, "top_n": len(ids)}

    assert [match["id"] for match in run_search(search)["top_matches"]] != []
    assert {repr(match["id"]) for match in run_search(search)["top_matches"]} == set(map(repr, ids))
    for repeated in gallery:
        with pytest.raises(InvalidOptions, match=r"stored_embeddings\[13\].*same id"):
            run_search(search | {"stored_embeddings": [*gallery, repeated]})


def test_ids_with_the_same_hash_are_checked_in_linear_time() -> None:
    colliding = [n * (2**61 - 1) for n in range(20_000)]
    assert len({hash(n) for n in colliding}) == 1
    nothing = msgspec.Raw(b"[]")
    gallery = [voices.StoredVoice(id=n, embedding=nothing) for n in colliding]

    started_s = time.process_time()
    voices._check_ids(voices.Search(user_embedding=nothing, stored_embeddings=gallery))

    assert time.process_time() - started_s < 1


async def test_a_long_id_is_truncated_in_the_error(client: httpx2.AsyncClient) -> None:
    response = await client.post("/find-match", content=raw(stored(id="\ud7ff" * 5000, embedding=[])))

    assert response.status_code == 422
    assert len(response.json()["detail"]) < 300


def test_a_stored_voice_of_another_space_is_refused_by_name() -> None:
    ours = {"model": "a", "revision": "x"}

    assert run_search(stored(**ours) | ours)["best_match"]["id"] == "voice 1"
    assert run_search(stored(model="b"))["best_match"]["id"] == "voice 1"
    for other in ({"model": "b"}, {"model": "a", "revision": "y"}):
        with pytest.raises(SpaceMismatch, match=r"stored_embeddings\[1\] \(id 'voice 1'\)"):
            run_search(stored(**other) | ours)


@pytest.mark.parametrize("path", ["/compare-voices", "/find-match"])
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b"{}{}", "missing"),
        (b"not JSON", "JSON"),
        (b"[]", "array"),
        (b"null", "null"),
        (b"5", "object"),
        (b'{"a": 1}', "missing"),
        (b'{"threshold": NaN}', "JSON"),
        (b'{"threshold": 1e400}', "range"),
        (b'{"embedding": [1, 2', "JSON"),
        (b'\xff\xfe{\x00', "JSON"),
        (b'{"model": "\xff", "model1": "\xff"}', "UTF-8"),
        (b'{"model": "\\ud800", "model1": "\\ud800"}', "JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b'{"embedding": [' * 1000, "nested"),
    ],
)  # fmt: skip
async def test_a_body_that_does_not_match_its_schema_is_refused(
    client: httpx2.AsyncClient, path: str, content: bytes, word: str
) -> None:
    await assert_refused(client, path, content, word)


async def test_metadata_that_is_not_utf8_is_refused(client: httpx2.AsyncClient) -> None:
    await assert_refused(
        client, "/find-match", raw(stored(metadata="THIS")).replace(b"THIS", b"\xff"), "[1]", "UTF-8"
    )


@pytest.mark.parametrize("embedding", ["[]", "0", "null"])
def test_too_many_embeddings_are_refused_before_they_become_objects(
    monkeypatch: pytest.MonkeyPatch, embedding: str
) -> None:
    monkeypatch.setattr(voices, "MAX_VOICES", 4)
    tiny = [{"id": n, "embedding": "THIS"} for n in range(4)]

    with pytest.raises(InvalidOptions, match="more than 4 embeddings"):
        run_search(raw({"user_embedding": vector(), "stored_embeddings": tiny}, THIS=embedding))
    assert len(run_search(stored(3))["top_matches"]) == 3


def test_broken_json_is_located_by_its_offset_in_the_original_body() -> None:
    body = raw(stored(5, metadata={"embedding": [1, 2]}))[:-2] + b"!"
    with pytest.raises(msgspec.DecodeError) as whole:
        msgspec.json.decode(body)

    with pytest.raises(InvalidOptions, match=re.escape(str(whole.value))):
        run_search(body)


@given(st.data())
def test_a_damaged_body_raises_only_documented_errors(data: st.DataObject) -> None:
    body = bytearray(raw(stored(metadata={"embedding": [1, 2]}), **{"voice 0": '"embedding"'}))
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(body) - 1))
        body[index : index + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from(
                [b"", b'"', b"[", b"]", b"{", b"}", b"\\", b",", b"0", b"NaN", b"\xff", b'"embedding":[']
            )
        )
    try:
        reference = json.loads(bytes(body), parse_constant=lambda _: None)
    except (ValueError, UnicodeDecodeError):
        reference = None
    try:
        answer = json.loads(voices.search(body))
    except (InvalidOptions, InvalidEmbedding, SpaceMismatch):
        return
    assert reference is not None
    best = next(one for one in reference["stored_embeddings"] if one["id"] == answer["best_match"]["id"])
    assert best.get("metadata") == answer["best_match"]["metadata"]
    similarity = cosines(np.array(reference["user_embedding"], float), np.array([best["embedding"]], float))
    assert similarity[0] == answer["best_match"]["similarity"]


@pytest.mark.parametrize("path", ["/compare-voices", "/find-match"])
async def test_a_body_over_the_limit_is_refused(client_of: Any, path: str) -> None:
    client = client_of(limits=AudioLimits(max_gallery_bytes=2000))

    async def without_length() -> Any:
        for _ in range(3):
            yield bytes(1000)

    for content in (bytes(2001), without_length()):
        assert (await client.post(path, content=content)).status_code == 413


async def test_the_documentation_shows_the_bodies_and_the_answers(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    for path, body, answer in (
        ("/compare-voices", COMPARISON, "LikenessAnswer"),
        ("/find-match", SEARCH, "MatchesAnswer"),
    ):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"] == body
        assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {
            "$ref": f"#/components/schemas/{answer}"
        }
        assert document["components"]["schemas"][answer]["examples"]
        assert {"413", "422", "500"} <= set(operation["responses"])


@pytest.mark.parametrize(("schema", "model"), [(COMPARISON, voices.Comparison), (SEARCH, voices.Search)])
def test_the_documented_fields_are_those_of_the_models(schema: dict[str, Any], model: Any) -> None:
    assert set(schema["properties"]) == set(model.__struct_fields__)
    assert len(schema["required"]) == len(model.__struct_fields__) - len(model.__struct_defaults__)
    if model is voices.Search:
        item = schema["properties"]["stored_embeddings"]["items"]
        assert set(item["properties"]) == set(voices.StoredVoice.__struct_fields__)

"""Requests as clients really send them: forms, lists, names, compressed bodies, HEAD, slashes, prefixes."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import clips
import httpx2
import numpy as np
import pytest

from config.settings import AudioLimits

WAV = clips.soundfile_bytes(clips.tone(1.0), 16_000, "WAV", "PCM_16")
LONG_WAV = clips.soundfile_bytes(clips.tone(4.0), 16_000, "WAV", "PCM_16")
BOUNDARY = "----voice"


def form(*parts: tuple[str, bytes]) -> dict[str, Any]:
    """Return a multipart body of parts with these headers and contents, as keywords of a request."""
    body = b"".join(
        f"--{BOUNDARY}\r\n{header}\r\n\r\n".encode() + content + b"\r\n" for header, content in parts
    )
    return {
        "content": body + f"--{BOUNDARY}--\r\n".encode(),
        "headers": {"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
    }


def text(name: str, value: str) -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="{name}"', value.encode()


FILE = ('Content-Disposition: form-data; name="file"; filename="voice.wav"', WAV)


@pytest.mark.parametrize(
    "query",
    [
        "tasks=language,accent",
        "tasks=language&tasks=accent",
        "tasks[]=language&tasks[]=accent",
        "tasks[0]=language&tasks[1]=accent",
        "tasks=language&tasks[]=accent&tasks=",
    ],
)
async def test_a_list_in_the_query_is_heeded_however_it_is_written(
    client: httpx2.AsyncClient, analyzer: Any, query: str
) -> None:
    response = await client.post(f"/v1/analyze?{query}", content=WAV)

    assert response.status_code == 200, response.text
    assert analyzer.tasks == ("language", "accent")


@pytest.mark.parametrize("names", [("tasks", "tasks"), ("tasks[]", "tasks[]"), ("tasks[0]", "tasks[1]")])
async def test_a_list_in_a_form_is_heeded_however_it_is_written(
    client: httpx2.AsyncClient, analyzer: Any, names: tuple[str, str]
) -> None:
    body = form(text(names[0], "language"), text(names[1], "accent"), FILE)

    response = await client.post("/v1/analyze", **body)

    assert response.status_code == 200, response.text
    assert analyzer.tasks == ("language", "accent")


async def test_an_option_with_two_values_is_refused(client: httpx2.AsyncClient) -> None:
    twice = await client.post("/diarize?num_speakers=2&num_speakers=3", content=WAV)
    same = await client.post("/diarize?num_speakers=2&num_speakers=2", content=WAV)

    assert twice.status_code == 422
    assert "num_speakers has 2 values: 2, 3" in twice.json()["detail"]
    assert same.status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/analyze", "/diarize", "/audio/analyze-audio", "/embedding", "/detect-language"]
)
async def test_an_unknown_option_is_refused_by_its_name(client: httpx2.AsyncClient, path: str) -> None:
    by_query = await client.post(f"{path}?treshold=0.5", content=WAV)
    by_form = await client.post(path, **form(text("treshold", "0.5"), FILE))

    for response in (by_query, by_form):
        assert response.status_code == 422, response.text
        assert "no option treshold here" in response.json()["detail"]


EXTENDED = "Content-Disposition: form-data; name=\"file\"; filename*=utf-8''st%C3%BCck.wav"


@pytest.mark.parametrize("content", [WAV, LONG_WAV], ids=["short", "long"])
@pytest.mark.parametrize(
    "header",
    [
        EXTENDED,
        'Content-Disposition: form-data; name="file"\r\nContent-Type: audio/wav',
        'Content-Disposition: form-data; name="file"',
        'Content-Disposition: form-data; name="audio"; filename=""',
        "Content-Disposition: form-data; name=file; filename*=ISO-8859-1'de'st%FCck.wav",
        "Content-Disposition: form-data; name=\"file\"; filename*=utf-9''a.wav",
    ],
)
async def test_a_file_is_one_with_or_without_a_plain_name(
    client: httpx2.AsyncClient, analyzer: Any, header: str, content: bytes
) -> None:
    response = await client.post("/detect-language", **form((header, content)))

    assert response.status_code == 200, response.text
    assert len(analyzer.waveform) == (len(content) - 44) // 2


async def test_text_in_the_field_of_a_file_is_422_that_says_filename(client: httpx2.AsyncClient) -> None:
    response = await client.post("/detect-language", **form(text("file", "voice.wav")))

    assert response.status_code == 422
    assert "filename" in response.json()["detail"]


async def test_an_extended_file_name_is_decoded(client: httpx2.AsyncClient) -> None:
    response = await client.post("/v1/batch?tasks=language", **form((EXTENDED, WAV)))

    assert '"filename":"stück.wav"' in response.text


def bare_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:1_000]) + gzip.compress(data[1_000:])),
        ("deflate", zlib.compress),
        ("deflate", bare_deflate),
        ("identity", bytes),
    ],
)
async def test_a_compressed_body_is_read(
    client: httpx2.AsyncClient, analyzer: Any, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    headers = {"content-encoding": encoding}

    response = await client.post("/detect-language", content=compress(WAV), headers=headers)

    assert response.status_code == 200, response.text
    assert len(analyzer.waveform) == 16_000


async def test_a_compressed_form_and_gallery_are_read(client: httpx2.AsyncClient) -> None:
    body = form(FILE)
    headers = {**body["headers"], "content-encoding": "gzip"}
    response = await client.post("/detect-language", content=gzip.compress(body["content"]), headers=headers)

    assert response.status_code == 200, response.text


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "aes128gcm"])
async def test_another_encoding_is_415_and_named(client: httpx2.AsyncClient, encoding: str) -> None:
    response = await client.post("/detect-language", content=WAV, headers={"content-encoding": encoding})

    assert response.status_code == 415
    assert encoding in response.json()["detail"]
    assert "gzip and deflate" in response.json()["detail"]


@pytest.mark.parametrize("body", [WAV, gzip.compress(WAV)[:-500], gzip.compress(WAV) + b"more"])
async def test_a_body_that_is_not_what_its_encoding_says_is_400(
    client: httpx2.AsyncClient, body: bytes
) -> None:
    response = await client.post("/detect-language", content=body, headers={"content-encoding": "gzip"})

    assert (response.status_code, response.json()["code"]) == (400, "unreadable_body")


async def test_what_comes_out_of_a_compressed_body_is_limited(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_upload_bytes=1_000_000))
    bomb = gzip.compress(bytes(100_000_000))
    assert len(bomb) < 1_000_000

    response = await client.post("/detect-language", content=bomb, headers={"content-encoding": "gzip"})

    assert response.status_code == 413


async def test_a_body_that_expands_a_thousand_times_is_refused_early(client_of: Any) -> None:
    client = client_of(limits=AudioLimits())
    headers = {"content-encoding": "gzip"}
    quiet = clips.soundfile_bytes(np.zeros(2_000_000, np.float32), 16_000, "WAV", "PCM_16")

    bomb = await client.post("/detect-language", content=gzip.compress(bytes(100_000_000)), headers=headers)
    within = await client.post("/detect-language", content=gzip.compress(quiet), headers=headers)

    assert (bomb.status_code, bomb.json()["code"]) == (413, "upload_too_large")
    assert "20 times" in bomb.json()["detail"]
    assert within.status_code == 200, within.text


@pytest.mark.parametrize("path", ["/health", "/", "/docs", "/openapi.json", "/stats"])
async def test_head_is_get_without_a_body(client: httpx2.AsyncClient, path: str) -> None:
    head, get = await client.head(path), await client.get(path)

    assert head.status_code == get.status_code
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


async def test_head_of_what_only_takes_recordings_is_405(client: httpx2.AsyncClient) -> None:
    assert (await client.head("/detect-language")).status_code == 405


@pytest.mark.parametrize("path", ["/detect-language/", "/detect-language//"])
async def test_a_trailing_slash_is_answered_without_a_redirect(client: httpx2.AsyncClient, path: str) -> None:
    headers = {"host": "voice.example.org", "x-forwarded-proto": "https"}

    response = await client.post(path, content=WAV, headers=headers)

    assert response.status_code == 200, response.text


async def test_a_path_that_is_not_there_is_404_with_the_error_body(client: httpx2.AsyncClient) -> None:
    response = await client.post("/detect/", content=WAV)

    assert response.status_code == 404
    assert response.json()["code"] == "http"


async def test_a_chunked_body_is_read(client: httpx2.AsyncClient, analyzer: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(WAV), 1_000):
            yield WAV[start : start + 1_000]

    response = await client.post("/detect-language", content=chunks())

    assert response.status_code == 200, response.text
    assert len(analyzer.waveform) == 16_000


@pytest.mark.parametrize("prefix", ["", "/voice"], ids=["stripped", "left"])
async def test_behind_a_prefix_endpoints_answer(client_of: Any, prefix: str) -> None:
    answer = await client_of(root_path="/voice").post(f"{prefix}/detect-language", content=WAV)

    assert answer.status_code == 200, answer.text


async def test_a_channel_can_be_chosen(client: httpx2.AsyncClient, analyzer: Any) -> None:
    silent, tone = np.zeros((16_000, 1), np.float32), clips.tone(1.0)
    data = clips.soundfile_bytes(np.concatenate([silent, tone], axis=1), 16_000, "WAV", "FLOAT")

    for channel, peak in ((0, 0.0), (1, 0.3)):
        response = await client.post(f"/detect-language?channel={channel}", content=data)
        assert response.status_code == 200, response.text
        assert abs(analyzer.waveform).max() == pytest.approx(peak, abs=1e-3)
    absent = await client.post("/detect-language?channel=2", content=data)
    assert (absent.status_code, absent.json()["code"]) == (400, "unsupported_audio")


async def test_streamed_answers_ask_proxies_not_to_buffer_them(client: httpx2.AsyncClient) -> None:
    response = await client.post("/v1/batch?tasks=language", files={"file": ("a.wav", WAV)})

    assert response.headers["x-accel-buffering"] == "no"

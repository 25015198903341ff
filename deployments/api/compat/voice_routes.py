"""Endpoints that compare embeddings sent as JSON."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from deployments.api.body import check_content_length, limits_of, read_limited
from deployments.api.compat import voices
from deployments.api.compat.voice_schemas import COMPARISON, SEARCH, LikenessAnswer, MatchesAnswer, takes_json
from voxgraph.errors import UploadMissing

router = APIRouter(tags=["voices"])

Answer = TypeVar("Answer")


async def read_json(request: Request) -> bytearray:
    """Read a body into memory without a second copy.

    Raises what `check_content_length` and `read_limited` raise, and `UploadMissing` if the body has no bytes.
    """
    limit = limits_of(request).max_gallery_bytes
    check_content_length(request, limit)
    body = bytearray()
    async for chunk in read_limited(request, limit):
        body += chunk
    if not body:
        raise UploadMissing("The body is empty; it must be JSON.")
    return body


JsonBody = Annotated[bytearray, Depends(read_json)]


@router.post("/compare-voices", openapi_extra=takes_json(COMPARISON))
async def compare_voices(request: Request, body: JsonBody) -> LikenessAnswer:
    """Compare two voices by their embeddings."""
    similarity, threshold = await _in_thread(request, voices.compare, body)
    return LikenessAnswer(similarity=similarity, is_match=similarity > threshold, threshold=threshold)


@router.post("/find-match", openapi_extra=takes_json(SEARCH), response_model=MatchesAnswer)
async def find_match(request: Request, body: JsonBody) -> Response:
    """Find the stored voices most similar to the user's; galleries of about 100,000 voices are practical."""
    # Not serialized by the response model, because metadata is returned byte for byte as it was sent.
    answer = await _in_thread(request, voices.search, body)
    return Response(answer, media_type="application/json")


async def _in_thread(request: Request, function: Callable[[bytearray], Answer], body: bytearray) -> Answer:
    started = time.perf_counter()
    try:
        return await asyncio.to_thread(function, body)
    finally:
        request.state.timings["match"] = time.perf_counter() - started

"""Which voices are alike, of embeddings that the caller has kept."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from deployments.api.compat import voices
from deployments.api.compat.voice_schemas import COMPARISON, SEARCH, LikenessAnswer, MatchesAnswer, takes_json
from deployments.api.upload import check_announced, counted, limits_of
from voxgraph.errors import UploadMissing

router = APIRouter(tags=["voices"])

Answer = TypeVar("Answer")


async def read_json(request: Request) -> bytearray:
    """Read a body into memory, once.

    Raises:
        UploadTooLarge: Its length, announced or counted, is over the limit.
        UploadMissing: It has no bytes.
        DeadlineExceeded: It stood still.
    """
    limit = limits_of(request).max_gallery_bytes
    check_announced(request, limit)
    body = bytearray()
    async for chunk in counted(request, limit):
        body += chunk
    if not body:
        raise UploadMissing("The body is empty; it is to be JSON.")
    return body


JsonBody = Annotated[bytearray, Depends(read_json)]


@router.post("/compare-voices", openapi_extra=takes_json(COMPARISON))
async def compare_voices(request: Request, body: JsonBody) -> LikenessAnswer:
    """How alike two voices are, by their embeddings."""
    similarity, threshold = await _in_thread(request, voices.compare, body)
    return LikenessAnswer(similarity=similarity, is_match=similarity > threshold, threshold=threshold)


@router.post("/find-match", openapi_extra=takes_json(SEARCH), response_model=MatchesAnswer)
async def find_match(request: Request, body: JsonBody) -> Response:
    """The stored voices that are nearest to the user's, of up to a hundred thousand or so."""
    # Not through the response model: metadata is answered byte by byte as it came, which no object keeps.
    answer = await _in_thread(request, voices.search, body)
    return Response(answer, media_type="application/json")


async def _in_thread(request: Request, ask: Callable[[bytearray], Answer], body: bytearray) -> Answer:
    started = time.perf_counter()
    try:
        return await asyncio.to_thread(ask, body)
    finally:
        request.state.timings["match"] = time.perf_counter() - started

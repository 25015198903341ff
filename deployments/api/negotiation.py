"""Choose how a recording's answer is written, by the option ``format`` or the header ``Accept`` (RFC 9110).

JSON is what a client gets that asks for nothing, or for anything.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from voxgraph.errors import InvalidOptions, NotAcceptable
from voxgraph.formats import (
    CHUNK_FORMATS,
    FORMATS,
    JSON,
    TURN_FORMATS,
    file_name,
    uri_of,
    write,
    write_chunks,
)
from voxgraph.options import Task
from voxgraph.results import DeepfakeVerdict, DiarizationResult, ModelInfo

NDJSON, EVENTS = "ndjson", "events"
STREAMS = {NDJSON: "application/x-ndjson", EVENTS: "text/event-stream"}
"""Media types of the streamed answers."""
_MEDIA_TYPES = {name: written.media_type.partition(";")[0] for name, written in FORMATS.items()} | STREAMS
_RANGE = re.compile(r"\s*([\w!#$&^.+*-]+)/([\w!#$&^.+*-]+)\s*((?:;[^,]*)?)")
_QUALITY = re.compile(r";\s*q\s*=\s*(1(?:\.0{0,3})?|0(?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE)
VARY = {"vary": "Accept"}
"""Header of every answer that depends on ``Accept``, for caches."""


@dataclass(frozen=True, slots=True)
class _Range:
    """One media range of ``Accept``; `quality` is 0..1, and 0 refuses it."""

    type: str
    subtype: str
    quality: float

    def specificity(self, media_type: str) -> int | None:
        """Return how exactly the range names a media type: 2, 1, or 0 for any; None if it does not."""
        main, _, sub = media_type.partition("/")
        if self.type == "*":
            return 0
        if self.type != main:
            return None
        return 1 if self.subtype == "*" else 2 if self.subtype == sub else None


def formats_for(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return the formats of an analysis: those of its turns, or else those of its deepfake chunks."""
    if "diarization" in tasks:
        return (JSON, *TURN_FORMATS)
    return (JSON, *CHUNK_FORMATS) if "deepfake" in tasks else (JSON,)


def choose(request: Request, wanted: str | None, offers: Sequence[str], stream: bool | None = None) -> str:
    """Return the name of the format of an answer: one of `offers`, or of `STREAMS`.

    The option wins over the header. Of the formats that the header prefers equally, the one that it names
    most exactly is chosen, and then the first of `offers`, which is JSON.

    Args:
        request: Its header ``Accept`` is read.
        wanted: The option ``format``.
        offers: Formats of this answer, JSON first.
        stream: The option ``stream``; None if the answer cannot be streamed.

    Raises:
        NotAcceptable: The option or the header wants none of them.
        InvalidOptions: The answer is to be streamed, and in a format that is not.
    """
    if wanted is not None and wanted not in offers:
        raise NotAcceptable(_refusal(f"format={wanted}", offers))
    if wanted not in (None, JSON):
        if stream:
            raise InvalidOptions(f"A streamed answer is JSON; it cannot have format={wanted}.")
        return wanted
    if stream:
        return NDJSON
    streams = () if stream is None else tuple(STREAMS)
    accept = ", ".join(request.headers.getlist("accept"))
    chosen = _preferred(accept, (*(offers if wanted is None else (JSON,)), *streams))
    if chosen is None and wanted is None:
        raise NotAcceptable(_refusal(f"Accept: {accept[:200]}", (*offers, *streams)))
    return chosen or JSON


def turns_file(
    chosen: str, recording: str, result: DiarizationResult, duration_s: float, info: ModelInfo
) -> Response:
    """Answer turns as a file in one of `TURN_FORMATS`; `recording` is the name of the uploaded file."""
    uri = uri_of(recording)
    note = f"{info.hub_id}, revision {info.revision}"
    text = write(result.turns, chosen, uri=uri, duration_s=duration_s, note=note)
    return _file(text, chosen, uri)


def chunks_file(chosen: str, recording: str, verdict: DeepfakeVerdict) -> Response:
    """Answer the verdict on each chunk as a file in one of `CHUNK_FORMATS`."""
    return _file(write_chunks(verdict.chunks, chosen), chosen, uri_of(recording))


def _file(text: str, chosen: str, uri: str) -> Response:
    name = file_name(uri, chosen)
    plain = re.sub(r"[^\w .()-]", "_", name, flags=re.ASCII)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    headers = VARY | {"content-disposition": disposition}
    return Response(text, media_type=FORMATS[chosen].media_type, headers=headers)


def _preferred(accept: str, offers: Sequence[str]) -> str | None:
    """Return the offer that ``Accept`` prefers; the first if there is no range in it, None if it has none."""
    ranges = list(_ranges(accept))
    if not ranges:
        return offers[0]
    best = max(offers, key=lambda name: _rank(ranges, _MEDIA_TYPES[name]))  # the first of equal ones
    return best if _rank(ranges, _MEDIA_TYPES[best])[0] > 0 else None


def _rank(ranges: Sequence[_Range], media_type: str) -> tuple[float, int]:
    """Return the quality of a media type and how exactly it is named; the most exact range decides."""
    found = [(exact, one.quality) for one in ranges if (exact := one.specificity(media_type)) is not None]
    exact, quality = max(found, default=(0, 0.0))
    return quality, exact


def _ranges(accept: str) -> Iterator[_Range]:
    """Yield the media ranges of the header; what is no range is skipped."""
    for text in accept.split(","):
        if found := _RANGE.fullmatch(text):
            quality = _QUALITY.search(found[3])
            yield _Range(found[1].lower(), found[2].lower(), float(quality[1]) if quality else 1.0)


def _refusal(wanted: str, offers: Sequence[str]) -> str:
    names = ", ".join(f"{name} ({_MEDIA_TYPES[name]})" for name in offers)
    return f"The answer cannot be written as {wanted} asks. The formats of this answer are {names}."

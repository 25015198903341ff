"""Voices in the body of a request: parsed, compared, answered. Plain functions, for a thread to run.

A gallery of 100,000 voices is 300 MB of JSON, nearly all of it numbers. So the lists of numbers are cut out
of the body, a mark in the place of each; the small rest is parsed and checked as a whole, and the numbers
a few voices at a time, straight into an array. No number becomes a Python object, the body is copied at no
time, and no step holds the interpreter for long, so that other requests are answered in between.
"""

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
import simdjson

from deployments.api.compat.matching import Floats, Space, check_space, cosines, nearest
from voxgraph.errors import InvalidEmbedding, InvalidOptions
from voxgraph.similarity import DEFAULT_THRESHOLD, EMBEDDING_DIM

DEFAULT_TOP_N = 5
BLOCK = 64
"""Voices that are parsed at a time: about 1 ms, and they stay in the processor's cache."""
MAX_LIST_BYTES = 64 * 1024
"""Text of one list of numbers. A longer one is not cut out but read with the rest, which is slower."""
MAX_VOICES = 1_000_000
"""Embeddings in a body, real ones or not. A real one takes 400 bytes, but a million that are empty, with the
objects that stand for them, would fill the memory."""
SHOWN_ID = 80
"""Characters of an id in the detail of an error."""


Threshold = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]


class Comparison(msgspec.Struct):
    """The body of ``/compare-voices``."""

    embedding1: msgspec.Raw
    embedding2: msgspec.Raw
    threshold: Threshold = DEFAULT_THRESHOLD
    model1: str | None = None
    revision1: str | None = None
    model2: str | None = None
    revision2: str | None = None

    def lists(self) -> Iterator[msgspec.Raw]:
        """The embeddings as they were sent."""
        return iter((self.embedding1, self.embedding2))


class StoredVoice(msgspec.Struct, gc=False):
    """One voice of a gallery."""

    id: str | int
    embedding: msgspec.Raw
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    """JSON that nobody looks into: it is answered byte by byte as it came."""
    model: str | None = None
    revision: str | None = None


class Search(msgspec.Struct):
    """The body of ``/find-match``."""

    user_embedding: msgspec.Raw
    stored_embeddings: Annotated[list[StoredVoice], msgspec.Meta(min_length=1)]
    top_n: Annotated[int, msgspec.Meta(ge=1)] = DEFAULT_TOP_N
    threshold: Threshold = DEFAULT_THRESHOLD
    model: str | None = None
    revision: str | None = None

    def lists(self) -> Iterator[msgspec.Raw]:
        """The embeddings as they were sent, the user's first."""
        return chain((self.user_embedding,), (stored.embedding for stored in self.stored_embeddings))

    def name(self, index: int) -> str:
        """What an error calls a stored voice."""
        shown = ascii(self.stored_embeddings[index].id)[:SHOWN_ID]
        return f"stored_embeddings[{index}] (id {shown})"


class Match(msgspec.Struct):
    """A stored voice in the answer of ``/find-match``."""

    id: str | int
    similarity: float
    is_match: bool
    metadata: msgspec.Raw


class Matches(msgspec.Struct):
    """The answer of ``/find-match``; `voice_schemas.MatchesAnswer` documents it."""

    success: bool
    best_match: Match
    top_matches: list[Match]
    threshold: float


def compare(body: bytearray) -> tuple[float, float]:
    """The similarity of the two voices of a `Comparison`, and its threshold.

    Raises:
        InvalidOptions: The body is not the JSON of a `Comparison`.
        InvalidEmbedding: An embedding is not a list of 192 finite numbers, or is zero.
        SpaceMismatch: The embeddings are said to be of two encoders.
    """
    asked, lists = parse(body, Comparison)
    check_space(
        Space(asked.model1, asked.revision1), Space(asked.model2, asked.revision2), "The second embedding"
    )
    one, other = _vector(lists[0], "embedding1"), _vector(lists[1], "embedding2")
    return float(cosines(one, other[np.newaxis])[0]), asked.threshold


def search(body: bytearray) -> bytes:
    """The JSON of `Matches`: the stored voices of a `Search` that are nearest to the user's.

    Raises:
        InvalidOptions: The body is not the JSON of a `Search`, or an id is there twice.
        InvalidEmbedding: An embedding is not a list of 192 finite numbers, or is zero.
        SpaceMismatch: A stored voice is said to be of another encoder than the user's.
    """
    asked, lists = parse(body, Search)
    _check_ids(asked)
    _check_spaces(asked)
    similarities = _similarities(asked, lists)
    top = [_match(asked, index, float(similarities[index])) for index in nearest(similarities, asked.top_n)]
    return msgspec.json.encode(Matches(True, top[0], top, asked.threshold))


def _check_ids(asked: Search) -> None:
    seen: set[str | bytes] = set()
    for index, stored in enumerate(asked.stored_embeddings):
        # A number's own hash is its remainder by 2**61 - 1: a body may be full of numbers that have the same.
        key = stored.id if isinstance(stored.id, str) else b"%x" % stored.id
        if key in seen:
            raise InvalidOptions(f"{asked.name(index)}: another one before it has the same id.")
        seen.add(key)


def _check_spaces(asked: Search) -> None:
    space = Space(asked.model, asked.revision)
    for index, stored in enumerate(asked.stored_embeddings):
        if stored.model is not None or stored.revision is not None:
            check_space(space, Space(stored.model, stored.revision), asked.name(index))


def _similarities(asked: Search, lists: Sequence["NumberList"]) -> Floats:
    """Of each stored voice to the user's, shape (stored,)."""
    query = _vector(lists[0], "user_embedding")
    stored = lists[1:]
    similarities = np.empty(len(stored))
    parser = simdjson.Parser()
    for start in range(0, len(stored), BLOCK):
        block = stored[start : start + BLOCK]
        vectors = _fast(parser, block)
        found = None if vectors is None else cosines(query, vectors)
        if found is None or np.isnan(found).any():
            # Rare numbers that the fast parser leaves to others, or an error, which the slow way can name.
            rows = [_vector(one, asked.name(start + row)) for row, one in enumerate(block)]
            found = cosines(query, np.stack(rows))
        similarities[start : start + BLOCK] = found
    return similarities


def _match(asked: Search, index: int, similarity: float) -> Match:
    """One of the nearest. Its metadata's grammar was checked with the whole body, its encoding was not."""
    stored = asked.stored_embeddings[index]
    try:
        str(stored.metadata, "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidOptions(f"{asked.name(index)}: its metadata is not UTF-8.") from error
    return Match(stored.id, similarity, similarity > asked.threshold, stored.metadata)


class NumberList(NamedTuple):
    """The text of what was sent as an embedding."""

    text: memoryview
    cut: bool
    """Whether it is known to begin and end as a list and to hold no other list and no string."""


class _HasLists(Protocol):
    def lists(self) -> Iterator[msgspec.Raw]: ...


Body = TypeVar("Body", bound=_HasLists)


def parse(body: bytearray, model: type[Body]) -> tuple[Body, list[NumberList]]:
    """All of a body but the numbers, and the texts of its embeddings in the order of ``lists()``.

    Raises:
        InvalidOptions: It is not JSON, or not that of the model.
    """
    spans = _find_lists(body)
    asked, cuts = _parse_rest(body, spans, model)
    used = sorted(cut for cut in cuts if cut is not None)
    if len(used) != len(spans):
        # Metadata has lists of that name as well, which belong to the rest.
        spans = [spans[cut] for cut in used]
        asked, cuts = _parse_rest(body, spans, model)
    view = memoryview(body)
    return asked, [
        NumberList(memoryview(raw), False) if cut is None else NumberList(view[slice(*spans[cut])], True)
        for raw, cut in zip(asked.lists(), cuts, strict=True)
    ]


Span = tuple[int, int]

_KEY = re.compile(rb'(?:(?<=[^\\]")|(?<=[^\\]"user_))embedding[12]?"[ \t\r\n]*:[ \t\r\n]*')
"""What an embedding comes after. In JSON, the quotation mark before it can only be one that opens a key."""


def _find_lists(body: bytearray) -> list[Span]:
    """Where the embeddings' lists begin and end, if the body is JSON; flat ones without strings only.

    Raises:
        InvalidOptions: There are more than `MAX_VOICES` embeddings.
    """
    spans: list[Span] = []
    keys = position = 0
    while (position := body.find(b"embedding", position)) >= 0:
        key = _KEY.match(body, position)
        if key is None:
            position += 1
            continue
        keys += 1
        if keys > MAX_VOICES:
            raise InvalidOptions(f"The body has more than {MAX_VOICES} embeddings.")
        position = start = key.end()
        if not body.startswith(b"[", start):
            continue
        end = body.find(b"]", start, start + MAX_LIST_BYTES) + 1
        if end and body.find(b"[", start + 1, end) < 0 and body.find(b'"', start, end) < 0:
            spans.append((start, end))
        position = end or start + MAX_LIST_BYTES
    return spans


_MARK_BYTES = 26


def _parse_rest(body: bytearray, spans: list[Span], model: type[Body]) -> tuple[Body, list[int | None]]:
    """The body without some lists, and for each of ``lists()`` the number of its span, if it is one of them.

    The marks are random, so that nothing that was sent is taken for one.
    """
    secret = secrets.token_hex(8).encode()
    view = memoryview(body)
    kept: list[bytes | memoryview] = []
    position = 0
    for number, (start, end) in enumerate(spans):
        kept += [view[position:start], b'"%s%08d"' % (secret, number)]
        position = end
    kept.append(view[position:])
    try:
        asked = msgspec.json.decode(b"".join(kept), type=model)
    except msgspec.ValidationError as error:
        raise InvalidOptions(f"The body is not as it should be: {error}.") from error
    except UnicodeDecodeError as error:
        raise InvalidOptions("The body is not UTF-8.") from error
    except RecursionError as error:
        raise InvalidOptions("The body is nested too deeply.") from error
    except msgspec.DecodeError as error:
        raise InvalidOptions(f"The body is not JSON: {_located(str(error), spans)}.") from error
    marked = b'"' + secret
    texts = (bytes(raw) for raw in asked.lists())
    return asked, [int(text[len(marked) : -1]) if text.startswith(marked) else None for text in texts]


def _located(complaint: str, spans: list[Span]) -> str:
    """The complaint of the parser with the place in the whole body, not in what was left of it."""

    def whole(match: re.Match[str]) -> str:
        place = int(match[1])
        for start, end in spans:
            if place <= start:
                break
            place += end - start - _MARK_BYTES
        return f"(byte {place})"

    return re.sub(r"\(byte (\d+)\)", whole, complaint)


def _fast(parser: simdjson.Parser, block: Sequence[NumberList]) -> Floats | None:
    """The numbers of a few lists, shape (len(block), 192); None where the slow way must look at them."""
    if not all(one.cut for one in block):
        return None
    try:
        rows: Any = parser.parse(b"[" + b",".join([one.text for one in block]) + b"]")
        if any(len(row) != EMBEDDING_DIM for row in rows):
            return None
        return np.frombuffer(rows.as_buffer(of_type="d")).reshape(len(block), EMBEDDING_DIM)
    except (ValueError, TypeError, RuntimeError):
        return None


def _vector(sent: NumberList, name: str) -> Floats:
    """One list of numbers, shape (192,), slowly.

    Python's parser takes NaN, and reads 1e400 as infinite, so that both can be told from broken JSON.

    Raises:
        InvalidEmbedding: It is something else, or has no direction.
    """
    text = bytes(sent.text)
    if not text.startswith(b"["):
        raise InvalidEmbedding(f"{name}: the embedding is not a list of numbers.")
    if any(other in text[1:] for other in b'[{"'):
        raise InvalidEmbedding(f"{name}: the embedding has something else than numbers in it.")
    # Counted before they are parsed, because there may be millions.
    length = text.count(b",") + 1 if text[1:-1].strip() else 0
    if length != EMBEDDING_DIM:
        raise InvalidEmbedding(f"{name}: the embedding has {length} numbers, not {EMBEDDING_DIM}.")
    try:
        numbers = json.loads(str(text, "ascii"), parse_int=float)
    except ValueError as error:
        raise InvalidEmbedding(f"{name}: the embedding is not JSON.") from error
    if any(type(number) is not float for number in numbers):
        raise InvalidEmbedding(f"{name}: the embedding has something else than numbers in it.")
    vector = np.array(numbers)
    if not np.isfinite(vector).all():
        raise InvalidEmbedding(f"{name}: the embedding has NaN or infinite numbers.")
    if not vector.any():
        raise InvalidEmbedding(f"{name}: an embedding of zeros has no direction.")
    return vector

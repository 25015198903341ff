"""Parse and compare the voices in a request body. Plain functions, which run in a thread.

A gallery of 100,000 voices is 300 MB of JSON, nearly all of it numbers. Each list of numbers is therefore
replaced by a placeholder; the small rest is parsed and checked as a whole, and the numbers are parsed a few
voices at a time, straight into an array. No number becomes a Python object, the body is never copied, and no
step holds the interpreter lock for long, so that other requests are served in between.
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

from deployments.api.compat.matching import Floats, Space, check_space, cosines
from voxgraph.errors import InvalidEmbedding, InvalidOptions
from voxgraph.ranking import largest
from voxgraph.similarity import DEFAULT_THRESHOLD, EMBEDDING_DIM

DEFAULT_TOP_N = 5
BLOCK_VOICES = 64
"""Voices that are parsed at a time; takes about 1 ms and stays in the processor's cache."""
MAX_LIST_BYTES = 64 * 1024
"""Longest list of numbers that is cut out. A longer one is parsed with the rest, which is slower."""
MAX_VOICES = 1_000_000
"""Most embeddings in a body. Valid ones take at least 400 bytes each, but the size limit has room for so many
empty ones that the objects for them would fill the memory."""
MAX_OBJECTS = 2 * MAX_VOICES
"""Most objects in a body, with those in the metadata; each takes up to 490 bytes once it is parsed."""
MAX_ID_CHARS = 80
"""Most characters of an id in an error message."""

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

    def embeddings(self) -> Iterator[msgspec.Raw]:
        """Iterate over the embeddings as they were sent."""
        return iter((self.embedding1, self.embedding2))


class StoredVoice(msgspec.Struct, gc=False):
    """One voice of a gallery."""

    id: str | int
    embedding: msgspec.Raw
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    """JSON that is not parsed; the answer repeats it byte for byte."""
    model: str | None = None
    revision: str | None = None


class Search(msgspec.Struct):
    """The body of ``/find-match``."""

    user_embedding: msgspec.Raw
    stored_embeddings: Annotated[list[StoredVoice], msgspec.Meta(min_length=1, max_length=MAX_VOICES)]
    top_n: Annotated[int, msgspec.Meta(ge=1)] = DEFAULT_TOP_N
    threshold: Threshold = DEFAULT_THRESHOLD
    model: str | None = None
    revision: str | None = None

    def embeddings(self) -> Iterator[msgspec.Raw]:
        """Iterate over the embeddings as they were sent, the user's first."""
        return chain((self.user_embedding,), (stored.embedding for stored in self.stored_embeddings))

    def describe(self, index: int) -> str:
        """Return the name of a stored voice for error messages."""
        return f"stored_embeddings[{index}] (id {ascii(self.stored_embeddings[index].id)[:MAX_ID_CHARS]})"


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
    """Return the cosine similarity, -1..1, of the two voices of a `Comparison`, and its threshold.

    Raises:
        InvalidOptions: The body is not the JSON of a `Comparison`.
        InvalidEmbedding: An embedding is not a list of 192 finite numbers, or is zero.
        SpaceMismatch: The embeddings name two encoders.
    """
    request, lists = parse(body, Comparison)
    spaces = Space(request.model1, request.revision1), Space(request.model2, request.revision2)
    check_space(*spaces, "The second embedding")
    first, second = _parse_vector(lists[0], "embedding1"), _parse_vector(lists[1], "embedding2")
    return float(cosines(first, second[np.newaxis])[0]), request.threshold


def search(body: bytearray) -> bytes:
    """Return the JSON of `Matches`: the stored voices of a `Search` that are most similar to the user's.

    Raises:
        InvalidOptions: The body is not the JSON of a `Search`, or an id occurs twice.
        InvalidEmbedding: An embedding is not a list of 192 finite numbers, or is zero.
        SpaceMismatch: A stored voice names another encoder than the user's.
    """
    request, lists = parse(body, Search)
    _check_ids(request)
    _check_spaces(request)
    similarities = _similarities(request, lists)
    best = largest(similarities, request.top_n)
    top = [_match(request, index, float(similarities[index])) for index in best]
    return msgspec.json.encode(Matches(True, top[0], top, request.threshold))


def _check_ids(request: Search) -> None:
    seen: set[str | bytes] = set()
    for index, stored in enumerate(request.stored_embeddings):
        # An int's hash is its remainder by 2**61 - 1, so a body may be full of ints with the same hash.
        key = stored.id if isinstance(stored.id, str) else b"%x" % stored.id
        if key in seen:
            raise InvalidOptions(f"{request.describe(index)}: an earlier voice has the same id.")
        seen.add(key)


def _check_spaces(request: Search) -> None:
    space = Space(request.model, request.revision)
    for index, stored in enumerate(request.stored_embeddings):
        if stored.model is not None or stored.revision is not None:
            check_space(space, Space(stored.model, stored.revision), request.describe(index))


def _similarities(request: Search, lists: Sequence["NumberList"]) -> Floats:
    """Return the similarity of each stored voice to the user's, shape (stored,)."""
    query = _parse_vector(lists[0], "user_embedding")
    stored = lists[1:]
    similarities = np.empty(len(stored))
    parser = simdjson.Parser()
    for start in range(0, len(stored), BLOCK_VOICES):
        block = stored[start : start + BLOCK_VOICES]
        vectors = _parse_block(parser, block)
        found = None if vectors is None else cosines(query, vectors)
        if found is None or np.isnan(found).any():
            # The fast parser cannot read rare numbers and cannot tell which voice has an error.
            rows = [_parse_vector(text, request.describe(start + row)) for row, text in enumerate(block)]
            found = cosines(query, np.stack(rows))
        similarities[start : start + BLOCK_VOICES] = found
    return similarities


def _match(request: Search, index: int, similarity: float) -> Match:
    """Build one match. The metadata is known to be valid JSON, but its encoding is not checked yet."""
    stored = request.stored_embeddings[index]
    try:
        str(stored.metadata, "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidOptions(f"{request.describe(index)}: its metadata is not UTF-8.") from error
    return Match(stored.id, similarity, similarity > request.threshold, stored.metadata)


class NumberList(NamedTuple):
    """The JSON text of an embedding."""

    text: memoryview
    flat: bool
    """Whether the text is known to be a list without nested lists and strings."""


class _HasEmbeddings(Protocol):
    def embeddings(self) -> Iterator[msgspec.Raw]: ...


Body = TypeVar("Body", bound=_HasEmbeddings)


def parse(body: bytearray, model: type[Body]) -> tuple[Body, list[NumberList]]:
    """Parse a body except for its numbers; return it and the texts of its ``embeddings()``, in order.

    Raises `InvalidOptions` if the body is not JSON, does not match the model, or has too many objects.
    """
    # However its keys are spelled, each voice is an object.
    if body.count(b"{") > MAX_OBJECTS:
        raise InvalidOptions(f"The body has more than {MAX_OBJECTS} objects.")
    spans = _find_lists(body)
    request, indices = _parse_rest(body, spans, model)
    used = sorted(index for index in indices if index is not None)
    if len(used) != len(spans):
        # The metadata also has lists named embedding, which must stay in it.
        spans = [spans[index] for index in used]
        request, indices = _parse_rest(body, spans, model)
    view = memoryview(body)
    return request, [
        NumberList(memoryview(raw), False) if index is None else NumberList(view[slice(*spans[index])], True)
        for raw, index in zip(request.embeddings(), indices, strict=True)
    ]


Span = tuple[int, int]

_KEY = re.compile(rb'(?:(?<=[^\\]")|(?<=[^\\]"user_))embedding[12]?"[ \t\r\n]*:[ \t\r\n]*')
"""The key before an embedding. In JSON, the quotation mark before this word can only open a key."""
_PLACEHOLDER_BYTES = 26
"""Length of a placeholder: 16 digits of the secret, 8 of the index, and two quotation marks."""


def _find_lists(body: bytearray) -> list[Span]:
    """Return start and end of each embedding that is a flat list without strings, if the body is JSON."""
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


def _parse_rest(body: bytearray, spans: list[Span], model: type[Body]) -> tuple[Body, list[int | None]]:
    """Parse a body with placeholders for the `spans`; return it and the span's index of each embedding.

    The placeholders are random, so that no text of the body can be mistaken for one.
    """
    secret = secrets.token_hex(8).encode()
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    position = 0
    for index, (start, end) in enumerate(spans):
        pieces += [view[position:start], b'"%s%08d"' % (secret, index)]
        position = end
    pieces.append(view[position:])
    try:
        request = msgspec.json.decode(b"".join(pieces), type=model)
    except msgspec.ValidationError as error:
        raise InvalidOptions(f"The body does not match its schema: {error}.") from error
    except UnicodeDecodeError as error:
        raise InvalidOptions("The body is not UTF-8.") from error
    except RecursionError as error:
        raise InvalidOptions("The body is nested too deeply.") from error
    except msgspec.DecodeError as error:
        raise InvalidOptions(f"The body is not JSON: {_with_body_offset(str(error), spans)}.") from error
    prefix = b'"' + secret
    texts = (bytes(raw) for raw in request.embeddings())
    return request, [int(text[len(prefix) : -1]) if text.startswith(prefix) else None for text in texts]


def _with_body_offset(message: str, spans: list[Span]) -> str:
    """Return a parser's message with the byte offset in the original body."""

    def offset_in_body(match: re.Match[str]) -> str:
        offset = int(match[1])
        for start, end in spans:
            if offset <= start:
                break
            offset += end - start - _PLACEHOLDER_BYTES
        return f"(byte {offset})"

    return re.sub(r"\(byte (\d+)\)", offset_in_body, message)


def _parse_block(parser: simdjson.Parser, block: Sequence[NumberList]) -> Floats | None:
    """Parse a few lists fast, shape (len(block), 192); return None if `_parse_vector` must parse them."""
    if not all(numbers.flat for numbers in block):
        return None
    try:
        rows: Any = parser.parse(b"[" + b",".join([numbers.text for numbers in block]) + b"]")
        if any(len(row) != EMBEDDING_DIM for row in rows):
            return None
        return np.frombuffer(rows.as_buffer(of_type="d")).reshape(len(block), EMBEDDING_DIM)
    except (ValueError, TypeError, RuntimeError):
        return None


def _parse_vector(number_list: NumberList, name: str) -> Floats:
    """Parse one list of numbers, shape (192,), slowly but with precise errors.

    Python's parser accepts NaN and reads 1e400 as infinite, so both can be told apart from broken JSON.
    """
    text = bytes(number_list.text)
    if not text.startswith(b"["):
        raise InvalidEmbedding(f"{name}: the embedding is not a list of numbers.")
    if any(other in text[1:] for other in b'[{"'):
        raise InvalidEmbedding(f"{name}: the embedding has values that are not numbers.")
    # The numbers are counted before they are parsed, because there may be millions.
    length = text.count(b",") + 1 if text[1:-1].strip() else 0
    if length != EMBEDDING_DIM:
        raise InvalidEmbedding(f"{name}: the embedding has {length} numbers, not {EMBEDDING_DIM}.")
    try:
        numbers = json.loads(str(text, "ascii"), parse_int=float)
    except ValueError as error:
        raise InvalidEmbedding(f"{name}: the embedding is not JSON.") from error
    if any(type(number) is not float for number in numbers):
        raise InvalidEmbedding(f"{name}: the embedding has values that are not numbers.")
    vector = np.array(numbers)
    if not np.isfinite(vector).all():
        raise InvalidEmbedding(f"{name}: the embedding has NaN or infinite numbers.")
    if not vector.any():
        raise InvalidEmbedding(f"{name}: an embedding of zeros has no direction.")
    return vector

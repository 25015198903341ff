"""Voices that are compared without a recording: the answers, and the bodies that ask for them."""

import sys
from typing import Any

from pydantic import BaseModel, JsonValue

from deployments.api.compat.voices import DEFAULT_TOP_N
from deployments.api.schemas.answers import example
from voxgraph.similarity import DEFAULT_THRESHOLD, EMBEDDING_DIM


class LikenessAnswer(BaseModel):
    """How alike two voices are."""

    model_config = example(success=True, similarity=0.71, is_match=True, threshold=DEFAULT_THRESHOLD)

    success: bool = True
    similarity: float
    """Cosine, -1..1."""
    is_match: bool
    """Whether it is above `threshold`."""
    threshold: float


class MatchAnswer(BaseModel):
    """A stored voice."""

    id: str | int
    similarity: float
    """Cosine to the user's voice, -1..1."""
    is_match: bool
    """Whether it is above `threshold`."""
    metadata: JsonValue
    """As it was sent; null where none was."""


class MatchesAnswer(BaseModel):
    """The stored voices that are nearest to the user's, the nearest first; of equals the first stored."""

    model_config = example(
        success=True,
        best_match={"id": "user-17", "similarity": 0.71, "is_match": True, "metadata": {"age": 41}},
        top_matches=[{"id": "user-17", "similarity": 0.71, "is_match": True, "metadata": {"age": 41}},
                     {"id": 4, "similarity": 0.08, "is_match": False, "metadata": None}],
        threshold=DEFAULT_THRESHOLD,
    )  # fmt: skip

    success: bool
    best_match: MatchAnswer
    top_matches: list[MatchAnswer]
    threshold: float


_VECTOR: dict[str, Any] = {
    "description": "A voice, as `/extract-embedding` answers it. Of any length but zero.",
    "type": "array",
    "items": {"type": "number", "minimum": -sys.float_info.max, "maximum": sys.float_info.max},
    "minItems": EMBEDDING_DIM,
    "maxItems": EMBEDDING_DIM,
    "contains": {"not": {"const": 0}},
}
_THRESHOLD = {
    "description": "Cosine above which two voices are one speaker's.",
    "type": "number",
    "minimum": -1,
    "maximum": 1,
    "default": DEFAULT_THRESHOLD,
}


def _name(of: str) -> dict[str, Any]:
    return {
        "description": f"The encoder's {of}. Voices that are said to be of different ones are not compared.",
        "type": ["string", "null"],
    }


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


COMPARISON = _object(
    ("embedding1", "embedding2"),
    embedding1=_VECTOR,
    embedding2=_VECTOR,
    threshold=_THRESHOLD,
    model1=_name("model"),
    revision1=_name("revision"),
    model2=_name("model"),
    revision2=_name("revision"),
)
"""JSON Schema of `voices.Comparison`."""

SEARCH = _object(
    ("user_embedding", "stored_embeddings"),
    user_embedding=_VECTOR,
    stored_embeddings={
        "description": "Each id is there once.",
        "type": "array",
        "minItems": 1,
        "items": _object(
            ("id", "embedding"),
            id={"type": ["string", "integer"]},
            embedding=_VECTOR,
            metadata={"description": "Any JSON; it is answered as it came."},
            model=_name("model"),
            revision=_name("revision"),
        ),
    },
    top_n={
        "description": "Voices in the answer, at most.",
        "type": "integer",
        "minimum": 1,
        "default": DEFAULT_TOP_N,
    },
    threshold=_THRESHOLD,
    model=_name("model"),
    revision=_name("revision"),
)
"""JSON Schema of `voices.Search`."""


def takes_json(schema: dict[str, Any]) -> dict[str, Any]:
    """The ``openapi_extra`` of an endpoint that takes JSON of a schema."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

"""Request and response bodies of the endpoints that compare embeddings without a recording."""

import sys
from typing import Any

from pydantic import BaseModel, JsonValue

from deployments.api.compat.voices import DEFAULT_TOP_N
from deployments.api.schemas.common import example
from voxgraph.similarity import DEFAULT_THRESHOLD, EMBEDDING_DIM


class LikenessAnswer(BaseModel):
    """The similarity of two voices."""

    model_config = example(success=True, similarity=0.71, is_match=True, threshold=DEFAULT_THRESHOLD)

    success: bool = True
    similarity: float
    """Cosine similarity, -1..1."""
    is_match: bool
    """Whether `similarity` is above the threshold."""
    threshold: float


class MatchAnswer(BaseModel):
    """A stored voice and its similarity to the user's."""

    id: str | int
    similarity: float
    """Cosine similarity to the user's voice, -1..1."""
    is_match: bool
    """Whether `similarity` is above the threshold."""
    metadata: JsonValue
    """Metadata as it was sent, or null."""


class MatchesAnswer(BaseModel):
    """The stored voices most similar to the user's, best first; ties keep the order of the request."""

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
    "description": "An embedding as returned by `/extract-embedding`; only a vector of zeros is refused.",
    "type": "array",
    "items": {"type": "number", "minimum": -sys.float_info.max, "maximum": sys.float_info.max},
    "minItems": EMBEDDING_DIM,
    "maxItems": EMBEDDING_DIM,
    "contains": {"not": {"const": 0}},
}
_THRESHOLD = {
    "description": "Cosine similarity above which two voices are the same speaker.",
    "type": "number",
    "minimum": -1,
    "maximum": 1,
    "default": DEFAULT_THRESHOLD,
}
_ENCODER_FIELDS = {
    kind: {
        "description": f"The encoder's {kind}. Embeddings that name different ones are not compared.",
        "type": ["string", "null"],
    }
    for kind in ("model", "revision")
}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


COMPARISON = _object(
    ("embedding1", "embedding2"),
    embedding1=_VECTOR,
    embedding2=_VECTOR,
    threshold=_THRESHOLD,
    **{f"{kind}{number}": field for number in (1, 2) for kind, field in _ENCODER_FIELDS.items()},
)
"""JSON Schema of `voices.Comparison`."""

SEARCH = _object(
    ("user_embedding", "stored_embeddings"),
    user_embedding=_VECTOR,
    stored_embeddings={
        "description": "Each id must be unique.",
        "type": "array",
        "minItems": 1,
        "items": _object(
            ("id", "embedding"),
            id={"type": ["string", "integer"]},
            embedding=_VECTOR,
            metadata={"description": "Any JSON; the answer repeats it unchanged."},
            **_ENCODER_FIELDS,
        ),
    },
    top_n={
        "description": "Most voices in the answer.",
        "type": "integer",
        "minimum": 1,
        "default": DEFAULT_TOP_N,
    },
    threshold=_THRESHOLD,
    **_ENCODER_FIELDS,
)
"""JSON Schema of `voices.Search`."""


def takes_json(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the ``openapi_extra`` of an endpoint that takes JSON of a schema."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

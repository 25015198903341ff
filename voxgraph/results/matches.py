"""Stored voices, and those of them that are most similar to one voice."""

from dataclasses import dataclass
from typing import Any

from voxgraph.results.speaker import Embedding


@dataclass(frozen=True, slots=True, eq=False)
class StoredVoice:
    """One voice of a gallery."""

    id: str | int
    """Unique in the gallery."""
    embedding: Embedding
    metadata: Any = None
    """Any JSON; a match repeats it unchanged."""


@dataclass(frozen=True, slots=True)
class Match:
    """A stored voice and its similarity to the voice that was asked for."""

    id: str | int
    similarity: float
    """Cosine similarity, -1..1."""
    is_match: bool
    """Whether the similarity is above the threshold of the question."""
    metadata: Any = None
    """What was stored with the voice."""

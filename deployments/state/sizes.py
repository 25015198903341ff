"""How much memory an answer takes, estimated in a fraction of a millisecond however large it is."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from itertools import islice
from typing import Any

import numpy as np

SAMPLE = 16
"""Items of a collection that are looked at, evenly spaced, or a few more: those of an answer (turns, chunks,
probabilities) are alike."""
_PLAIN = frozenset({float, int, str, bytes})
_SHARED = (bool, type(None), Enum)
"""Types of which there is one object for all answers."""


def estimated_bytes(value: Any) -> int:
    """Return about how many bytes an answer takes: dataclasses, collections, arrays, text and numbers.

    What an answer has twice counts twice, so that the estimate is rather too high.
    """
    kind: Any = type(value)
    if kind in _PLAIN:
        return sys.getsizeof(value)
    if isinstance(value, _SHARED):
        return 0
    if isinstance(value, np.ndarray):
        # An array that does not own its items does not count them.
        return sys.getsizeof(value) + (0 if value.base is None else value.nbytes)
    if names := _fields(kind):
        return sys.getsizeof(value) + sum([estimated_bytes(getattr(value, name)) for name in names])
    if isinstance(value, Mapping):
        return sys.getsizeof(value) + _of_items(value.keys()) + _of_items(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return sys.getsizeof(value) + _of_items(value)
    return sys.getsizeof(value)


def _of_items(items: Collection[Any]) -> int:
    """Return the bytes of all items, given those of a sample."""
    number = len(items)
    step = max(1, number // SAMPLE)
    sample = items[::step] if isinstance(items, list | tuple) else islice(items, 0, None, step)
    sizes = [estimated_bytes(item) for item in sample]
    return sum(sizes) * number // len(sizes) if sizes else 0


@cache
def _fields(kind: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields; none for another type."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()

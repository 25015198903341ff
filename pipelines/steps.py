"""Work on one item that pauses between the forward passes of its networks, so that others have a turn."""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Yields after each pass and returns the result."""


def finish(steps: Steps[T]) -> T:
    """Take all steps, without a pause, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result

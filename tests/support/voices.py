"""Voices of the gallery's tests: vectors that are alike or not at all, and a clock that the tests move."""

from datetime import UTC, datetime, timedelta

import numpy as np

from voxgraph.results import Consent, Evidence, Observation, Space, VoiceSample

SPACE = Space("encoder", "1", 16)
OTHER_SPACE = Space("other encoder", "1", 24)
MASTER_KEY = "5e" * 32
START = datetime(2026, 1, 1, tzinfo=UTC)
CONSENT = Consent(("verification", "identification"), START - timedelta(days=1))


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def vector(voice: int, space: Space = SPACE) -> np.ndarray:
    """The vector of one of `space.dim` voices, which have nothing in common."""
    return np.eye(space.dim, dtype=np.float32)[voice] * 3


def heard(voice: int, speech_s: float = 25.0, *spaces: Space) -> Observation:
    """A recording of a voice, in some spaces or in `SPACE`."""
    samples = tuple(VoiceSample(space, vector(voice, space)) for space in spaces or (SPACE,))
    return Observation(samples, Evidence(speech_s))

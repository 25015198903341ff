"""How few and how many speakers a conversation may have; without torch, so that the ingress can refuse."""

import math

from config.settings import SpeakerCount
from pipelines.errors import InvalidOptions

Bounds = tuple[int, float]
"""The least and the most speakers."""


def bounds_of(speakers: SpeakerCount) -> Bounds:
    """The speaker counts as clustering takes them.

    Raises:
        InvalidOptions: The bounds exclude each other.
    """
    if speakers.num_speakers is not None:
        return speakers.num_speakers, speakers.num_speakers
    low, high = speakers.min_speakers or 1, speakers.max_speakers or math.inf
    if low > high:
        raise InvalidOptions(f"min_speakers is {low}, more than max_speakers, {high}.")
    return low, high

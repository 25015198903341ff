"""Sort clips into groups: by source, sex, language, age and length."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.asking import Answered
from evaluation.manifest import FAKE, Clip

Indices = NDArray[np.intp]

AGE_BANDS = {"under 13": 13.0, "13 to 17": 18.0, "18 to 59": 60.0, "60 and over": math.inf}
"""Bands of ages, each with the age in years below which somebody belongs to it."""
LENGTHS = {
    "under 1 s": 1.0,
    "1 to 3 s": 3.0,
    "3 to 10 s": 10.0,
    "10 to 30 s": 30.0,
    "30 s and more": math.inf,
}
"""Bands of lengths, each with the seconds below which a clip belongs to it."""
SHORT_S = 3.0
"""Length in seconds below which real clips are in a group of their own."""
SEXES = {"f": "female", "m": "male"}
ORDER = [*AGE_BANDS, *LENGTHS]
"""Groups that have an order other than the alphabet's."""
MAX_GROUPS = 40
"""Maximum number of groups of one kind; the largest are kept."""


def age_band(clip: Clip) -> str:
    """Return the name of the band of ages; empty if the age is not known."""
    return "" if clip.age is None else _band(AGE_BANDS, clip.age)


def source_and_age(clip: Clip) -> str:
    """Return source and age band; empty if one of them is not known."""
    band = age_band(clip)
    return f"{clip.source}, {band}" if clip.source and band else ""


def real_and_length(answered: Answered) -> str:
    """Return whether a clip is generated, and of real ones whether they are short."""
    if answered.clip.label == FAKE:
        return "generated"
    return f"real, {SHORT_S:g} s and more" if answered.seconds >= SHORT_S else f"real, under {SHORT_S:g} s"


def _band(bands: Mapping[str, float], value: float) -> str:
    return next(name for name, end in bands.items() if value < end)


KINDS: dict[str, Callable[[Answered], str]] = {
    "source": lambda answered: answered.clip.source,
    "source and age": lambda answered: source_and_age(answered.clip),
    "language": lambda answered: answered.clip.lang,
    "sex": lambda answered: SEXES.get(answered.clip.sex, ""),
    "age": lambda answered: age_band(answered.clip),
    "length": lambda answered: _band(LENGTHS, answered.seconds),
    "kind": real_and_length,
}
"""Kinds of groups, and the name of the group of a clip; an empty name belongs to none."""


def groups(answers: Sequence[Answered], kinds: Sequence[str]) -> Iterator[tuple[str, Indices]]:
    """Yield name and indices of each group; a kind of which there is only one group is left out."""
    for kind in kinds:
        members: dict[str, list[int]] = defaultdict(list)
        for index, answered in enumerate(answers):
            if name := KINDS[kind](answered):
                members[name].append(index)
        if len(members) > 1:
            largest = sorted(members, key=lambda name: -len(members[name]))[:MAX_GROUPS]
            for name in sorted(largest, key=lambda name: (ORDER.index(name) if name in ORDER else 0, name)):
                yield f"{kind}: {name}", np.array(members[name])

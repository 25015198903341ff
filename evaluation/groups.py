"""Sort clips into groups: by source, sex, language, age and length."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.asking import Answered
from evaluation.manifest import Clip

Indices = NDArray[np.intp]

AGE_BANDS = ((13, "under 13"), (18, "13 to 17"), (60, "18 to 59"), (131, "60 and over"))
"""Age in years below which somebody belongs to a band, and its name."""
LENGTHS = ((1.0, "under 1 s"), (3.0, "1 to 3 s"), (10.0, "3 to 10 s"), (30.0, "10 to 30 s"))
"""Length in seconds below which a clip belongs to a band, and its name."""
LONGEST = "30 s and more"
SEXES = {"f": "female", "m": "male"}
MAX_GROUPS = 40
"""Maximum number of groups of one kind; the largest are kept."""


def age_band(clip: Clip) -> str:
    """Return the name of the band of ages; empty if the age is not known."""
    age = clip.age
    return "" if age is None else next(name for end, name in AGE_BANDS if age < end)


def length_band(seconds: float) -> str:
    """Return the name of the band of lengths."""
    return next((name for end, name in LENGTHS if seconds < end), LONGEST)


def source_and_age(clip: Clip) -> str:
    """Return source and age band; empty if one of them is not known."""
    band = age_band(clip)
    return f"{clip.source}, {band}" if clip.source and band else ""


KINDS: dict[str, Callable[[Answered], str]] = {
    "source": lambda answered: answered.clip.source,
    "source and age": lambda answered: source_and_age(answered.clip),
    "language": lambda answered: answered.clip.lang,
    "sex": lambda answered: SEXES.get(answered.clip.sex, ""),
    "age": lambda answered: age_band(answered.clip),
    "length": lambda answered: length_band(answered.seconds),
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
            for name in sorted(largest):
                yield f"{kind}: {name}", np.array(members[name])

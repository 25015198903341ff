"""Exact search among the voices of a gallery in one embedding space, in memory.

A profile is one row or a few for a speaker. 100,000 rows of 192 numbers take 77 MB, and one query 2 ms on one
core, so that no approximate index is needed: every answer is that of an exhaustive comparison.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxgraph.errors import InvalidEmbedding
from voxgraph.ranking import contenders, largest

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Indices = NDArray[np.intp]
Names = NDArray[np.object_]
"""Names of speakers, each a ``str``."""

DECIMALS = 6
"""Decimals of a score. Sums in float32 depend on where a row lies in memory by about one in the seventh."""
MAX_CENTROIDS = 3
"""Rows of a profile at most."""
SPREAD_COSINE = 0.5
"""Cosine of two references below which they are not averaged into one row: a headset and a telephone, for
instance, have a mean that is near neither."""
EXACT = 64
"""Best rows whose scores are computed again in float64, where a row's neighbours cannot change the sum."""
_SPARE = 1.25
"""Capacity of a grown matrix relative to its rows."""
_MAX_DEAD = 0.125
"""Share of replaced rows from which a matrix is written anew."""


def unit(vectors: ArrayLike) -> Floats:
    """Return vectors scaled to length 1, float64, of the same shape (..., dim).

    Raises:
        InvalidEmbedding: A vector is zero or has NaN or infinite numbers.
    """
    found = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(found, axis=-1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise InvalidEmbedding("A voice's vector must be finite and not zero.")
    scaled: Floats = found / lengths
    return scaled


def centroids(references: ArrayLike, spread_cosine: float = SPREAD_COSINE) -> Rows:
    """Return the rows that stand for a speaker: means of the unit vectors of similar references.

    References are grouped by complete linkage, so that any two of a group have at least a cosine of
    `spread_cosine`; beyond `MAX_CENTROIDS` groups the nearest are joined.

    Args:
        references: (references, dim), at least one, any length but 0.
        spread_cosine: -1..1.

    Returns:
        (1..`MAX_CENTROIDS`, dim), float32, of length 1, in an order that does not depend on that of the
        references.

    Raises:
        InvalidEmbedding: As `unit` does.
    """
    vectors = unit(references)
    if len(vectors) == 1:
        return vectors.astype(np.float32)
    # Summing in one order whatever that of enrolment keeps the answers the same to the last bit.
    vectors = vectors[np.lexsort(vectors.T)]
    groups = [[index] for index in range(len(vectors))]
    closeness = vectors @ vectors.T
    while len(groups) > 1:
        least, first, second = max(
            (float(closeness[np.ix_(a, b)].min()), -i, -j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups)
            if i < j
        )
        if least < spread_cosine and len(groups) <= MAX_CENTROIDS:
            break
        groups[-first] += groups.pop(-second)
    means = np.stack([vectors[sorted(group)].mean(axis=0) for group in groups])
    # Opposite references have a mean without a direction; then the first of them stands for the group.
    for row, group in enumerate(groups):
        if np.linalg.norm(means[row]) < 1e-6:
            means[row] = vectors[min(group)]
    return np.ascontiguousarray(unit(means), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A speaker in one space."""

    rows: Rows
    """(rows, dim): result of `centroids`."""
    speech_s: float
    """Seconds of speech in the references."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a query is to each speaker of a matrix."""

    scores: Floats
    """(speakers,): highest cosine to a row of the speaker, -1..1, rounded to `DECIMALS`."""
    speech_s: Floats
    """(speakers,): seconds of speech in the references."""
    names: Names
    """(speakers,)."""
    crowds: Floats | None = None
    """(speakers,): how near the query is to the others, by `gallery.crowd`; None: nobody has asked."""

    def __len__(self) -> int:
        return len(self.scores)

    def only(self, chosen: Indices | NDArray[np.bool_]) -> "Scores":
        """Return some of the speakers; what they have to stand out from stays the same."""
        crowds = None if self.crowds is None else self.crowds[chosen]
        return Scores(self.scores[chosen], self.speech_s[chosen], self.names[chosen], crowds)

    def of(self, name: str) -> "Scores":
        """Return one of the speakers; raises `KeyError` if there is none of this name."""
        found = np.flatnonzero(self.names == name)
        if not len(found):
            raise KeyError(name)
        return self.only(found)

    def best(self, count: int) -> Indices:
        """Return the indices of the best speakers, in descending order; equal scores by name.

        Args:
            count: At most as many as there are speakers.
        """
        found = contenders(self.scores, count)
        order = sorted(found.tolist(), key=lambda index: (-self.scores[index], self.names[index]))
        return np.array(order[:count], np.intp)


class VoiceMatrix:
    """The profiles of one gallery in one space. It never changes: `updated` returns another one.

    A reader keeps the matrix that it has while a writer puts the next one in its place, so that a query sees
    all of an enrolment or nothing of it. Matrices share memory: an update appends rows and marks those that
    they replace. A speaker who is removed leaves no row: the rest is copied.

    Args:
        profiles: Profile of each speaker by name.
        dim: Numbers in a row.
        revision: Any value that says of which state of the store this is.
    """

    def __init__(self, profiles: Mapping[str, Profile], dim: int, revision: int = 0) -> None:
        self.dim, self.revision = dim, revision
        rows = [profile.rows for profile in profiles.values()]
        counts = [len(each) for each in rows]
        joined = np.concatenate(rows) if rows else np.empty((0, dim), np.float32)
        if joined.shape[1] != dim:
            raise InvalidEmbedding(f"A profile has {joined.shape[1]} numbers in place of {dim}.")
        self._fill(
            _Rows(np.ascontiguousarray(joined, np.float32), len(joined)), len(joined),
            np.array(list(profiles), object), {name: position for position, name in enumerate(profiles)},
            np.array([profile.speech_s for profile in profiles.values()], np.float64),
            np.repeat(np.arange(len(counts)), counts),
        )  # fmt: skip

    def _fill(
        self,
        shared: "_Rows",
        used: int,
        names: Names,
        positions: dict[str, int],
        speech_s: Floats,
        owners: Indices,
    ) -> "VoiceMatrix":
        self._shared, self._used = shared, used
        self.names, self._positions = names, positions
        self._speech_s, self._owners = speech_s, owners
        return self

    def __len__(self) -> int:
        """Return the number of speakers."""
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._positions

    @cached_property
    def _is_plain(self) -> bool:
        """Whether row i is the only one of speaker i, for all."""
        return len(self._owners) == len(self.names) and bool(
            (self._owners == np.arange(len(self._owners))).all()
        )

    def profile(self, name: str) -> Profile:
        """Return the profile of a speaker; raises `KeyError` if there is none."""
        position = self._positions[name]
        rows = self._shared.rows[: self._used][self._owners == position]
        return Profile(rows.copy(), float(self._speech_s[position]))

    def scores(self, query: ArrayLike, without: Collection[str] = ()) -> Scores:
        """Compare one vector with the speakers.

        Args:
            query: (dim,), any length but 0.
            without: Names of speakers who are not compared.

        Raises:
            InvalidEmbedding: As `unit` does, or the shape is another one.
        """
        vector = unit(query)
        if vector.shape != (self.dim,):
            raise InvalidEmbedding(f"A query has shape {vector.shape}; it must be ({self.dim},).")
        found = self._scores(vector)
        left_out = [self._positions[name] for name in without if name in self._positions]
        return found.only(np.delete(np.arange(len(found)), left_out)) if left_out else found

    def _scores(self, query: Floats) -> Scores:
        rows = self._shared.rows[: self._used]
        rough = rows @ query.astype(np.float32)
        if self._is_plain:
            exact = largest(rough, EXACT)
        else:
            living = np.flatnonzero(self._owners >= 0)
            exact = living[largest(rough[living], EXACT)]
        of_rows = rough.astype(np.float64)
        # Each row is summed alone, in float64: this is the reference, and what decides.
        of_rows[exact] = np.vecdot(rows[exact].astype(np.float64), query)
        of_rows = of_rows.round(DECIMALS)
        if self._is_plain:
            return Scores(of_rows, self._speech_s, self.names)
        scores = np.full(len(self.names), -1.0)
        np.maximum.at(scores, self._owners[living], of_rows[living])
        return Scores(scores, self._speech_s, self.names)

    def updated(self, changes: Mapping[str, Profile | None], revision: int) -> "VoiceMatrix":
        """Return the matrix after some speakers have changed.

        Args:
            changes: The new profile of each changed speaker; None removes one.
            revision: The state of the store that it is of.
        """
        gone = {name for name, profile in changes.items() if profile is None and name in self}
        kept = {name: profile for name, profile in changes.items() if profile is not None}
        dead = int((self._owners < 0).sum()) + sum(name in self for name in kept)
        if gone or dead > _MAX_DEAD * max(self._used, 1):
            return self._rewritten(kept, gone, revision)
        positions, speech_s, owners = dict(self._positions), self._speech_s.copy(), self._owners.copy()
        rows, of_rows, new, lengths = [], [], [], []
        for name, profile in kept.items():
            if name in positions:
                position = positions[name]
                owners[owners == position] = -1
                speech_s[position] = profile.speech_s
            else:
                position = positions[name] = len(positions)
                new.append(name)
                lengths.append(profile.speech_s)
            rows.append(profile.rows)
            of_rows += [position] * len(profile.rows)
        added = np.concatenate([np.empty((0, self.dim), np.float32), *rows])
        shared = self._shared.appended(self._used, added)
        matrix = VoiceMatrix({}, self.dim, revision)
        return matrix._fill(
            shared, self._used + len(added),
            np.append(self.names, np.array(new, object)), positions,
            np.append(speech_s, lengths), np.append(owners, np.array(of_rows, np.intp)),
        )  # fmt: skip

    def _rewritten(self, kept: Mapping[str, Profile], gone: set[str], revision: int) -> "VoiceMatrix":
        """Return a matrix that shares no memory with this one."""
        dropped = np.array([name in gone or name in kept for name in self.names], bool)
        names = self.names[~dropped]
        new_position = np.cumsum(~dropped) - 1
        living = np.flatnonzero((self._owners >= 0) & ~np.append(dropped, True)[self._owners])
        matrix = VoiceMatrix({}, self.dim, revision)
        rest = matrix._fill(
            _Rows(self._shared.rows[living], len(living)), len(living),
            names, {name: position for position, name in enumerate(names)},
            self._speech_s[~dropped], new_position[self._owners[living]],
        )  # fmt: skip
        return rest.updated(kept, revision) if kept else rest


class _Rows:
    """Rows that several matrices share; each knows how many of them it has."""

    def __init__(self, rows: Rows, used: int) -> None:
        self.rows, self._used = rows, used

    def appended(self, used: int, added: Rows) -> "_Rows":
        """Return rows whose first are the first `used` of these, followed by others."""
        needed = used + len(added)
        # Rows behind `used` that another update has written are that one's.
        if self._used != used or needed > len(self.rows):
            grown = np.empty((int(needed * _SPARE) + 1, self.rows.shape[1]), np.float32)
            grown[:used] = self.rows[:used]
            return _Rows(grown, used).appended(used, added)
        self.rows[used:needed] = added
        self._used = needed
        return self

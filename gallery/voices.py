"""The voices of the galleries in memory, refreshed whenever a gallery has a new revision.

A refresh reads only the speakers who have changed. Whoever asks meanwhile sees the voices as they were or as
they are, never a part of a change.
"""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import sqlalchemy as sa

from gallery import calibrations, references, speakers
from gallery.calibration import Calibration
from gallery.comparison import Comparison
from gallery.data_keys import chunks
from gallery.references import KeptVector
from gallery.scope import KEPT_CHANGES, Scope
from gallery.search import Profile, VoiceMatrix, centroids
from gallery.store import Transaction
from gallery.tables import changes
from gallery.tables import speakers as speaker_rows
from voxgraph.results import Consent, GalleryPolicy, Space, SpeakerState

COMPARED = frozenset({"active", "stale"})
"""States whose voices are compared: a stale one only with what an older encoder has embedded."""
MOST_PURPOSES = 16
"""Purposes for which is remembered who did not agree to them."""
MOST_GALLERIES = 64
"""Galleries that are kept in memory; the one that was asked longest ago goes first."""


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """A speaker as decisions need it."""

    external_id: str
    display_name: str | None
    state: SpeakerState
    consent: Consent | None
    expires_at: datetime | None
    profiles: Mapping[Space, Profile]

    def agrees(self, policy: GalleryPolicy, purpose: str | None) -> bool:
        """Return whether the speaker agreed to a purpose, or to any if none is named.

        A gallery that requires no consent compares everybody, but whoever gave one is held to its purposes.
        When a consent ends is part of `expires_at`.
        """
        if self.consent is None:
            return not policy.require_consent
        return purpose is None or purpose in self.consent.purposes


class Voices:
    """All speakers of a gallery at one revision. It never changes.

    Args:
        scope: The gallery at this revision.
        speakers: By their id.
        comparison: Of those who are active, by their id.
    """

    def __init__(self, scope: Scope, speakers: Mapping[str, Voice], comparison: Comparison) -> None:
        self.revision, self.policy = scope.revision, scope.policy
        self.speakers, self.comparison = speakers, comparison
        self._refused: dict[str | None, frozenset[str]] = {}

    @cached_property
    def _ends(self) -> list[tuple[datetime, str]]:
        """When speakers expire, the first one first."""
        return sorted(
            (voice.expires_at, name) for name, voice in self.speakers.items() if voice.expires_at is not None
        )

    def left_out(self, now: datetime, purpose: str | None) -> Collection[str]:
        """Return the ids of speakers who must not be compared now: expired, or not agreed to the purpose."""
        refused = self._refused.get(purpose)
        if refused is None:
            refused = frozenset(
                name for name, voice in self.speakers.items() if not voice.agrees(self.policy, purpose)
            )
            # Whatever a caller names as a purpose must not fill the memory.
            if len(self._refused) < MOST_PURPOSES:
                self._refused[purpose] = refused
        expired = bisect_right(self._ends, now, key=lambda end: end[0])
        return refused if not expired else refused | {name for _, name in self._ends[:expired]}


class VoiceCache:
    """The voices of the galleries that were asked last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Voices] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}

    def get(self, transaction: Transaction, scope: Scope) -> Voices:
        """Return the voices of a gallery at the revision that the transaction sees."""
        with self._lock:
            found = self._kept.get(scope.id)
            if found is not None and found.revision == scope.revision:
                self._kept.move_to_end(scope.id)
                return found
            loading = self._loading.setdefault(scope.id, threading.Lock())
        # One thread reads what has changed; the others wait for it.
        with loading:
            with self._lock:
                found = self._kept.get(scope.id)
            if found is not None and found.revision == scope.revision:
                return found
            fresh = _refreshed(transaction, scope, found)
            with self._lock:
                # A thread with an older view of the store must not put the voices back.
                present = self._kept.get(scope.id)
                if present is None or present.revision < fresh.revision:
                    self._kept[scope.id] = fresh
                    self._kept.move_to_end(scope.id)
                while len(self._kept) > MOST_GALLERIES:
                    self._loading.pop(self._kept.popitem(last=False)[0], None)
            return fresh

    def forget(self, gallery_id: str) -> None:
        """Drop a gallery that was erased."""
        with self._lock:
            self._kept.pop(gallery_id, None)
            self._loading.pop(gallery_id, None)


def _refreshed(transaction: Transaction, scope: Scope, old: Voices | None) -> Voices:
    own = calibrations.of_gallery(transaction, scope)
    is_near = old is not None and 0 <= scope.revision - old.revision < KEPT_CHANGES
    if old is None or not is_near or old.policy != scope.policy:
        voices = _load(transaction, scope, None)
        return Voices(scope, voices, _compared(voices, scope, own))
    query = sa.select(changes.c.speaker_id).where(
        changes.c.gallery_id == scope.id, changes.c.revision > old.revision
    )
    changed = set(transaction.execute(query.distinct()).scalars())
    fresh = _load(transaction, scope, changed)
    # Of 100,000 speakers a copy takes a tenth of the time of a comprehension.
    voices = dict(old.speakers)
    for name in changed:
        voices.pop(name, None)
    voices.update(fresh)
    matrices = _updated(old, {name: fresh.get(name) for name in changed}, scope.revision)
    return Voices(scope, voices, Comparison(matrices, scope.policy, own))


def _compared(voices: Mapping[str, Voice], scope: Scope, own: Mapping[Space, Calibration]) -> Comparison:
    by_space: dict[Space, dict[str, Profile]] = {}
    for name, voice in voices.items():
        if voice.state in COMPARED:
            for space, profile in voice.profiles.items():
                by_space.setdefault(space, {})[name] = profile
    matrices = {
        space: VoiceMatrix(profiles, space.dim, scope.revision) for space, profiles in by_space.items()
    }
    return Comparison(matrices, scope.policy, own)


def _updated(old: Voices, changed: Mapping[str, Voice | None], revision: int) -> dict[Space, VoiceMatrix]:
    matrices = dict(old.comparison.matrices)
    spaces = {space for voice in changed.values() if voice for space in voice.profiles} | matrices.keys()
    for space in spaces:
        profiles = {
            name: voice.profiles.get(space) if voice and voice.state in COMPARED else None
            for name, voice in changed.items()
        }
        matrix = matrices.get(space) or VoiceMatrix({}, space.dim)
        matrices[space] = matrix.updated(profiles, revision)
    return {space: matrix for space, matrix in matrices.items() if len(matrix)}


def _load(transaction: Transaction, scope: Scope, only: Collection[str] | None) -> dict[str, Voice]:
    """Read speakers with all that is sealed of them; whoever cannot be opened is left out."""
    query = sa.select(speaker_rows).where(speaker_rows.c.gallery_id == scope.id)
    if only is None:
        rows = list(transaction.execute(query.order_by(speaker_rows.c.id)))
    else:
        rows = [
            row
            for some in chunks(sorted(only))
            for row in transaction.execute(query.where(speaker_rows.c.id.in_(some)))
        ]
    keys = transaction.store.keys.get(row.key_id for row in rows)
    vectors: dict[str, list[KeptVector]] = {}
    for kept in references.opened(transaction, rows, keys):
        vectors.setdefault(kept.speaker_id, []).append(kept)
    return {
        row.id: Voice(
            info.external_id, info.display_name, info.state, info.consent, info.expires_at,
            _profiles(vectors.get(row.id, [])),
        )
        for row, info in speakers.with_infos(transaction, scope, rows, keys)
    }  # fmt: skip


def _profiles(vectors: list[KeptVector]) -> dict[Space, Profile]:
    by_space: dict[Space, list[KeptVector]] = {}
    for kept in vectors:
        by_space.setdefault(kept.space, []).append(kept)
    return {
        space: Profile(
            centroids(np.stack([each.vector for each in some])), sum(each.speech_s for each in some)
        )
        for space, some in by_space.items()
    }

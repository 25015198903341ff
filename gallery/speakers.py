"""The speakers of a gallery: their rows, what is sealed in them, and their state."""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gallery import consents, ledger
from gallery.data_keys import chunks
from gallery.keys import DataKey, keyed_hash, new_id
from gallery.scope import Scope, changed
from gallery.store import Transaction
from gallery.tables import opt_outs, refs, spaces, speakers, vectors
from voxgraph.errors import ConsentMissing, InvalidOptions, NotFound, SpeakerOptedOut
from voxgraph.results import SPEAKER_STATES, Consent, Space, SpeakerInfo, SpeakerState

MAX_ID_CHARS = 128
MAX_NAME_CHARS = 256
MAX_METADATA_BYTES = 16_384
HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that no name has: controls, surrogates, separators of lines and paragraphs."""
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the text after it round, beyond the name."""
Row = sa.Row[Any]


@dataclass(frozen=True, slots=True)
class Profile:
    """What is sealed of a speaker beside consent and vectors."""

    external_id: str
    display_name: str | None
    metadata: Mapping[str, Any]

    def checked(self) -> "Profile":
        """Return a profile that was given; one that is kept was checked when it was.

        Raises:
            InvalidOptions: A speaker cannot have it.
        """
        if not is_speaker_id(self.external_id):
            raise InvalidOptions(
                f"The id of a speaker is 1 to {MAX_ID_CHARS} printable characters without /, and not . or .."
            )
        if self.display_name is not None and not is_display_name(self.display_name):
            raise InvalidOptions(
                f"The name of a speaker has 1 to {MAX_NAME_CHARS} characters that can be seen, and none that "
                "controls a terminal or the direction of the text."
            )
        try:
            size = len(self.sealed_content())
        except (TypeError, ValueError):
            raise InvalidOptions("The metadata of a speaker is a JSON object with finite numbers.") from None
        if size > MAX_METADATA_BYTES:
            raise InvalidOptions(f"The metadata of a speaker has at most {MAX_METADATA_BYTES} bytes.")
        return self

    def sealed_content(self) -> bytes:
        """Return what is sealed."""
        fields = {"external_id": self.external_id, "display_name": self.display_name}
        return json.dumps({**fields, "metadata": dict(self.metadata)}, allow_nan=False).encode()

    def seal(self, key: DataKey, speaker_id: str) -> bytes:
        """Seal the profile for one speaker."""
        return key.seal(self.sealed_content(), f"{speaker_id}:profile")

    @classmethod
    def open(cls, key: DataKey, row: Row) -> "Profile":
        """Open what a row holds."""
        return cls(**json.loads(key.open(row.profile, f"{row.id}:profile")))


def is_speaker_id(text: str | None) -> bool:
    """Whether a speaker can have an external id: every URL of the speaker has to lead to the speaker.

    An id with a slash, or a dot that clients resolve, could be given by a rename and not be erased.
    """
    if text is None or text in (".", "..") or "/" in text:
        return False
    return 0 < len(text) <= MAX_ID_CHARS and text.isprintable()


def is_display_name(text: str) -> bool:
    """Whether a name can be shown as it is.

    Joiners, which Persian and Hindi need, are characters of it. Control characters, line breaks, what turns
    the direction of the text, and a name of spaces and invisible characters alone are not.
    """
    if not 0 < len(text) <= MAX_NAME_CHARS or any(
        unicodedata.category(each) in HIDDEN or each in DIRECTIONS for each in text
    ):
        return False
    return any(each.isprintable() and not each.isspace() for each in text)


def subject(transaction: Transaction, scope: Scope, external_id: str) -> str:
    """Return the keyed hash by which a speaker is found."""
    return keyed_hash(transaction.store.master.hashing, scope.tenant, scope.id, external_id)


def find(transaction: Transaction, scope: Scope, external_id: str) -> Row | None:
    """Return the row of a speaker, or None."""
    return transaction.execute(
        sa.select(speakers).where(
            speakers.c.gallery_id == scope.id, speakers.c.subject == subject(transaction, scope, external_id)
        )
    ).first()


def get(transaction: Transaction, scope: Scope, external_id: str) -> Row:
    """Return the row of a speaker.

    Raises:
        SpeakerOptedOut: Only a keyed hash is left.
        NotFound: There is none.
    """
    if (row := find(transaction, scope, external_id)) is not None:
        return row
    if has_opted_out(transaction, scope, external_id):
        raise SpeakerOptedOut("This person asked never to be enrolled in the gallery.")
    raise NotFound("There is no such speaker in the gallery.")


def has_opted_out(transaction: Transaction, scope: Scope, external_id: str) -> bool:
    """Return whether an external id must not be enrolled."""
    return bool(opted_out_as(transaction, scope, external_id))


def opted_out_as(transaction: Transaction, scope: Scope, external_id: str) -> dict[str, datetime]:
    """Return the keyed hashes under which a person opted out, with the time.

    Nothing but the hash is left of the person, so that it stays that of the master key of that time.
    """
    hashed = [
        keyed_hash(hashing, scope.tenant, scope.id, external_id) for hashing in transaction.store.hashing_keys
    ]
    query = sa.select(opt_outs).where(opt_outs.c.gallery_id == scope.id, opt_outs.c.subject.in_(hashed))
    return {row.subject: row.at for row in transaction.execute(query)}


def insert(
    transaction: Transaction, scope: Scope, profile: Profile, consent: Consent | None, actor: str
) -> Row:
    """Make a speaker without references."""
    if has_opted_out(transaction, scope, profile.external_id):
        raise SpeakerOptedOut("This person asked never to be enrolled in the gallery.")
    if scope.policy.require_consent and not consents.is_in_force(consent, transaction.now):
        raise ConsentMissing("A new speaker of this gallery needs a consent that is in force.")
    speaker_id = new_id("spk")
    key_id, key = transaction.store.keys.make()
    transaction.execute(
        speakers.insert().values(
            id=speaker_id, tenant_id=scope.tenant, gallery_id=scope.id, key_id=key_id, version=1,
            merged={"speakers": [], "keys": []},
            subject=subject(transaction, scope, profile.external_id), profile=profile.seal(key, speaker_id),
            reference_count=0, speech_s=0.0, created_at=transaction.now, updated_at=transaction.now,
        )
    )  # fmt: skip
    ledger.append(transaction, scope.tenant, actor, "speaker.create", speaker_id)
    if consent is not None:
        consents.put(transaction, scope, speaker_id, key, consent, actor)
    touch(transaction, scope, speaker_id)
    return by_id(transaction, speaker_id)


def replace(
    transaction: Transaction, scope: Scope, row: Row, profile: Profile, consent: Consent | None, actor: str
) -> Row:
    """Replace what is kept of a speaker; a consent of None leaves the present one."""
    key = transaction.store.key(row.key_id)
    transaction.execute(
        speakers.update().where(speakers.c.id == row.id).values(
            subject=subject(transaction, scope, profile.external_id), profile=profile.seal(key, row.id)
        )
    )  # fmt: skip
    ledger.append(transaction, scope.tenant, actor, "speaker.update", row.id)
    if consent is not None:
        consents.put(transaction, scope, row.id, key, consent, actor)
    touch(transaction, scope, row.id)
    return by_id(transaction, row.id)


def touch(transaction: Transaction, scope: Scope, speaker_id: str) -> None:
    """Raise the version of a speaker who has changed, find the time of expiry, and tell the caches."""
    row = by_id(transaction, speaker_id)
    transaction.execute(
        speakers.update().where(speakers.c.id == speaker_id).values(
            version=row.version + 1, updated_at=transaction.now,
            expires_at=_expiry(transaction, scope.policy.ttl_days, row),
        )
    )  # fmt: skip
    changed(transaction, scope, [speaker_id])


def expire_anew(transaction: Transaction, scope: Scope, ttl_days: int | None) -> None:
    """Find the time of expiry of everybody in a gallery whose time to live has changed."""
    for row in transaction.execute(sa.select(speakers).where(speakers.c.gallery_id == scope.id)).all():
        expires_at = _expiry(transaction, ttl_days, row)
        if expires_at != row.expires_at:
            transaction.execute(
                speakers.update().where(speakers.c.id == row.id).values(expires_at=expires_at)
            )
            changed(transaction, scope, [row.id])


def _expiry(transaction: Transaction, ttl_days: int | None, row: Row) -> datetime | None:
    ends = [consents.expiry(transaction, row.id)]
    if ttl_days is not None:
        ends.append((row.enrolled_at or row.created_at) + timedelta(days=ttl_days))
    return min((end for end in ends if end is not None), default=None)


def by_id(transaction: Transaction, speaker_id: str) -> Row:
    """Return a row that is known to be there."""
    return transaction.execute(sa.select(speakers).where(speakers.c.id == speaker_id)).one()


def existing(transaction: Transaction, ids: Iterable[str]) -> set[str]:
    """Return which of some ids are there."""
    return set(transaction.execute(sa.select(speakers.c.id).where(speakers.c.id.in_(list(ids)))).scalars())


def page(
    transaction: Transaction, scope: Scope, state: SpeakerState | None, after: str | None, limit: int
) -> list[Row]:
    """Return the rows of at most `limit` speakers behind the id `after`, in the order of their creation."""
    query = sa.select(speakers).where(speakers.c.gallery_id == scope.id)
    if after is not None:
        query = query.where(speakers.c.id > after)
    if state is not None:
        query = query.where(_state(transaction, scope) == state)
    return list(transaction.execute(query.order_by(speakers.c.id).limit(limit)))


def count_by_state(transaction: Transaction, scope: Scope) -> dict[SpeakerState, int]:
    """Return how many speakers are in each state."""
    state = _state(transaction, scope)
    rows = transaction.execute(
        sa.select(state.label("state"), sa.func.count().label("speakers"))
        .where(speakers.c.gallery_id == scope.id).group_by(sa.text("1"))
    )  # fmt: skip
    found = {row.state: row.speakers for row in rows}
    opted_out = sa.select(sa.func.count()).where(opt_outs.c.gallery_id == scope.id)
    found["opted_out"] = transaction.execute(opted_out).scalar_one()
    return {state: found.get(state, 0) for state in SPEAKER_STATES}


def _state(transaction: Transaction, scope: Scope) -> sa.ColumnElement[str]:
    """Return an expression for the state of a row of `speakers`; the one place that decides it."""
    expired = speakers.c.expires_at <= transaction.now
    cases: list[tuple[sa.ColumnElement[bool], str]] = [
        (sa.func.coalesce(expired, sa.false()), "expired"),
        # A sum of floats may miss the whole number by a hair.
        (speakers.c.speech_s < scope.policy.active_speech_s - 1e-6, "enrolling"),
        (speakers.c.reference_count == 0, "enrolling"),
    ]
    if (current := transaction.store.encoders) is not None:
        known = sa.or_(
            sa.false(),
            *(
                sa.and_(spaces.c.model == model, spaces.c.revision == revision)
                for model, revision in sorted(current)
            ),
        )
        used = (
            sa.select(vectors.c.reference_id).join(refs, refs.c.id == vectors.c.reference_id)
            .join(spaces, spaces.c.id == vectors.c.space_id)
            .where(refs.c.speaker_id == speakers.c.id, known).exists()
        )  # fmt: skip
        cases.append((~used, "stale"))
    return sa.case(*cases, else_=sa.literal_column("'active'"))


def infos(transaction: Transaction, scope: Scope, rows: Sequence[Row]) -> list[SpeakerInfo]:
    """Describe speakers; those whose key was destroyed cannot be read and are left out."""
    keys = transaction.store.keys.get(row.key_id for row in rows)
    return [found for _, found in with_infos(transaction, scope, rows, keys)]


def with_infos(
    transaction: Transaction, scope: Scope, rows: Sequence[Row], keys: Mapping[str, DataKey]
) -> list[tuple[Row, SpeakerInfo]]:
    """Describe speakers whose keys are known, by their ids."""
    ids = [row.id for row in rows]
    agreed = consents.open_all(transaction, {row.id: keys[row.key_id] for row in rows if row.key_id in keys})
    states, used = _states(transaction, scope, ids), _spaces(transaction, ids)
    return [
        (row, _info(row, Profile.open(keys[row.key_id], row), states[row.id], agreed.get(row.id),
                    used.get(row.id, ()), scope.policy.active_speech_s))
        for row in rows
        if row.key_id in keys
    ]  # fmt: skip


def info(transaction: Transaction, scope: Scope, row: Row) -> SpeakerInfo:
    """Describe one speaker."""
    if found := infos(transaction, scope, [row]):
        return found[0]
    raise NotFound("What was kept of this speaker has been erased.")


def describe(transaction: Transaction, scope: Scope, external_id: str) -> SpeakerInfo:
    """Describe the speaker with an external id; of somebody who opted out only the state is known."""
    try:
        return info(transaction, scope, get(transaction, scope, external_id))
    except SpeakerOptedOut:
        at = min(opted_out_as(transaction, scope, external_id).values())
        return SpeakerInfo(
            "", external_id, None, {}, "opted_out", 0, 0.0, 0.0, None, at, at, None, (), 0,
        )  # fmt: skip


def _info(
    row: Row,
    profile: Profile,
    state: SpeakerState,
    consent: Consent | None,
    used: tuple[Space, ...],
    active_speech_s: float,
) -> SpeakerInfo:
    return SpeakerInfo(
        id=row.id, external_id=profile.external_id, display_name=profile.display_name,
        metadata=profile.metadata, state=state, references=row.reference_count,
        speech_s=round(row.speech_s, 3),
        remaining_speech_s=round(max(0.0, active_speech_s - row.speech_s), 3), consent=consent,
        created_at=row.created_at, updated_at=row.updated_at, expires_at=row.expires_at, spaces=used,
        version=row.version,
    )  # fmt: skip


def _states(transaction: Transaction, scope: Scope, ids: Iterable[str]) -> dict[str, SpeakerState]:
    found: dict[str, SpeakerState] = {}
    for some in chunks(ids):
        state = _state(transaction, scope).label("state")
        query = sa.select(speakers.c.id, state).where(speakers.c.id.in_(some))
        found.update({row.id: row.state for row in transaction.execute(query)})
    return found


def _spaces(transaction: Transaction, ids: Iterable[str]) -> dict[str, tuple[Space, ...]]:
    found: dict[str, set[Space]] = {}
    for some in chunks(ids):
        query = (
            sa.select(refs.c.speaker_id, spaces.c.model, spaces.c.revision, spaces.c.dim)
            .join(vectors, vectors.c.reference_id == refs.c.id)
            .join(spaces, spaces.c.id == vectors.c.space_id)
            .where(refs.c.speaker_id.in_(some)).distinct()
        )  # fmt: skip
        for row in transaction.execute(query):
            found.setdefault(row.speaker_id, set()).add(Space(row.model, row.revision, row.dim))
    return {speaker_id: tuple(sorted(each)) for speaker_id, each in found.items()}

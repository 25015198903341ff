"""A new master key for a store: everything that depends on it is made anew, in steps that may be cut off.

What the old key did stays true: the ledger passes from key to key, each line naming the next, and the hashes
of people who opted out stay, since nothing else is left of them. Their old hashing key is kept for that,
wrapped with the new master key.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gallery import ledger
from gallery.data_keys import CHUNK, DataKeys
from gallery.database import Database
from gallery.keys import (
    MASTER_KEY_VARIABLE,
    MasterKey,
    key_of_file,
    key_of_variable,
    keyed_hash,
    make_key_file,
    read_master_key,
)
from gallery.speakers import Profile
from gallery.store import (
    HASHING_KEYS_FACT,
    MASTER_KEY_FACT,
    MASTER_KEY_FILE,
    PREVIOUS_KEY_FACT,
    databases,
    earlier_hashing_keys,
    fact,
)
from gallery.tables import chains, data_keys, facts, metadata, speakers
from voxgraph.errors import GalleryUnavailable

NEW_KEY_VARIABLE = "VOXGRAPH_GALLERY_NEW_KEY"
"""Environment variable with the new master key, where `MASTER_KEY_VARIABLE` has the old one."""
NEW_KEY_SUFFIX = ".new"
ACTOR = "rotate-key"


def rotate_master_key(state: str | Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> int:
    """Replace the master key of a store, or complete what an earlier call began.

    The old key is in ``VOXGRAPH_GALLERY_KEY`` and the new one in ``VOXGRAPH_GALLERY_NEW_KEY``; or the old one
    is ``master.key`` in the folder, where the new one is made and takes its place at the end.

    Returns:
        How many speakers were sealed with a key that the new master key wraps now.

    Raises:
        GalleryUnavailable: A key is missing, or neither of them is that of the store.
    """
    galleries, keys = databases(state)
    try:
        galleries.migrate()
        old, new, file = _keys(state)
        if not _begin(galleries, old, new, clock()):
            _put_in_place(file)
            return 0
        count = _wrap_anew(keys, old, new)
        _hash_anew(galleries, DataKeys(keys, new), new)
        # Nothing that the old key opens may be left in the files before it counts as done.
        keys.forget_deleted(data_keys)
        galleries.forget_deleted(*metadata.sorted_tables)
        _finish(galleries, new, clock())
    finally:
        galleries.close()
        keys.close()
    _put_in_place(file)
    return count


def _keys(state: str | Path) -> tuple[MasterKey, MasterKey, Path | None]:
    """Return the old key, the new one, and the file of the old one if it is in a file."""
    if (old := key_of_variable(MASTER_KEY_VARIABLE)) is not None or "://" in str(state):
        new = key_of_variable(NEW_KEY_VARIABLE)
        if old is None or new is None:
            raise GalleryUnavailable(
                f"The old master key belongs in {MASTER_KEY_VARIABLE}, and the new one, 64 hexadecimal "
                f"digits, in {NEW_KEY_VARIABLE}."
            )
        return old, new, None
    file = Path(state) / MASTER_KEY_FILE
    old = read_master_key(file, may_make=False)
    if not (draft := _draft(file)).exists():
        make_key_file(draft)
    return old, key_of_file(draft), file


def _draft(file: Path) -> Path:
    return file.with_name(file.name + NEW_KEY_SUFFIX)


def _put_in_place(file: Path | None) -> None:
    if file is not None:
        os.replace(_draft(file), file)


def _begin(database: Database, old: MasterKey, new: MasterKey, now: datetime) -> bool:
    """Let the store belong to the new key; return False if nothing is left to be done.

    From here on whoever has the store open with the old key can neither read nor change it.
    """
    with database.write() as connection:
        # Waits for every change that has begun: it may wrap a key with the old master key.
        here = sa.select(facts.c.value).where(facts.c.name == MASTER_KEY_FACT).with_for_update()
        present = connection.execute(here).scalar()
        previous = fact(connection, PREVIOUS_KEY_FACT)
        is_other = old.fingerprint != new.fingerprint
        if is_other and present == new.fingerprint and previous in (None, old.fingerprint):
            return previous is not None
        if not is_other or present != old.fingerprint or previous is not None:
            raise GalleryUnavailable("The keys are not the one that the store has and a new one.")
        hashing = [*earlier_hashing_keys(connection, old), old.hashing]
        wrapped = [new.wrap(each, HASHING_KEYS_FACT).hex() for each in hashing]
        details = {"public_key": new.public_key, "previous": old.public_key}
        _note(ledger.Pen(connection, old, now), ledger.ROTATION, details)
        _remember(connection, MASTER_KEY_FACT, new.fingerprint)
        _remember(connection, PREVIOUS_KEY_FACT, old.fingerprint)
        _remember(connection, HASHING_KEYS_FACT, json.dumps(wrapped))
    return True


def _wrap_anew(database: Database, old: MasterKey, new: MasterKey) -> int:
    """Wrap all data keys with the new master key, some at a time."""
    count, after = 0, ""
    query = sa.select(data_keys).order_by(data_keys.c.id).limit(CHUNK)
    while True:
        with database.write() as connection:
            rows = connection.execute(query.where(data_keys.c.id > after)).all()
            for row in rows:
                connection.execute(
                    data_keys.update().where(data_keys.c.id == row.id)
                    .values(wrapped=_wrapped_anew(row.wrapped, row.id, old, new))
                )  # fmt: skip
        if not rows:
            return count
        count, after = count + len(rows), rows[-1].id


def _wrapped_anew(wrapped: bytes, key_id: str, old: MasterKey, new: MasterKey) -> bytes:
    try:
        return new.wrap(old.unwrap(wrapped, key_id), key_id)
    except GalleryUnavailable:
        # An earlier call has come to it; if not even that is true, the error says so.
        new.unwrap(wrapped, key_id)
        return wrapped


def _hash_anew(database: Database, keys: DataKeys, new: MasterKey) -> None:
    """Give every speaker the keyed hash of the new key, some at a time."""
    query, after = sa.select(speakers).order_by(speakers.c.id).limit(CHUNK), ""
    while True:
        with database.write() as connection:
            rows = connection.execute(query.where(speakers.c.id > after)).all()
            opened = keys.get(row.key_id for row in rows)
            for row in rows:
                # Whoever has no key was erased, and cannot be read in any case.
                if row.key_id in opened:
                    external_id = Profile.open(opened[row.key_id], row).external_id
                    hashed = keyed_hash(new.hashing, row.tenant_id, row.gallery_id, external_id)
                    changed = speakers.update().where(speakers.c.id == row.id).values(subject=hashed)
                    connection.execute(changed)
        if not rows:
            return
        after = rows[-1].id


def _finish(database: Database, new: MasterKey, now: datetime) -> None:
    with database.write() as connection:
        # The first line of the new key: it vouches for all lines before it.
        _note(ledger.Pen(connection, new, now), ledger.ROTATED, {})
        connection.execute(facts.delete().where(facts.c.name == PREVIOUS_KEY_FACT))


def _note(pen: ledger.Pen, action: str, details: dict[str, Any]) -> None:
    """Write a line into the ledger of every tenant."""
    tenants = sa.select(chains.c.tenant_id).order_by(chains.c.tenant_id)
    for tenant in pen.connection.execute(tenants).scalars().all():
        ledger.write(pen, tenant, ACTOR, action, "store", details)


def _remember(connection: sa.Connection, name: str, value: str) -> None:
    connection.execute(facts.delete().where(facts.c.name == name))
    connection.execute(facts.insert().values(name=name, value=value))

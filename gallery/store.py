"""The open store: its databases, its keys, and the transactions in which everything happens."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gallery.data_keys import DataKeys
from gallery.database import Database
from gallery.erasure_list import ErasureList
from gallery.keys import DataKey, MasterKey, read_master_key
from gallery.tables import facts, key_metadata, metadata
from voxgraph.errors import GalleryUnavailable

log = logging.getLogger(__name__)

Encoder = tuple[str, str]
"""Model and revision of a speaker encoder, from which its space follows."""

ERASURES_VARIABLE = "VOXGRAPH_GALLERY_ERASURES"
"""Environment variable with the path of the list of erasures."""
NO_ERASURES = "none"
"""Value of the variable with which a store in PostgreSQL has no list."""
MASTER_KEY_FACT, PREVIOUS_KEY_FACT, HASHING_KEYS_FACT = "master_key", "previous_master_key", "hashing_keys"
"""What `gallery.tables.facts` knows: the fingerprint of the master key; that of the one before while
`gallery.rotation` is at work; and the hashing keys of all earlier ones, wrapped, as JSON."""
DATABASE_FILE = "gallery.db"
DATA_KEYS_FILE = "keys.db"
MASTER_KEY_FILE = "master.key"
ERASURES_FILE = "erasures.jsonl"


@dataclass
class Transaction:
    """What one operation reads or changes: all of it or nothing."""

    connection: sa.Connection
    store: "Store"
    now: datetime
    doomed_keys: list[str] = field(default_factory=list)
    """Ids of data keys that are destroyed when the change is kept."""

    def execute(self, statement: sa.Executable) -> sa.CursorResult[Any]:
        """Run one statement."""
        return self.connection.execute(statement)


class Store:
    """The databases and keys of all galleries.

    Args:
        state: A folder, or the URL of a PostgreSQL database.
        erasures: File of the list of erasures.
        key_file: File of the master key; by default ``master.key`` in the folder.
        encoders: The speaker encoders that the graph has now, or None.
        clock: Returns the time, with its zone.

    Raises:
        GalleryUnavailable: The store cannot be opened; the message says why.
    """

    def __init__(
        self,
        state: str | Path,
        *,
        erasures: Path | None = None,
        key_file: Path | None = None,
        encoders: frozenset[Encoder] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.encoders, self.clock = encoders, clock
        self.database, keys_database = databases(state)
        if "://" not in str(state):
            key_file = key_file or Path(state) / MASTER_KEY_FILE
        self._databases = (self.database, keys_database)
        try:
            self.database.migrate()
            if keys_database.file:
                with keys_database.write() as connection:
                    key_metadata.create_all(connection)
            erasures = erasures or _list_of_erasures(state)
            self.master = self._checked_master_key(key_file)
            self.hashing_keys = self._hashing_keys()
        except BaseException:
            self.close()
            raise
        self.keys = DataKeys(keys_database, self.master)
        self.erasures = ErasureList(erasures) if erasures else None

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Look at one state of the store."""
        with self.database.read() as connection:
            self._check_unchanged(connection)
            yield Transaction(connection, self, self.clock())

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Change the store: the change is kept as a whole when the block ends, or not at all."""
        with self.database.write() as connection:
            self._check_unchanged(connection, to_change=True)
            transaction = Transaction(connection, self, self.clock())
            yield transaction
        if transaction.doomed_keys:
            self.keys.destroy(transaction.doomed_keys)
            self.database.forget_deleted()

    def forget_deleted(self) -> None:
        """Leave nothing of deleted rows in the files; see `Database.forget_deleted`."""
        self.database.forget_deleted(*metadata.sorted_tables)

    def key(self, key_id: str) -> DataKey:
        """Return one data key."""
        if found := self.keys.get([key_id]):
            return found[key_id]
        raise GalleryUnavailable("The key of a speaker is missing; nothing of the speaker can be read.")

    def close(self) -> None:
        """Close all connections."""
        for database in self._databases:
            database.close()

    def _checked_master_key(self, key_file: Path | None) -> MasterKey:
        """Return the master key of the store; make one for a new store, and refuse another one."""
        with self.database.write() as connection:
            known = fact(connection, MASTER_KEY_FACT)
            master = read_master_key(key_file, may_make=known is None)
            if known is None:
                # Of two replicas that make the store at the same time, the first one decides.
                row = {"name": MASTER_KEY_FACT, "value": master.fingerprint}
                insert_missing(connection, facts, row)
                known = fact(connection, MASTER_KEY_FACT)
            is_between = fact(connection, PREVIOUS_KEY_FACT) is not None
        if is_between:
            raise GalleryUnavailable(
                "A change of the master key was begun and not finished: voxgraph gallery rotate-key does so."
            )
        if known != master.fingerprint:
            raise GalleryUnavailable(
                "The master key is not the one that the store was made with, or was changed to."
            )
        return master

    def _hashing_keys(self) -> tuple[bytes, ...]:
        """Return what keyed hashes were made with, the present key first."""
        with self.database.read() as connection:
            return self.master.hashing, *earlier_hashing_keys(connection, self.master)

    def _check_unchanged(self, connection: sa.Connection, *, to_change: bool = False) -> None:
        """Refuse to go on with a master key that was replaced since the store was opened.

        `gallery.rotation` waits for all that began to change something before.
        """
        if fact(connection, MASTER_KEY_FACT, to_keep=to_change) != self.master.fingerprint:
            raise GalleryUnavailable(
                "The master key of the galleries was changed: this has to be started again with the new one."
            )


def fact(connection: sa.Connection, name: str, *, to_keep: bool = False) -> str | None:
    """Return what the store remembers of itself, and let nobody change it meanwhile if it is `to_keep`."""
    query = sa.select(facts.c.value).where(facts.c.name == name)
    found: str | None = connection.execute(query.with_for_update(read=True) if to_keep else query).scalar()
    return found


def earlier_hashing_keys(connection: sa.Connection, master: MasterKey) -> list[bytes]:
    """Return the hashing keys of earlier master keys, which the present one has wrapped."""
    kept = json.loads(fact(connection, HASHING_KEYS_FACT) or "[]")
    return [master.unwrap(bytes.fromhex(each), HASHING_KEYS_FACT) for each in kept]


def databases(state: str | Path) -> tuple[Database, Database]:
    """Return the database of the galleries and that of the data keys; in PostgreSQL they are one."""
    if "://" in str(state):
        return Database(str(state)), Database(str(state))
    folder = _private(Path(state))
    return Database(folder / DATABASE_FILE), Database(folder / DATA_KEYS_FILE)


def _list_of_erasures(state: str | Path) -> Path | None:
    """Return where the list of erasures is; None where it was declared to be nowhere.

    Raises:
        GalleryUnavailable: Nobody said where; nothing beside PostgreSQL outlives the restore of a backup.
    """
    listed = os.environ.get(ERASURES_VARIABLE)
    if "://" not in str(state):
        return Path(listed) if listed else Path(state) / ERASURES_FILE
    if not listed:
        raise GalleryUnavailable(
            "A store in PostgreSQL needs a list of erasures that no restored backup replaces: "
            f"{ERASURES_VARIABLE} names a file, or is {NO_ERASURES!r} if backups may bring people back."
        )
    if listed == NO_ERASURES:
        log.warning("A restored backup brings erased people back: %s is %s.", ERASURES_VARIABLE, listed)
        return None
    return Path(listed)


def _private(folder: Path) -> Path:
    """Make what is missing of the folder and its databases, so that only their owner can read them."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (DATABASE_FILE, DATA_KEYS_FILE):
            # SQLite gives its -wal and -shm the mode of the database.
            (folder / name).touch(mode=0o600)
    except OSError as error:
        raise GalleryUnavailable(f"The folder of the store cannot be used: {error.strerror}.") from None
    return folder


def insert_missing(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    """Insert a row unless there is one with its unique values; return whether it was inserted."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing()
    return connection.execute(statement.returning(*table.primary_key)).first() is not None

"""The open store: its databases, its keys, and the transactions in which everything happens."""

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
from voxgraph.results import Space

log = logging.getLogger(__name__)

ERASURES_VARIABLE = "VOXGRAPH_GALLERY_ERASURES"
"""Environment variable with the path of the list of erasures."""
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
        spaces: The speaker spaces that the graph has now, or None.
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
        spaces: tuple[Space, ...] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.spaces, self.clock = spaces, clock
        if erasures is None and (listed := os.environ.get(ERASURES_VARIABLE)):
            erasures = Path(listed)
        if "://" in str(state):
            self.database, keys_database = Database(str(state)), Database(str(state))
        else:
            folder = _private(Path(state))
            key_file = key_file or folder / MASTER_KEY_FILE
            erasures = erasures or folder / ERASURES_FILE
            self.database, keys_database = Database(folder / DATABASE_FILE), Database(folder / DATA_KEYS_FILE)
        self._databases = (self.database, keys_database)
        try:
            self.database.migrate()
            if keys_database.file:
                with keys_database.write() as connection:
                    key_metadata.create_all(connection)
            self.master = self._checked_master_key(key_file)
        except BaseException:
            self.close()
            raise
        if erasures is None:
            log.warning("A restored backup would bring erased people back: %s is not set.", ERASURES_VARIABLE)
        self.keys = DataKeys(keys_database, self.master)
        self.erasures = ErasureList(erasures) if erasures else None

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Look at one state of the store."""
        with self.database.read() as connection:
            yield Transaction(connection, self, self.clock())

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Change the store: the change is kept as a whole when the block ends, or not at all."""
        with self.database.write() as connection:
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
        name = sa.select(facts.c.value).where(facts.c.name == "master_key")
        with self.database.write() as connection:
            known = connection.execute(name).scalar()
            master = read_master_key(key_file, may_make=known is None)
            if known is None:
                connection.execute(facts.insert().values(name="master_key", value=master.fingerprint))
            elif known != master.fingerprint:
                raise GalleryUnavailable("The master key is not the one that the store was made with.")
        return master


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


def insert_missing(transaction: Transaction, table: sa.Table, row: dict[str, Any]) -> bool:
    """Insert a row unless there is one with its unique values; return whether it was inserted."""
    dialect = postgresql if transaction.connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing()
    return transaction.execute(statement.returning(*table.primary_key)).first() is not None

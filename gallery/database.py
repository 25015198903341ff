"""One database: how SQLite and PostgreSQL are opened, read and written.

A write begins with the lock that it needs, so that no transaction fails half-way for want of one. Nothing of
a parameter is ever in a message of an error.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from voxgraph.errors import GalleryUnavailable

BUSY_TIMEOUT_MS = 30_000
"""How long a connection to SQLite waits for another process."""
CHECKPOINT_TIMEOUT_MS = 200
"""How long emptying the log waits for readers; writers wait meanwhile."""
MIGRATION_LOCK = 8_317_204_411
"""Advisory lock of PostgreSQL under which one replica migrates."""
POOL_TIMEOUT_S = 10.0
"""How long an operation waits for one of the connections to PostgreSQL."""
CONNECTING = {
    "connect_timeout": "5", "tcp_user_timeout": "10000", "keepalives_idle": "10", "keepalives_interval": "5",
    "keepalives_count": "2",
}  # fmt: skip
"""Parameters of libpq, unless the URL has them: whoever asks must not wait for a server that is gone for as
long as the system waits, which is minutes."""
SESSION = (
    "lock_timeout = '20s'", "tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10",
    "tcp_keepalives_count = 3",
)  # fmt: skip
"""Settings of a session of PostgreSQL: a replica that vanishes with its machine must not hold its locks for
two hours, and no one waits for a lock for longer than callers wait for an answer."""


class StoreUnreachable(GalleryUnavailable):
    """The database does not answer, or refuses the connection.

    Args:
        detail: For the caller; names neither host nor user.
        reason: In the words of the driver, for the operator; never a password.
        is_refusal: Whether it will refuse again as long as nobody changes something.
    """

    def __init__(self, detail: str, reason: str = "", is_refusal: bool = False) -> None:
        super().__init__(detail)
        self.reason, self.is_refusal = reason, is_refusal


class Database:
    """A pool of connections.

    Args:
        target: A file of SQLite or a URL ``postgresql://...``.
    """

    def __init__(self, target: Path | str) -> None:
        self.file = target if isinstance(target, Path) else None
        self._writing = threading.Lock()
        self._has_rest = False
        """Whether SQLite's log still holds what was deleted."""
        if self.file is not None:
            self._engine = sa.create_engine(f"sqlite:///{self.file}", hide_parameters=True)
            event.listen(self._engine, "connect", _set_up_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
            self._reading: sa.Engine = self._engine
            self._writer: sa.Engine = self._engine.execution_options(begins="BEGIN IMMEDIATE")
        else:
            url = _with_driver(str(target))
            self._engine = sa.create_engine(
                url, hide_parameters=True, pool_pre_ping=True, pool_timeout=POOL_TIMEOUT_S,
                connect_args={name: value for name, value in CONNECTING.items() if name not in url.query},
            )  # fmt: skip
            event.listen(self._engine, "connect", _set_up_postgres)
            self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ")
            self._writer = self._engine

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one state of the database."""
        with self._as_unavailable(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that is committed as a whole at the end, or not at all."""
        if self.file is None:
            with self._as_unavailable(), self._writer.begin() as connection:
                yield connection
            return
        # Threads wait here in turn, where SQLite would let them poll.
        with self._writing, self._as_unavailable(), self._writer.begin() as connection:
            yield connection
        if self._has_rest:
            self.forget_deleted()

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to a revision of `gallery.migrations`, ``base`` for none."""
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            _migrate(connection, revision)

    def forget_deleted(self, *tables: sa.Table) -> None:
        """Leave nothing of deleted rows in the files as far as the database can.

        SQLite has overwritten them with zeros and empties its log here; if a reader needs the log just then,
        the next write empties it. PostgreSQL gives their space free.
        """
        with self._as_unavailable(), self._engine.connect() as connection:
            if self.file is not None:
                self._has_rest = not _checkpoint(connection)
                return
            bare = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in tables:
                bare.exec_driver_sql(f"VACUUM {table.name}")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _as_unavailable(self) -> Iterator[None]:
        """Turn what fails in the database itself into an error of ours, without statement and parameters."""
        try:
            yield
        except (exc.IntegrityError, exc.ProgrammingError, exc.DataError):
            # A fault of ours, not of the database.
            raise
        except (exc.DBAPIError, exc.TimeoutError) as error:
            cause = getattr(error, "orig", error)
            reason = str(cause)
            # A file does not come back by itself; a server that starts or stops says so.
            is_refusal = self.file is not None or ("FATAL" in reason and "the database system" not in reason)
            detail = f"The store of the galleries does not answer ({type(cause).__name__})."
            raise StoreUnreachable(detail, reason, is_refusal) from error


def _migrate(connection: sa.Connection, revision: str) -> None:
    # A fifth of a second to import, needed once.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    (command.downgrade if revision == "base" else command.upgrade)(config, revision)


def _checkpoint(connection: sa.Connection) -> bool:
    """Empty the log of SQLite; return whether no reader was in the way."""
    # Straight on the driver's connection, since a checkpoint cannot run in a transaction.
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={CHECKPOINT_TIMEOUT_MS}")
    try:
        is_busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not is_busy
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _set_up_sqlite(connection: Any, _: Any) -> None:
    # The transactions are ours: the driver's own would begin too late and without the lock.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
        "secure_delete=ON", "temp_store=MEMORY",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")


def _set_up_postgres(connection: Any, _: Any) -> None:
    for setting in SESSION:
        connection.execute(f"SET {setting}")
    connection.commit()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begins", "BEGIN"))


def _with_driver(url: str) -> sa.URL:
    try:
        found = sa.make_url(url)
    except exc.ArgumentError:
        raise GalleryUnavailable("The address of the store is no URL of a database.") from None
    if found.get_backend_name() != "postgresql":
        raise GalleryUnavailable("The store is a folder or the URL of a PostgreSQL database.")
    return found.set(drivername="postgresql+psycopg")

"""Where the data keys of the speakers are kept, apart from what they seal."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

import sqlalchemy as sa

from gallery.database import Database
from gallery.keys import DataKey, MasterKey, new_id
from gallery.tables import data_keys

CHUNK = 500
"""Ids in one statement; SQLite takes 32,766."""


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """Cut ids into lists that fit in a statement."""
    rest = iter(ids)
    while found := list(islice(rest, CHUNK)):
        yield found


class DataKeys:
    """The wrapped keys.

    A key is made before the row that needs it and destroyed after the row is gone. A crash in between leaves
    a key that opens nothing, never a row that nothing opens.
    """

    def __init__(self, database: Database, master: MasterKey) -> None:
        self._database, self._master = database, master

    def make(self) -> tuple[str, DataKey]:
        """Make and keep a new key; return its id and the key."""
        key_id = new_id("key")
        key, wrapped = self._master.new_data_key(key_id)
        with self._database.write() as connection:
            connection.execute(
                data_keys.insert().values(id=key_id, wrapped=wrapped, created_at=datetime.now(UTC))
            )
        return key_id, key

    def get(self, key_ids: Iterable[str]) -> dict[str, DataKey]:
        """Return the keys that are still there, by id."""
        found = {}
        with self._database.read() as connection:
            for some in chunks(dict.fromkeys(key_ids)):
                rows = connection.execute(sa.select(data_keys).where(data_keys.c.id.in_(some)))
                found.update({row.id: DataKey(self._master.unwrap(row.wrapped, row.id)) for row in rows})
        return found

    def destroy(self, key_ids: Iterable[str]) -> None:
        """Destroy keys: nothing that they sealed can be read any more, in backups neither."""
        with self._database.write() as connection:
            for some in chunks(key_ids):
                connection.execute(data_keys.delete().where(data_keys.c.id.in_(some)))
        self._database.forget_deleted(data_keys)

    def ids(self) -> set[str]:
        """Return the ids of all keys."""
        with self._database.read() as connection:
            return set(connection.execute(sa.select(data_keys.c.id)).scalars())

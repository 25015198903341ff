"""Stores of both kinds: a folder with SQLite, and a database of a PostgreSQL server that all tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres import database, postgres_server
from voices import MASTER_KEY, Clock

from gallery.galleries import Galleries


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_database(postgres_url: str) -> Iterator[str]:
    """One database, since making one for every test takes longer than most tests."""
    with database(postgres_url, "shared") as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def state(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str | Path]:
    """Where an empty store is: a folder or a URL."""
    if request.param == "sqlite":
        yield tmp_path / "state"
        return
    monkeypatch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
    monkeypatch.setenv("VOXGRAPH_GALLERY_ERASURES", str(tmp_path / "erasures.jsonl"))
    url: str = request.getfixturevalue("postgres_database")
    yield url
    with psycopg.connect(url) as connection:
        # Of all tables that are there; alembic's own says that they are.
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename != 'alembic_version'"
        ).fetchall()
        if tables:
            connection.execute(f"TRUNCATE {', '.join(name for (name,) in tables)} CASCADE".encode())


@pytest.fixture
def opened(state: str | Path, clock: Clock) -> Iterator[Callable[..., Galleries]]:
    """Open the store, as often as the test needs."""
    stores = []

    def open_store(**options: Any) -> Galleries:
        stores.append(Galleries(state, **{"clock": clock, **options}))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def galleries(opened: Callable[..., Galleries]) -> Galleries:
    """An open store with an empty gallery ``staff`` of the tenant ``acme``."""
    store = opened()
    store.create("acme", "staff", actor="key")
    return store

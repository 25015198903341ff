"""API keys: made here, shown once, and kept as SHA-256 in a file that a server reads.

A key has 256 random bits, so that one fast hash is enough: nobody can try them all. The file is JSON, a list
of objects with the fields of `Key`.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from voxgraph.errors import VoxError

Scope = Literal["ask", "admin", "gallery", "scores"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""``ask``: all questions, and what the server says about itself. ``admin``: clear the cache, delete files.
``gallery``: galleries of voices, those of the key's tenant. ``scores``: to see in figures how near a voice of
them is."""
PREFIX = "vox_"
SECRET_BYTES = 32
MAX_NAME_CHARS = 64


class KeysError(VoxError, ValueError, code="keys"):
    """A file of keys that cannot be read, or a key that cannot be made; the message says why."""


@dataclass(frozen=True)
class Key:
    """What a server knows of a key.

    Raises `KeysError` for values that no key has.
    """

    name: str
    """Stands for the key in logs and metrics."""
    sha256: str
    """Hash of the key: 64 hexadecimal digits."""
    scopes: tuple[Scope, ...] = ("ask",)
    requests_per_minute: int | None = None
    """Requests a minute, also as one burst; None: no limit. All ingress replicas count together."""
    max_concurrent: int | None = None
    """Recordings in progress at a time, in all ingress replicas together; None: no limit of its own."""
    created: str = ""
    """Time at which it was made (RFC 3339)."""
    tenant: str | None = None
    """Whose galleries the key uses; keys of one tenant share them. None: those of its own name."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scopes", tuple(self.scopes))
        for what, name in (("name", self.name), ("tenant", self.owner)):
            if not isinstance(name, str):
                raise KeysError(f"The {what} of a key is a text.")
            if not (name.isascii() and name.isprintable() and 0 < len(name) <= MAX_NAME_CHARS):
                raise KeysError(f"The {what} of a key is 1 to {MAX_NAME_CHARS} printable ASCII characters.")
        if (
            not isinstance(self.sha256, str)
            or len(self.sha256) != 64
            or set(self.sha256) - set("0123456789abcdef")
        ):
            raise KeysError(f"Key {self.name}: sha256 is 64 hexadecimal digits.")
        if not self.scopes or set(self.scopes) - set(SCOPES):
            raise KeysError(f"Key {self.name}: scopes are {', '.join(SCOPES)}.")
        for limit in (self.requests_per_minute, self.max_concurrent):
            if limit is not None and (type(limit) is not int or limit < 1):
                raise KeysError(f"Key {self.name}: a limit is a whole number from 1 on.")

    @property
    def owner(self) -> str:
        """Whose galleries the key uses."""
        return self.name if self.tenant is None else self.tenant


def digest(secret: str) -> str:
    """Return the hash by which a server knows a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_key(
    name: str,
    scopes: Sequence[Scope] = ("ask",),
    requests_per_minute: int | None = None,
    max_concurrent: int | None = None,
    tenant: str | None = None,
) -> tuple[str, Key]:
    """Return a new key, which nobody can read again, and what a server knows of it."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    limits = requests_per_minute, max_concurrent
    return secret, Key(name, digest(secret), tuple(scopes), *limits, created, tenant)


def read_keys(path: Path) -> tuple[Key, ...]:
    """Read a file of keys; raise `KeysError` if it is not one, or two keys have a name in common."""
    try:
        if path.exists() and not path.is_file():
            # A pipe would hold up the server until somebody writes into it.
            raise KeysError(f"{path} is not a file.")
        rows = json.loads(path.read_text())
        if not isinstance(rows, list):
            raise KeysError(f"{path}: not a list.")
        keys = tuple(_key(row) for row in rows)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise KeysError(f"{path} is not a file of keys: {error}") from error
    names = [key.name for key in keys]
    if len(set(names)) < len(names):
        raise KeysError(f"{path}: two keys have the same name.")
    return keys


def write_keys(path: Path, keys: Sequence[Key]) -> None:
    """Replace a file of keys at once; only its owner may read a new one."""
    text = json.dumps([asdict(key) for key in keys], indent=2) + "\n"
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    written = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    written.replace(path)


def add_key(
    path: Path,
    name: str,
    scopes: Sequence[Scope] = ("ask",),
    requests_per_minute: int | None = None,
    max_concurrent: int | None = None,
    tenant: str | None = None,
) -> str:
    """Make a key, add it to a file, which need not exist yet, and return the key itself."""
    keys = read_keys(path) if path.exists() else ()
    if name in {key.name for key in keys}:
        raise KeysError(f"There is a key {name} already.")
    secret, key = make_key(name, scopes, requests_per_minute, max_concurrent, tenant)
    write_keys(path, (*keys, key))
    return secret


def revoke_key(path: Path, name: str) -> None:
    """Remove a key from a file; servers that read it refuse the key within about a second."""
    keys = read_keys(path)
    left = [key for key in keys if key.name != name]
    if len(left) == len(keys):
        raise KeysError(f"There is no key {name}.")
    write_keys(path, left)


def _key(row: Any) -> Key:
    if not isinstance(row, dict):
        raise KeysError("a key is an object.")
    if unknown := set(row) - {field.name for field in fields(Key)}:
        raise KeysError(f"a key has no {', '.join(sorted(unknown))}.")
    return Key(**row)

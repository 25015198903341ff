"""The keys: one master key, from it the keys that wrap, hash and sign, and a data key for each speaker.

Everything sealed is AES-256-GCM with a random nonce, bound to what it belongs to as associated data, so that
a sealed vector cannot be moved to another speaker.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from binascii import Error as Base64Error
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from voxgraph.errors import GalleryUnavailable

MASTER_KEY_VARIABLE = "VOXGRAPH_GALLERY_KEY"
"""Environment variable with the master key, 64 hexadecimal digits; it goes before the file."""
KEY_BYTES = 32
NONCE_BYTES = 12


def new_id(prefix: str) -> str:
    """Return an id that nobody can guess, for instance ``spk_...``; later ones sort behind earlier ones."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return JSON whose bytes depend on nothing but the value: what is hashed and signed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class DataKey:
    """A key that seals what belongs to one speaker."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._aes = AESGCM(secret)

    def seal(self, content: bytes, belongs_to: str) -> bytes:
        """Return nonce and ciphertext."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, content, belongs_to.encode())

    def open(self, sealed: bytes, belongs_to: str) -> bytes:
        """Return the content.

        Raises:
            GalleryUnavailable: It was damaged, sealed with another key, or belongs to something else.
        """
        try:
            return self._aes.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], belongs_to.encode())
        except InvalidTag:
            raise GalleryUnavailable("What is kept of a speaker cannot be opened with its key.") from None

    def fingerprint(self, content: bytes) -> str:
        """Return a keyed hash that tells contents apart and says nothing without the key, hexadecimal."""
        return hmac.new(_derived(self._secret, "hash recordings"), content, hashlib.sha256).hexdigest()


class MasterKey:
    """The key of a store, and what follows from it.

    Args:
        secret: 32 random bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._wrapping = AESGCM(_derived(secret, "wrap data keys"))
        self.hashing = _derived(secret, "hash subjects")
        """What keyed hashes are made with: see `keyed_hash`."""
        self._signing = Ed25519PrivateKey.from_private_bytes(_derived(secret, "sign the ledger"))
        self.fingerprint = _derived(secret, "fingerprint").hex()
        """Tells this key from others and reveals nothing of it."""

    @property
    def public_key(self) -> str:
        """The public part of the key that signs, base64."""
        return base64.b64encode(self._signing.public_key().public_bytes_raw()).decode()

    def new_data_key(self, key_id: str) -> tuple[DataKey, bytes]:
        """Return a new data key, and the same key wrapped, to be kept."""
        secret = secrets.token_bytes(KEY_BYTES)
        return DataKey(secret), self.wrap(secret, key_id)

    def wrap(self, secret: bytes, key_id: str) -> bytes:
        """Return a key sealed under an id."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, secret, key_id.encode())

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes:
        """Return a key that was wrapped under this id.

        Raises:
            GalleryUnavailable: It was wrapped with another master key, or under another id.
        """
        try:
            return self._wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], key_id.encode())
        except InvalidTag:
            raise GalleryUnavailable("The key of a speaker cannot be opened with the master key.") from None

    def sign(self, content: bytes) -> str:
        """Return the Ed25519 signature, base64."""
        return base64.b64encode(self._signing.sign(content)).decode()


def keyed_hash(hashing: bytes, tenant: str, gallery_id: str, external_id: str) -> str:
    """Return what stands for an external id, hexadecimal: nobody without the key can tell whose it is."""
    content = "\0".join((tenant, gallery_id, external_id)).encode()
    return hmac.new(hashing, content, hashlib.sha256).hexdigest()


def is_signed(content: bytes, signature: str, public_key: str) -> bool:
    """Return whether a signature is that of the content by the owner of a public key, both base64."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), content)
    except (InvalidSignature, ValueError, Base64Error):
        return False
    return True


def read_master_key(path: Path | None, *, may_make: bool) -> MasterKey:
    """Return the master key of the environment variable or of a file, which is made if it may be.

    Args:
        path: The file; it must be readable by its owner alone.
        may_make: Whether a new store may begin with a new key.

    Raises:
        GalleryUnavailable: There is none, it is no key, or others could read it.
    """
    if (given := key_of_variable(MASTER_KEY_VARIABLE)) is not None:
        return given
    if path is None:
        raise GalleryUnavailable(f"The store needs its master key in {MASTER_KEY_VARIABLE} or in a key file.")
    if not path.exists():
        if not may_make:
            raise GalleryUnavailable(
                f"{path.name} is missing: what the store holds cannot be opened without."
            )
        make_key_file(path)
    return key_of_file(path)


def key_of_file(path: Path) -> MasterKey:
    """Return the master key in a file that its owner alone may read; raises `GalleryUnavailable`."""
    if path.stat().st_mode & 0o077:
        raise GalleryUnavailable(f"{path.name} can be read by others; its mode must be 0600.")
    return _parsed(path.read_text().strip(), path.name)


def key_of_variable(name: str) -> MasterKey | None:
    """Return the master key in an environment variable, None without one; raises `GalleryUnavailable`."""
    given = os.environ.get(name)
    return _parsed(given, name) if given else None


def make_key_file(path: Path) -> None:
    """Write a new key as a whole file or not at all; of several processes, one wins."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _parsed(text: str, source: str) -> MasterKey:
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise GalleryUnavailable(f"{source} must hold {2 * KEY_BYTES} hexadecimal digits.")
    return MasterKey(secret)


def _derived(secret: bytes, use: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"voxgraph gallery: {use}".encode()).derive(secret)

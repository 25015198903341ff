"""Where the server is, and the API key: given, or from the environment."""

import os
import stat
from pathlib import Path

from voxgraph.errors import InvalidOptions

DEFAULT_URL = "http://127.0.0.1:8000"
URL = "VOXGRAPH_URL"
API_KEY = "VOXGRAPH_API_KEY"
API_KEY_FILE = "VOXGRAPH_API_KEY_FILE"
"""Environment variables: the address, the key, and a file that holds the key and only its owner may read."""


def server_url(given: str | None = None) -> str:
    """Return the address of the server, by default that of `make serve`.

    Raises:
        InvalidOptions: It is not one of HTTP.
    """
    url = given or os.environ.get(URL) or DEFAULT_URL
    if not url.startswith(("http://", "https://")):
        raise InvalidOptions(f"The address of the server is {url!r}; it begins with http:// or https://.")
    return url


def api_key(given: str | None = None) -> str | None:
    """Return the API key, None if there is none.

    Raises:
        InvalidOptions: The file of the key cannot be read, or others than its owner may read it.
    """
    key = given or os.environ.get(API_KEY)
    if not key and (name := os.environ.get(API_KEY_FILE)):
        key = _read(Path(name).expanduser())
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable():
        raise InvalidOptions("The API key has characters that no HTTP header takes.")
    return key or None


def _read(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidOptions(f"Others may read the API key in {path}: run chmod 600 {path}.")
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOptions(f"The API key cannot be read from {path}: {error}.") from error

"""The browser of the page's tests: ``python tests/support/chromium.py`` fetches it into the environment.

Chromium comes out of an npm package, so no root is needed. It is fetched once and checked by its hash.
"""

import base64
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import brotli
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]
PACKAGE = "@sparticuz/chromium@147.0.0"
INTEGRITY = "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=="
"""SHA-512 of the package, as npm's registry states it."""
FOLDER = ROOT / ".venv" / "chromium"
BINARY = FOLDER / "chromium"
ARGUMENTS = [
    "--no-sandbox", "--headless=shell", "--use-gl=angle", "--use-angle=swiftshader", "--in-process-gpu",
    "--disable-dev-shm-usage",
]  # fmt: skip


def fetch() -> None:
    """Fetch and unpack the browser."""
    with tempfile.TemporaryDirectory() as folder:
        npm = [sys.executable, str(ROOT / "web" / "npm.py"), "pack", PACKAGE, "--pack-destination", folder]
        subprocess.run(npm, check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(folder).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            sys.exit(f"The hash of {PACKAGE} is {found}, not {INTEGRITY}.")
        with tarfile.open(package) as archive:
            _unpack(archive)


def _unpack(archive: tarfile.TarFile) -> None:
    """Unpack the binary and, beside it, the libraries that it looks for there, and its fonts."""

    def content(name: str) -> bytes:
        file = archive.extractfile(f"package/bin/{name}.br")
        assert file is not None
        return bytes(brotli.decompress(file.read()))

    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("swiftshader.tar", "al2023.tar", "fonts.tar"):
        with tarfile.open(fileobj=io.BytesIO(content(name))) as inner:
            inner.extractall(FOLDER, filter="data")
    BINARY.write_bytes(content("chromium"))
    BINARY.chmod(0o755)


@contextmanager
def browser(*arguments: str) -> Iterator[Browser]:
    """Start the browser."""
    assert BINARY.exists(), "The browser is not installed: `make .venv/.installed-browser` fetches it."
    environment = {**os.environ, "LD_LIBRARY_PATH": str(FOLDER / "lib")}
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=BINARY, args=[*ARGUMENTS, *arguments], env=environment
        )
        try:
            yield started
        finally:
            started.close()


if __name__ == "__main__":
    fetch()

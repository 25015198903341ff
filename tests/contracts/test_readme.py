"""The curl lines of docs/api.md run as they are written."""

import json
import re
import shlex
import subprocess

import pytest
from launched import ROOT, Launched

LINES = re.findall(r"\| `(curl [^`]+)` \|", (ROOT / "docs" / "api.md").read_text())


def test_every_endpoint_has_a_curl_line(service: Launched) -> None:
    import httpx2

    paths = set(httpx2.get(f"{service.url}/openapi.json").json()["paths"])
    tried = {re.search(r"127\.0\.0\.1:8000(/[^?'\s]*)", line)[1] for line in LINES}  # type: ignore[index]

    assert paths == tried


@pytest.mark.parametrize("line", LINES)
def test_every_curl_line_succeeds_as_it_is_written(service: Launched, line: str) -> None:
    command = shlex.split(line.replace("http://127.0.0.1:8000", service.url))

    done = subprocess.run(
        [*command, "--silent", "--show-error", "--fail-with-body"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    for answer in done.stdout.splitlines():
        assert json.loads(answer)

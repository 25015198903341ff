"""The curl lines of the pages, run against a graph as they are written."""

import json
import re
import shlex
import subprocess

from launched import ROOT, Launched

LINES, FORMAT_LINES = (
    re.findall(r"\| `(curl [^`]+)` \|", (ROOT / "docs" / page).read_text())
    for page in ("api.md", "formats.md")
)
"""The lines of docs/api.md, whose answers are JSON, and of docs/formats.md."""


def check_curl_line(service: Launched, line: str) -> None:
    """Check that a curl line succeeds and that each line of its answer is JSON."""
    command = shlex.split(line.replace("http://127.0.0.1:8000", service.url))

    done = subprocess.run(
        [*command, "--silent", "--show-error", "--fail-with-body"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    for answer in done.stdout.splitlines():
        assert json.loads(answer)

"""The curl lines of docs/api.md, run against a graph as they are written."""

import json
import re
import shlex
import subprocess

from launched import ROOT, Launched

LINES = re.findall(r"\| `(curl [^`]+)` \|", (ROOT / "docs" / "api.md").read_text())


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

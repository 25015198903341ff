"""The curl lines of docs/api.md run as they are written."""

import re

import pytest
from curl_lines import FORMAT_LINES, LINES, check_curl_line
from launched import Launched


def test_every_endpoint_has_a_curl_line(service: Launched) -> None:
    import httpx2

    found = httpx2.get(f"{service.url}/openapi.json").json()["paths"]
    # The official SDK tries those of pyannoteAI's interface, and docs/gallery.md has those of galleries.
    elsewhere = (["pyannoteai"], ["gallery"])
    paths = {path for path, each in found.items() if next(iter(each.values()))["tags"] not in elsewhere}
    lines = [*LINES, *FORMAT_LINES]
    tried = {re.search(r"127\.0\.0\.1:8000(/[^?'\s]*)", line)[1] for line in lines}  # type: ignore[index]

    assert paths == tried


@pytest.mark.parametrize("line", LINES)
def test_every_curl_line_succeeds_as_it_is_written(service: Launched, line: str) -> None:
    check_curl_line(service, line)

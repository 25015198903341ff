"""Every answer matches the OpenAPI document, and no input causes a 5xx.

The shared graph keeps no voices; the answers of galleries are tested in ``tests/api/galleries``.
"""

import json
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from launched import Launched
from recordings import new_wav, wav
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.settings import GraphSettings
from deployments.api.app import create_app


def not_a_failure(context: Any, response: Any, case: Any) -> bool | None:
    """Fail for a 5xx, but for that of a graph without galleries."""
    if response.status_code == 503 and response.json()["code"] == "gallery_unavailable":
        return None
    return not_a_server_error(context, response, case)


CHECKS = [
    not_a_failure, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
EXAMPLES = 20

RECORDINGS = st.sampled_from(
    [wav("accent_us_m3.flac"), wav("ja_m3.flac"), new_wav(1), new_wav(2, 0.05), b"", b"RIFF", bytes(1_000)]
)
schemathesis.openapi.format("binary", RECORDINGS)
for media_type in ("audio/*", "audio/wav"):
    schemathesis.openapi.media_type(media_type, RECORDINGS)


# The application generates its document without an analyzer.
DOCUMENT = create_app(None, GraphSettings()).openapi()  # type: ignore[arg-type]
schema = schemathesis.openapi.from_dict(DOCUMENT)


def test_the_tested_document_is_the_served_one(http: httpx2.Client) -> None:
    assert http.get("/openapi.json").json() == json.loads(json.dumps(DOCUMENT))


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_answer_is_documented(case: Any, service: Launched) -> None:
    case.call_and_validate(base_url=service.url, checks=CHECKS, timeout=60)

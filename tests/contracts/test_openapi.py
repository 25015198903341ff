"""The documentation keeps its word: no answer outside its schema and no 5xx, whatever is sent."""

import json
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from launched import Launched
from recordings import another, wav
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.settings import GraphSettings
from deployments.api.app import create_app

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
EXAMPLES = 20

RECORDINGS = st.sampled_from(
    [wav("accent_us_m3.flac"), wav("ja_m3.flac"), another(1), another(2, 0.05), b"", b"RIFF", bytes(1_000)]
)
schemathesis.openapi.format("binary", RECORDINGS)
for media_type in ("audio/*", "audio/wav"):
    schemathesis.openapi.media_type(media_type, RECORDINGS)


# The application documents itself without anything behind it.
DOCUMENT = create_app(None, GraphSettings()).openapi()  # type: ignore[arg-type]
schema = schemathesis.openapi.from_dict(DOCUMENT)


def test_what_is_tested_is_what_is_served(http: httpx2.Client) -> None:
    assert http.get("/openapi.json").json() == json.loads(json.dumps(DOCUMENT))


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_answer_is_documented(case: Any, service: Launched) -> None:
    case.call_and_validate(base_url=service.url, checks=CHECKS, timeout=60)

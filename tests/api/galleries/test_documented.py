"""Every answer about galleries matches the OpenAPI document, and no input causes a 5xx."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from fake_analyzer import FakeAnalyzer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served import served
from tone_voices import ANNA, CONSENT, voice_of, wav_of

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.state.local_gallery import LocalGallery
from gallery.galleries import Galleries

EXAMPLES = 10
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
RECORDINGS = st.sampled_from([wav_of(ANNA), b"", b"RIFF"])
schemathesis.openapi.format("binary", RECORDINGS)
for media_type in ("audio/*", "audio/wav"):
    schemathesis.openapi.media_type(media_type, RECORDINGS)
SETTINGS = GraphSettings.model_validate({"decoders": {"processes": 0}})
DOCUMENT = create_app(None, SETTINGS).openapi()  # type: ignore[arg-type]
schema = schemathesis.openapi.from_dict(DOCUMENT).include(tag="gallery")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    fake = FakeAnalyzer()
    fake.voice_of, fake.speech_s = voice_of, 25.0
    with Galleries(tmp_path_factory.mktemp("state")) as galleries:
        fake.gallery = LocalGallery(galleries)
        with served(create_app(fake, SETTINGS)) as address:
            httpx2.put(f"{address}/v1/galleries/0")
            httpx2.put(f"{address}/v1/galleries/0/speakers/0", json={"consent": CONSENT})
            yield address


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented(case: Any, url: str) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS, timeout=60)

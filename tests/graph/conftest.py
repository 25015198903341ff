"""One real cluster for the whole run: what `make serve` starts."""

from collections.abc import Iterator

import httpx2
import pytest
from launched import ROOT, Launched, running, sample_path


@pytest.fixture(scope="session")
def service() -> Iterator[Launched]:
    """The demo graph, healthy."""
    with running(ROOT / "config" / "demo.yaml") as launched:
        yield launched


@pytest.fixture(scope="session")
def http(service: Launched) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=service.url, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def conversation() -> bytes:
    """30 s of two people on the telephone: the sample inside pyannote.audio."""
    return sample_path().read_bytes()

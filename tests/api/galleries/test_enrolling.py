"""Many people are enrolled by a client, from an application with a real store."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_analyzer import FakeAnalyzer
from served import served
from tone_voices import ANNA, BERT, CLEO, wav_of

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.galleries import VoiceGalleries
from voxgraph import AsyncClient, Client
from voxgraph.client import ManifestOutcome, ManifestPerson, read_manifest
from voxgraph.client.errors import Unreachable
from voxgraph.errors import NotFound
from voxgraph.results import Consent

CONSENT = Consent(("door",), datetime(2026, 1, 1, tzinfo=UTC))
Run = Callable[..., list[ManifestOutcome]]


@pytest.fixture
def url(analyzer: FakeAnalyzer) -> Iterator[str]:
    settings = GraphSettings.model_validate({"decoders": {"processes": 0}})
    with served(create_app(analyzer, settings)) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Client]:  # type: ignore[override]
    with Client(url) as client:
        client.galleries.put("staff")
        yield client


@pytest.fixture(params=["blocking", "coroutines"])
def run(request: pytest.FixtureRequest, client: Client, url: str) -> Run:
    """Return a function that enrols people by one of the clients."""

    def blocking(people: list[ManifestPerson], **options: Any) -> list[ManifestOutcome]:
        return list(client.galleries.enrol_people("staff", people, **options))

    def coroutines(people: list[ManifestPerson], **options: Any) -> list[ManifestOutcome]:
        async def enrol() -> list[ManifestOutcome]:
            async with AsyncClient(url) as asking:
                return [each async for each in asking.galleries.enrol_people("staff", people, **options)]

        return asyncio.run(enrol())

    return blocking if request.param == "blocking" else coroutines


@pytest.fixture
def people(tmp_path: Path) -> list[ManifestPerson]:
    """Anna with two recordings, Bert with one that is noise to the gates, and Cleo who did not agree."""
    lines = ["speaker,file,display_name,purposes,given_at"]
    for speaker, pitch, name, consent in (
        ("a", ANNA, "Anna", "door,2026-01-01T00:00:00Z"), ("b", BERT, "Bert", "door,2026-01-01T00:00:00Z"),
        ("a", ANNA, "", ","), ("c", CLEO, "Cleo", ","),
    ):  # fmt: skip
        path = tmp_path / f"{len(lines)}.wav"
        path.write_bytes(wav_of(pitch, seconds=1.0 + len(lines)))
        lines.append(f"{speaker},{path.name},{name},{consent}")
    lines.append("b,missing.wav,,,")
    manifest = tmp_path / "people.csv"
    manifest.write_text("\n".join(lines))
    return read_manifest(manifest)


def by_line(outcomes: list[ManifestOutcome]) -> dict[int, str]:
    return {each.line.line: each.outcome for each in outcomes}


def test_everybody_has_an_outcome_and_a_second_run_enrols_nobody_twice(
    run: Run, people: list[ManifestPerson], client: Client
) -> None:
    first, second = run(people), run(people)

    assert by_line(first) == {2: "enrolled", 3: "enrolled", 4: "enrolled", 5: "failed", 6: "failed"}
    assert by_line(second) == {
        2: "enrolled_before", 3: "enrolled_before", 4: "enrolled_before", 5: "failed", 6: "failed",
    }  # fmt: skip
    errors = {each.line.line: each.error for each in second if each.error}
    assert getattr(errors[5], "code", None) == "consent_missing"
    assert isinstance(errors[6], FileNotFoundError)
    found = sorted(client.galleries.speakers("staff").speakers, key=lambda each: each.external_id)
    assert [(each.external_id, each.display_name, each.references, each.consent) for each in found] == [
        ("a", "Anna", 2, CONSENT), ("b", "Bert", 1, CONSENT),
    ]  # fmt: skip
    given = [each for each in client.galleries.ledger() if each.action == "consent.give"]
    assert len(given) == 2


def test_what_the_gates_refuse_is_refused(
    run: Run, people: list[ManifestPerson], analyzer: FakeAnalyzer
) -> None:
    analyzer.speech_s = 0.5

    first, _ = run(people[:1])

    assert (first.outcome, first.accepted) == ("refused", False)
    assert first.enrolment is not None
    assert first.enrolment.reasons[0].code == "not_enough_speech"


def test_what_the_manifest_says_otherwise_is_changed_and_nothing_else(
    run: Run, people: list[ManifestPerson], client: Client
) -> None:
    client.galleries.put_speaker("staff", "a", metadata={"desk": 4}, consent=CONSENT)

    run(people[:1])

    speaker = client.galleries.speaker("staff", "a")
    assert (speaker.display_name, speaker.metadata, speaker.consent) == ("Anna", {"desk": 4}, CONSENT)


def test_who_opted_out_is_not_enrolled(run: Run, people: list[ManifestPerson], client: Client) -> None:
    client.galleries.opt_out("staff", "a")

    outcomes = run(people[:1])

    assert {getattr(each.error, "code", None) for each in outcomes} == {"speaker_opted_out"}


def test_only_so_many_are_enrolled_at_a_time(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = []
    most: list[int] = []
    inner = VoiceGalleries.enrol

    async def slow(*arguments: Any, **options: Any) -> Any:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.3)
        running.pop()
        return await inner(*arguments, **options)

    monkeypatch.setattr(VoiceGalleries, "enrol", slow)
    (tmp_path / "x.wav").write_bytes(wav_of(ANNA, seconds=1.0))
    lines = [f"p{number},x.wav,door,2026-01-01T00:00:00Z" for number in range(7)]
    manifest = tmp_path / "many.csv"
    manifest.write_text("\n".join(["speaker,file,purposes,given_at", *lines]))

    outcomes = run(read_manifest(manifest), concurrency=3)

    assert {each.outcome for each in outcomes} == {"enrolled"}
    assert 2 <= max(most) <= 3


def test_a_run_without_a_gallery_or_a_server_ends(people: list[ManifestPerson], client: Client) -> None:
    client.galleries.delete("staff")
    with pytest.raises(NotFound):
        next(client.galleries.enrol_people("staff", people))
    with Client("http://127.0.0.1:1", max_retries=0) as nobody, pytest.raises(Unreachable):
        next(nobody.galleries.enrol_people("staff", people))

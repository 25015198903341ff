"""Galleries in PostgreSQL behind their deployment: two graphs on one database, which goes and returns."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from launched import ROOT, Launched, running
from postgres import PostgresServer, own_server
from tone_voices import ANNA, BERT, CLEO, CONSENT, wav_of
from voices import MASTER_KEY

BOTH = wav_of(ANNA, BERT, seconds=2.0)
BACK_WITHIN_S = 60.0
ANSWERS_WITHIN_S = 35.0
"""Seconds in which everything is answered, whatever the database does: the client's deadline and a little."""
ROUTES = {"a": "/", "b": "/b"}
SPEAKERS = "/v1/galleries/staff/speakers"


def config(folder: Path, **states: str) -> Path:
    """Write the configuration of a graph for each state."""
    applications = [
        {
            "name": name, "route_prefix": ROUTES[name], "import_path": "gallery_graph:build",
            "args": {"state": state},
            "runtime_env": {"env_vars": {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}"}},
        }
        for name, state in states.items()
    ]  # fmt: skip
    path = folder / "galleries.yaml"
    path.write_text(yaml.safe_dump({"http_options": {"host": "127.0.0.1"}, "applications": applications}))
    return path


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
        patch.setenv("VOXGRAPH_GALLERY_ERASURES", str(tmp_path_factory.mktemp("list") / "erasures.jsonl"))
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with own_server() as server:
        yield server


@pytest.fixture(scope="module")
def graphs(
    environment: None, server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launched]:
    with running(config(tmp_path_factory.mktemp("config"), a=server.url, b=server.url)) as launched:
        yield launched


@pytest.fixture
def clients(graphs: Launched) -> Iterator[list[httpx2.Client]]:
    """Two clients of graphs with an empty gallery ``staff``."""
    clients = [httpx2.Client(base_url=graphs.url + route, timeout=60.0) for route in ROUTES.values()]
    clients[0].delete("/v1/galleries/staff")
    assert clients[0].put("/v1/galleries/staff", json={"probe_speech_s": 0.5}).status_code == 201
    yield clients
    for client in clients:
        client.close()


def enrol(client: httpx2.Client, speaker: str, name: str, pitch: float) -> None:
    path = f"{SPEAKERS}/{speaker}"
    created = client.put(path, json={"display_name": name, "consent": CONSENT})
    assert created.status_code in (200, 201), created.text
    enrolled = client.post(f"{path}/references", content=wav_of(pitch))
    assert enrolled.status_code == 201, enrolled.text


def identified(client: httpx2.Client, pitch: float) -> str | None:
    answer = client.post("/v1/galleries/staff/identify", content=wav_of(pitch))
    assert answer.status_code == 200, answer.text
    return answer.json()["speaker"]


def until(condition: Callable[[], bool], limit_s: float = BACK_WITHIN_S) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_everything_about_a_gallery_is_answered_from_postgres(clients: list[httpx2.Client]) -> None:
    client, _ = clients
    enrol(client, "a-1", "Anna", ANNA)
    enrol(client, "b-2", "Bert", BERT)

    claims = {
        pitch: client.post("/v1/galleries/staff/verify", params={"speaker": "a-1"}, content=wav_of(pitch))
        for pitch in (ANNA, BERT)
    }
    named = client.post("/diarize", params={"gallery": "staff"}, content=BOTH)

    assert [claims[pitch].json()["decision"] for pitch in (ANNA, BERT)] == ["match", "no_match"]
    assert [identified(client, pitch) for pitch in (ANNA, BERT, CLEO)] == ["a-1", "b-2", None]
    assert named.json()["speakers"] == ["Anna", "Bert"]
    receipt = client.delete(f"{SPEAKERS}/a-1").json()
    assert receipt["removed"]["references"] == 1
    assert identified(client, ANNA) is None
    assert client.get("/v1/ledger/check").json()["whole"]


def test_two_graphs_on_one_database_know_the_same_people_at_once(clients: list[httpx2.Client]) -> None:
    first, second = clients
    assert identified(second, ANNA) is None

    enrol(first, "a-1", "Anna", ANNA)
    assert identified(second, ANNA) == "a-1"
    enrol(second, "b-2", "Bert", BERT)
    assert identified(first, BERT) == "b-2"
    second.post("/v1/galleries/staff/merge", json={"into": "b-2", "from": "a-1"})
    assert identified(first, ANNA) == "b-2"
    first.delete(f"{SPEAKERS}/b-2")

    assert [identified(second, pitch) for pitch in (ANNA, BERT)] == [None, None]
    assert second.get("/v1/ledger/check").json()["whole"]


def test_a_replica_that_is_killed_is_replaced_and_has_forgotten_nothing(
    graphs: Launched, clients: list[httpx2.Client]
) -> None:
    enrol(clients[0], "a-1", "Anna", ANNA)

    for replica in graphs.replicas("Gallery"):
        os.kill(replica.pid, signal.SIGKILL)

    until(lambda: all(client.get("/v1/galleries").status_code == 200 for client in clients))
    assert [identified(client, ANNA) for client in clients] == ["a-1", "a-1"]


def check_refusal(client: httpx2.Client) -> None:
    """Ask while the database is away."""
    started = time.monotonic()
    answer = client.post("/v1/galleries/staff/identify", content=wav_of(ANNA))
    assert answer.status_code == 503, answer.text
    assert time.monotonic() - started < ANSWERS_WITHIN_S
    assert "retry-after" in answer.headers
    assert answer.json()["code"] == "gallery_unavailable"
    # Neither host nor user of the database.
    assert "postgres" not in answer.text


def test_a_database_that_goes_away_is_a_503_until_it_is_back(
    graphs: Launched, clients: list[httpx2.Client], server: PostgresServer
) -> None:
    client = clients[0]
    enrol(client, "a-1", "Anna", ANNA)

    server.stop()
    try:
        check_refusal(client)
        assert client.post("/diarize", content=BOTH).status_code == 200
        # A replica that starts meanwhile waits for the database, and nothing else of the graph waits for it.
        for replica in graphs.replicas("Gallery"):
            os.kill(replica.pid, signal.SIGKILL)
        time.sleep(5)
        check_refusal(client)
    finally:
        server.start()

    until(lambda: all(each.get("/v1/galleries/staff").status_code == 200 for each in clients))
    assert [identified(each, ANNA) for each in clients] == ["a-1", "a-1"]
    enrol(client, "b-2", "Bert", BERT)
    assert client.get("/v1/ledger/check").json()["whole"]

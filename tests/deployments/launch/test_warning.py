"""`make serve` warns where a network reaches a graph that asks for no key."""

import pytest
from ray.serve.schema import ServeDeploySchema

from config.settings import KEYS_FILE
from deployments.launch.configuration import behind_haproxy, exposure_warning


def schema(host: str, **args: object) -> ServeDeploySchema:
    application = {"name": "a", "import_path": "deployments.graph:build", "args": args}
    return ServeDeploySchema.model_validate({"http_options": {"host": host}, "applications": [application]})


@pytest.fixture(autouse=True)
def no_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEYS_FILE, raising=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_a_network_without_keys_is_warned_of(host: str) -> None:
    warning = exposure_warning(schema(host))

    assert warning is not None
    assert host in warning
    assert "everybody who reaches this port" in warning


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_loopback_is_not(host: str) -> None:
    assert exposure_warning(schema(host)) is None


def test_keys_end_the_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exposure_warning(schema("0.0.0.0", keys_file="/keys.json")) is None
    assert exposure_warning(schema("0.0.0.0", api_keys=[{"name": "a", "sha256": "0" * 64}])) is None
    monkeypatch.setenv(KEYS_FILE, "/keys.json")
    assert exposure_warning(schema("0.0.0.0")) is None


@pytest.mark.parametrize(("haproxy", "host"), [("1", "127.0.0.1"), ("0", "0.0.0.0")])
def test_behind_haproxy_the_servers_of_serve_are_on_the_loopback(
    monkeypatch: pytest.MonkeyPatch, haproxy: str, host: str
) -> None:
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", haproxy)

    assert behind_haproxy(schema("0.0.0.0")).http_options.host == host

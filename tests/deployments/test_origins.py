"""Origins, host names and keys come from the settings, or from the environment of the node."""

from typing import Any

import pytest

from config.settings import GraphSettings
from deployments.api.hosts import LOOPBACK_HOSTS
from deployments.surroundings import with_cors_origins, with_surroundings


@pytest.mark.parametrize(
    ("settings", "variable", "expected"),
    [
        ((), "", ()),
        ((), "https://a.example, https://b.example,", ("https://a.example", "https://b.example")),
        ((), "*", ("*",)),
        (("https://c.example",), "https://a.example", ("https://c.example",)),
    ],
)
def test_the_variable_applies_if_the_settings_have_no_origins(
    settings: tuple[str, ...], variable: str, expected: tuple[str, ...]
) -> None:
    assert with_cors_origins(GraphSettings(cors_origins=settings), variable).cors_origins == expected


@pytest.mark.parametrize(
    ("given", "variables", "hosts", "keys_file"),
    [
        ({}, {}, None, None),
        ({}, {"VOXGRAPH_HTTP_HOST": "0.0.0.0"}, None, None),
        ({}, {"VOXGRAPH_HTTP_HOST": "127.0.0.1"}, LOOPBACK_HOSTS, None),
        ({"allowed_hosts": ["a.example"]}, {"VOXGRAPH_HTTP_HOST": "127.0.0.1"}, ("a.example",), None),
        ({}, {"VOXGRAPH_KEYS_FILE": "/keys"}, None, "/keys"),
        ({"keys_file": "/mine"}, {"VOXGRAPH_KEYS_FILE": "/keys"}, None, "/mine"),
    ],
)
def test_the_environment_gives_what_the_settings_leave_open(
    given: dict[str, Any], variables: dict[str, str], hosts: Any, keys_file: str | None
) -> None:
    settings = with_surroundings(GraphSettings.model_validate(given), variables)

    assert (settings.allowed_hosts, settings.keys_file) == (hosts, keys_file)

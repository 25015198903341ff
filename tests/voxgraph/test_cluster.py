"""A program joins a cluster on the loopback by itself, whether it imports Ray before voxgraph or after it."""

import subprocess
import sys

import pytest

FIRST = "import ray"
PREPARED = """
import os
from voxgraph.cluster import prepare_for_loopback
prepare_for_loopback()
"""
LAST = """
import ray._private.ray_constants as constants
print(os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"), constants.ENABLE_RAY_CLUSTER)
"""


def outcome(program: str, **variables: str) -> str:
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), **variables}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


@pytest.mark.parametrize("program", [PREPARED + LAST, FIRST + PREPARED + LAST], ids=["after", "before"])
def test_a_cluster_on_the_loopback_is_joined_there(program: str) -> None:
    assert outcome(program, RAY_ADDRESS="127.0.0.1:6379") == "0 False"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "None True"),
        ({"RAY_ADDRESS": "192.0.2.7:6379"}, "None True"),
        ({"RAY_ADDRESS": "auto"}, "None True"),
        ({"RAY_ADDRESS": "127.0.0.1:6379", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}, "1 True"),
        ({"RAY_ADDRESS": "localhost:6379"}, "0 False"),
        ({"RAY_ADDRESS": "[::1]:6379"}, "0 False"),
    ],
    ids=["no address", "a network", "auto", "a choice", "a name", "IPv6"],
)
def test_another_cluster_or_a_choice_is_left_alone(variables: dict[str, str], expected: str) -> None:
    assert outcome(PREPARED + LAST, **variables) == expected

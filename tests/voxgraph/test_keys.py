"""Keys in a file: made once, kept as hashes, listed and revoked."""

import json
import os
import stat
from pathlib import Path

import pytest

from voxgraph.cli.app import main
from voxgraph.keys import KeysError, add_key, digest, read_keys, revoke_key


def test_the_file_has_hashes_and_is_of_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    secret = add_key(path, "clinic", ["ask", "admin"], 60, 4)

    (key,) = read_keys(path)
    assert secret.startswith("vox_")
    assert len(secret) >= 4 + 43
    assert secret not in path.read_text()
    assert key.sha256 == digest(secret)
    assert (key.name, key.scopes, key.requests_per_minute, key.max_concurrent) == (
        "clinic",
        ("ask", "admin"),
        60,
        4,
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_rights_that_an_operator_gave_a_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "one")
    path.chmod(0o640)
    add_key(path, "two")

    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


def test_a_revoked_key_is_gone_and_its_name_free(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "one")
    with pytest.raises(KeysError, match="already"):
        add_key(path, "one")

    revoke_key(path, "one")

    assert read_keys(path) == ()
    with pytest.raises(KeysError, match="no key"):
        revoke_key(path, "one")
    add_key(path, "one")


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "[1]", '[{"name": "a"}]', "[" * 100_000,
        json.dumps([{"name": "a", "sha256": "0" * 64, "key": "vox_1"}]),
        json.dumps([{"name": "a\n", "sha256": "0" * 64}]),
        json.dumps([{"name": "a", "sha256": "0" * 63}]),
    ],
)  # fmt: skip
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)

    with pytest.raises(KeysError):
        read_keys(path)


def test_the_command_makes_lists_and_revokes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ["--file", str(tmp_path / "keys.json")]

    assert main(["keys", "new", "clinic", *file, "--admin", "--requests-per-minute", "60"]) == 0
    secret = capsys.readouterr().out.strip()
    assert main(["keys", "list", *file]) == 0
    listed = capsys.readouterr().out
    assert read_keys(tmp_path / "keys.json")[0].requests_per_minute == 60
    assert main(["keys", "revoke", "clinic", *file]) == 0
    assert main(["keys", "revoke", "clinic", *file]) == 1

    assert secret.startswith("vox_")
    assert listed.startswith("clinic\task,admin\t20")
    assert secret not in listed
    assert "no key clinic" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"name": 5}, {"name": None}, {"tenant": 5}, {"sha256": ["0"] * 64}])
def test_a_value_of_another_type_is_no_key(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([{"name": "clinic", "sha256": digest("x"), **wrong}]))

    with pytest.raises(KeysError):
        read_keys(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    os.mkfifo(path)

    with pytest.raises(KeysError, match="not a file"):
        read_keys(path)

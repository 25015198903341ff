"""Files of a cluster are of its user alone."""

import stat
import tempfile
from pathlib import Path

import pytest

from deployments.launch import private


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_the_sessions_is_closed_to_others(temporary: Path) -> None:
    outer = private.session_folder().parent
    outer.chmod(0o777)

    again = private.session_folder().parent

    assert again == outer
    assert outer.parent == temporary
    assert stat.S_IMODE(outer.stat().st_mode) == 0o700


def test_a_link_in_its_place_is_refused(temporary: Path) -> None:
    outer = private.session_folder().parent
    outer.rmdir()
    (temporary / "theirs").mkdir()
    outer.symlink_to(temporary / "theirs")

    with pytest.raises(OSError, match="not a folder of this user"):
        private.session_folder()


def test_a_folder_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    private.session_folder()
    outer = private.session_folder().parent
    monkeypatch.setattr(private.os, "getuid", lambda: 12_345)
    outer.rename(outer.with_name("voxgraph-12345"))

    with pytest.raises(OSError, match="not a folder of this user"):
        private.session_folder()


def test_a_token_that_others_can_read_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "auth_token"
    monkeypatch.setattr(private, "TOKEN", token)
    private.protect_token()
    token.write_text("secret")
    token.chmod(0o644)

    private.protect_token()

    assert stat.S_IMODE(token.stat().st_mode) == 0o600

"""What the command line changes in a configuration file."""

from pathlib import Path

import pytest
from launched import ROOT

from config.settings import GraphSettings
from deployments.launch.configuration import read_config

STARTER = ROOT / "config" / "starter.yaml"


def test_the_file_stands_unless_something_is_given() -> None:
    (application,) = read_config(STARTER).applications

    assert GraphSettings.model_validate(application.args).state is None


def test_a_folder_of_the_command_line_is_where_voices_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    schema = read_config(STARTER, 8123, "voices")

    (application,) = schema.applications
    assert GraphSettings.model_validate(application.args).state == str(tmp_path / "voices")
    assert GraphSettings.model_validate(application.args).default_checkpoint.source == "starter"
    assert schema.http_options.port == 8123


def test_a_database_is_named_by_its_url() -> None:
    (application,) = read_config(STARTER, state="postgresql://voxgraph@db/voices").applications

    assert application.args["state"] == "postgresql://voxgraph@db/voices"

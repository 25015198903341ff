"""The init container's script locates every checkpoint of a configuration, or names a missing one."""

import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from launched import ROOT
from scripts import load_script
from small_checkpoints import small_graph

from voxgraph.options import ModelKey

STARTER = ROOT / "config" / "starter.yaml"


@pytest.fixture
def script() -> ModuleType:
    return load_script("deploy/fetch_checkpoints.py")


def test_it_prints_the_revision_of_every_served_model(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(str(STARTER)) == 0

    lines = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert set(lines) == set(ModelKey) - {ModelKey.DIARIZATION_31}
    assert all(re.fullmatch("starter-[0-9a-f]{12}", revision) for revision in lines.values())


def test_an_unavailable_checkpoint_is_named(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_graph()
    config["applications"][0]["args"]["checkpoints"]["deepfake"]["source"] = str(tmp_path / "nowhere")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))

    assert script.main(str(tmp_path / "config.yaml")) == 1

    assert f"there is no folder {tmp_path / 'nowhere'}" in capsys.readouterr().err

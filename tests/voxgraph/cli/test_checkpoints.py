"""Commands about checkpoints: what a configuration loads and whether it is here, from files and a hub."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import hub
import pytest
import yaml
from launched import ROOT
from small_checkpoints import small_graph

from config.checkpoint_types import CheckpointFile
from config.checkpoints import CHECKPOINTS
from voxgraph.options import ModelKey

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = b"weights"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a checkpoint that is not there."""
    content = small_graph()
    content["applications"][0]["args"]["checkpoints"]["deepfake"]["source"] = str(tmp_path / "nowhere")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_checkpoints_are_listed_with_their_licence(command) -> None:
    done = command("checkpoints", "list", ROOT / "serve_config.yaml")

    assert done.status == 0
    assert "mo-thecreator/Deepfake-audio-detection" in done.out
    assert "apache-2.0" in done.out.lower()


@pytest.mark.parametrize("action", ["pull", "verify"])
def test_a_checkpoint_that_is_not_there_is_named(command, config: Path, action: str) -> None:
    good = command("checkpoints", action)
    bad = command("checkpoints", action, config)

    assert good.status == 0
    assert "language: starter-" in good.out
    assert bad.status == 6
    assert "deepfake:" in bad.out
    assert "nowhere" in bad.out


@pytest.fixture
def from_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A configuration with one small checkpoint of the hub, beside those that are files."""
    row = CHECKPOINTS[ModelKey.SPEAKER_VOXCELEB]
    weights = CheckpointFile("model.ckpt", sha256(WEIGHTS).hexdigest())
    rows = {**CHECKPOINTS, row.key: replace(row, revision=COMMIT, files=(weights,))}
    monkeypatch.setattr("config.checkpoints.CHECKPOINTS", rows)
    content = small_graph()
    content["applications"][0]["args"]["checkpoints"]["speaker_voxceleb"] = {"source": "hub"}
    path = tmp_path / "hub.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_checkpoint_is_pulled_from_the_hub_and_then_verified_without_one(
    command, from_hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with hub.serving({"model.ckpt": WEIGHTS, "README.md": b""}, COMMIT) as endpoint:
        hub.use(monkeypatch, cache, endpoint)
        before = command("checkpoints", "verify", from_hub)
        pulled = command("checkpoints", "pull", from_hub)
    hub.use(monkeypatch, cache)
    after = command("checkpoints", "verify", from_hub)

    assert (before.status, pulled.status, after.status) == (6, 0, 0)
    assert "speaker_voxceleb: speechbrain/spkrec-ecapa-voxceleb" in before.out
    assert f"speaker_voxceleb: {COMMIT}\n" in pulled.out
    assert after.out == pulled.out


def test_a_file_that_was_changed_after_it_was_pulled_is_named(
    command, from_hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hub.serving({"model.ckpt": WEIGHTS}, COMMIT) as endpoint:
        hub.use(monkeypatch, tmp_path / "cache", endpoint)
        assert command("checkpoints", "pull", from_hub).status == 0
    (stored,) = (tmp_path / "cache").rglob("model.ckpt")
    stored.resolve().write_bytes(b"other weights")

    done = command("checkpoints", "verify", from_hub)

    assert done.status == 6
    assert "SHA-256" in done.out


def test_a_checkpoint_that_the_hub_refuses_is_named_and_the_others_are_pulled(
    command, from_hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hub.serving({}, COMMIT, "GatedRepo") as endpoint:
        hub.use(monkeypatch, tmp_path / "cache", endpoint)
        done = command("checkpoints", "pull", from_hub)

    assert done.status == 6
    assert "accept its terms on the hub and set HF_TOKEN" in done.out
    assert "language: local-" in done.out


def test_a_file_that_is_no_configuration_is_a_usage_error(command, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("[]")

    assert command("checkpoints", "list", tmp_path / "x.yaml").status == 2
    assert command("checkpoints", "list", tmp_path / "nowhere.yaml").status == 2

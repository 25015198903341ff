"""Checkpoints are located, verified and read as data."""

import contextlib
import io
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from closeness import relative_difference
from hub import serving, use
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn
from torch.nn import init

from config.checkpoint_types import CheckpointFile, CheckpointPart
from config.checkpoints import CHECKPOINTS
from config.settings import CheckpointSource, Size
from deployments.launch.environment import free_ports
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_labels, load_state, load_tensors, locate
from pipelines.speaker import SpeakerEncoder
from training.layouts.writer import write_checkpoint
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

Small = Callable[[ModelKey], LocatedCheckpoint]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def saved(value: Any, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}
FILES = {
    "zip.ckpt": saved(TENSORS),
    "old.ckpt": saved(TENSORS, zipped=False),
    "new.safetensors": save(TENSORS),
}


class Exploit:
    """Creates a folder when an unrestricted unpickler loads it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("name", FILES)
def test_every_tensor_format_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])

    found = load_tensors(path)

    assert found.keys() == TENSORS.keys()
    assert all(relative_difference(found[key], TENSORS[key]) == 0 for key in TENSORS)


@pytest.mark.parametrize("write", [saved, lambda value: saved(value, zipped=False), pickle.dumps])
def test_a_pickle_that_runs_code_is_refused_before_it_runs(
    write: Callable[[Any], bytes], tmp_path: Path
) -> None:
    path, trace = tmp_path / "embedding_model.ckpt", tmp_path / "trace"
    path.write_bytes(write({"weight": Exploit(trace)}))

    with pytest.raises(CheckpointError, match=r"embedding_model\.ckpt"):
        load_tensors(path)

    assert not trace.exists()
    torch.load(path, weights_only=False) if write is not pickle.dumps else pickle.loads(path.read_bytes())
    assert trace.exists(), "the file is harmless, so the test proves nothing"


@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])

    with contextlib.suppress(CheckpointError):
        assert all(isinstance(value, torch.Tensor) for value in load_tensors(path).values())


@pytest.mark.parametrize("value", [[torch.ones(1)], {"a": 1}, {0: torch.ones(1)}, torch.ones(1)])
def test_a_file_that_is_no_state_dict_is_refused(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(saved(value))

    with pytest.raises(CheckpointError):
        load_tensors(path)


def test_a_fitting_state_dict_fills_the_network() -> None:
    network = nn.Linear(3, 2)

    load_state(network, TENSORS, "some/model")

    assert torch.equal(network.weight, TENSORS["weight"])


@pytest.mark.parametrize("name", ["zipped.ckpt", "a.safetensors"])
def test_a_networks_weights_are_memory_mapped(name: str, tmp_path: Path) -> None:
    values, path = torch.randn(8_000, 8_000), tmp_path / name
    path.write_bytes(save({"weight": values}) if name.endswith("safetensors") else saved({"weight": values}))
    with Unfilled():
        network = nn.Linear(8_000, 8_000, bias=False)
    before = psutil.Process().memory_full_info().uss

    load_state(network, load_tensors(path), "some/model")

    assert psutil.Process().memory_full_info().uss - before < 100e6
    assert torch.equal(network.weight, values)
    path.unlink()
    assert torch.equal(network.weight, values)


def test_a_network_keeps_its_dtypes() -> None:
    network = nn.Linear(3, 2)

    load_state(network, {key: tensor.half() for key, tensor in TENSORS.items()}, "some/model")

    assert network.weight.dtype == torch.float32
    assert torch.equal(network.weight, TENSORS["weight"].half().float())


def test_an_unfilled_network_draws_no_random_weights_and_keeps_its_constants() -> None:
    before = torch.get_rng_state()

    with Unfilled():
        layers = nn.Linear(9, 9), nn.Conv1d(3, 3, 3), nn.LSTM(3, 3), nn.MultiheadAttention(4, 2)
        tuple(map(init.trunc_normal_, (layer.weight for layer in layers[:2])))
        norm = nn.BatchNorm1d(3)

    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(norm.weight, torch.ones(3))
    assert torch.equal(norm.running_mean, torch.zeros(3))
    nn.Linear(9, 9)
    assert not torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"weight": torch.ones(2, 3)}, "missing bias"),
        (TENSORS | {"extra": torch.ones(1)}, "unexpected extra"),
        (TENSORS | {"bias": torch.ones(3)}, r"bias is \(3,\), not \(2,\)"),
        ({f"key{i}": torch.ones(1) for i in range(5)}, "and 4 more"),
    ],
)
def test_a_state_dict_of_another_architecture_is_refused_and_changes_nothing(
    tensors: dict[str, torch.Tensor], problem: str
) -> None:
    network = nn.Linear(3, 2)
    before = network.weight.clone()

    with pytest.raises(CheckpointError, match=f"some/model.*{problem}"):
        load_state(network, tensors, "some/model")

    assert torch.equal(network.weight, before)


def test_labels_are_sorted_by_index(tmp_path: Path) -> None:
    path = tmp_path / "label_encoder.txt"
    path.write_text("'us' => 1\n\"l'anglais\" => 0\n================\n'starting_index' => 0\n")

    assert load_labels(path, 2) == ("l'anglais", "us")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "'a' => 0\n",
        "'a' => 0\n'b' => 1\n'c' => 2\n",
        "'a' => 0\n'b' => 2\n",
        "'a' => 0\n'b' => 0\n'c' => 1\n",
        "'a' => 0\n'a' => 1\n",
        "'a' => 0\nb => 1\n",
        "'a' => 0\n'b' = 1\n",
        "'a' => 0\n'b' => one\n",
        "'a' => 0\n['b'] => 1\n",
        "'a' => 0\n{[]: 1} => 1\n",
        "'a' => 0\n__import__('os').mkdir('trace') => 1\n",
        "'a' => 0\n" + "(" * 5_000 + " => 1\n",
        "'a' => 0\n'\udcff' => 1\n",
    ],
)
def test_a_malformed_label_file_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "label_encoder.txt"
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(CheckpointError, match=r"label_encoder\.txt"):
        load_labels(path, 2)
    assert not (tmp_path / "trace").exists()


def test_a_folder_in_the_hubs_layout_is_found(small: Small, tmp_path: Path) -> None:
    written = small(ModelKey.SPEAKER_VOXCELEB)
    source = CheckpointSource(source=str(written.folder), size=Size.SMALL)

    found = locate(ModelKey.SPEAKER_VOXCELEB, source)

    assert (found.source, found.folder) == ("local", written.folder)
    assert found.architecture == written.architecture
    assert not any(tmp_path.iterdir())


def test_a_folder_may_hold_other_weights_than_the_published_ones(
    small: Small, clip: Callable[..., Waveform]
) -> None:
    row = CHECKPOINTS[ModelKey.SPEAKER_VOXCELEB]
    assert row.files[0].sha256 is not None
    source = CheckpointSource(source=str(small(ModelKey.SPEAKER_VOXCELEB).folder), size=Size.SMALL)

    encoder = SpeakerEncoder(locate(ModelKey.SPEAKER_VOXCELEB, source), "cpu")

    assert encoder.info.source == "local"
    assert re.fullmatch("local-[0-9a-f]{12}", encoder([clip(1_000)])[0].revision)


def test_folders_with_different_weights_have_different_revisions(tmp_path: Path) -> None:
    revisions = []
    for name, seed in (("a", 1), ("same", 1), ("other", 2)):
        write_checkpoint(ModelKey.SPEAKER_VOXCELEB, Size.SMALL, tmp_path / name, seed)
        source = CheckpointSource(source=str(tmp_path / name), size=Size.SMALL)
        revisions.append(locate(ModelKey.SPEAKER_VOXCELEB, source).revision)

    assert revisions[0] == revisions[1] != revisions[2]


def test_files_of_parts_are_in_folders_of_the_layout(tmp_path: Path) -> None:
    for name in ("config.yaml", "segmentation/pytorch_model.bin", "embedding/pytorch_model.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    found = locate(ModelKey.DIARIZATION_31, CheckpointSource(source=str(tmp_path)))

    assert found.file("segmentation/pytorch_model.bin").parent == found.folder / "segmentation"
    assert found.file("config.yaml").parent == found.folder


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no folder .*/nowhere"):
        locate(ModelKey.LANGUAGE, CheckpointSource(source=str(tmp_path / "nowhere")))


def test_a_folder_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "embedding_model.ckpt").touch()

    with pytest.raises(CheckpointError, match=r"classifier\.ckpt is missing"):
        locate(ModelKey.LANGUAGE, CheckpointSource(source=str(tmp_path)))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return a function that points the hub's library at an endpoint with an empty cache and two models."""
    speaker, diarization = CHECKPOINTS[ModelKey.SPEAKER_VOXCELEB], CHECKPOINTS[ModelKey.DIARIZATION_31]
    weights = CheckpointFile("model.ckpt", sha256(b"weights").hexdigest())
    rows = {
        ModelKey.SPEAKER_VOXCELEB: replace(speaker, revision=COMMIT, files=(weights,)),
        ModelKey.DIARIZATION_31: replace(
            diarization,
            revision=COMMIT,
            files=(CheckpointFile("config.yaml"),),
            parts={"segmentation": CheckpointPart("some/segmentation", COMMIT, (weights,), "mit")},
        ),
    }
    monkeypatch.setattr("config.checkpoints.CHECKPOINTS", rows)
    return lambda endpoint: use(monkeypatch, tmp_path / "cache", endpoint)


def from_hub(model: ModelKey = ModelKey.SPEAKER_VOXCELEB) -> LocatedCheckpoint:
    return locate(model, CheckpointSource(source="hub"))


def test_the_pinned_revision_comes_from_the_hub_and_then_from_its_cache(hub: Callable[[str], None]) -> None:
    with serving({"model.ckpt": b"weights", "hyperparams.yaml": b"!new:os.system"}, COMMIT) as endpoint:
        hub(endpoint)
        found = from_hub()

    assert (found.source, found.revision) == ("hub", COMMIT)
    assert found.file("model.ckpt").read_bytes() == b"weights"
    assert [path.name for path in found.folder.iterdir()] == ["model.ckpt"]
    assert from_hub() == found


def test_parts_come_from_their_own_repositories(hub: Callable[[str], None]) -> None:
    with serving({"model.ckpt": b"weights", "config.yaml": b"{}"}, COMMIT) as endpoint:
        hub(endpoint)
        found = from_hub(ModelKey.DIARIZATION_31)

    assert found.file("segmentation/model.ckpt").read_bytes() == b"weights"
    assert found.file("segmentation/model.ckpt").parent != found.folder / "segmentation"
    assert found.file("config.yaml").parent == found.folder


def test_a_download_with_another_digest_is_refused(hub: Callable[[str], None]) -> None:
    with serving({"model.ckpt": b"poison!"}, COMMIT) as endpoint:
        hub(endpoint)
        with pytest.raises(CheckpointError, match="SHA-256"):
            from_hub()


def test_a_repository_that_lacks_a_file_is_refused(hub: Callable[[str], None]) -> None:
    with serving({"README.md": b""}, COMMIT) as endpoint:
        hub(endpoint)
        with pytest.raises(CheckpointError, match=r"model\.ckpt is missing"):
            from_hub()


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        ("GatedRepo", "accept its terms on the hub and set HF_TOKEN"),
        ("RevisionNotFound", f"at {COMMIT} cannot be downloaded"),
        ("RepoNotFound", "cannot be downloaded"),
    ],
)
def test_an_error_of_the_hub_names_the_repository_and_the_cause(
    refusal: str, advice: str, hub: Callable[[str], None]
) -> None:
    with serving({}, COMMIT, refusal) as endpoint:
        hub(endpoint)
        with pytest.raises(CheckpointError, match=advice) as caught:
            from_hub()

    assert CHECKPOINTS[ModelKey.SPEAKER_VOXCELEB].hub_id in caught.value.detail
    assert "\n" not in caught.value.detail


def test_an_unreachable_hub_names_the_alternatives(
    hub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The hub's library waits 23 s in total between five retries.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    (port,) = free_ports(1)
    hub(f"http://127.0.0.1:{port}")

    with pytest.raises(CheckpointError, match="cannot be reached; set a folder or use the starter"):
        from_hub()

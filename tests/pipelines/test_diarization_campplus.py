"""Test diarization with CAM++, the starter's: a real conversation, options, edge cases and its files."""

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from closeness import relative_difference
from launched import sample_path
from pyannote.core import Annotation, Segment
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate
from taking_turns import check_steps

from config.checkpoint_types import CamPlusPlusDiarizationArchitecture
from config.settings import AudioLimits, CheckpointSource, EngineOptions, Size
from pipelines.audio.decoding import decode
from pipelines.checkpoints import STARTER_FOLDER, load_tensors, locate
from pipelines.chunking import PART_WINDOWS, conversation_parts
from pipelines.diarization import build_segmentation
from pipelines.diarization.campplus_diarizer import SEGMENTATION, CamPlusPlusDiarizer
from pipelines.diarization.windows import concatenate, window_count
from training.layouts.diarization import save_network
from voxgraph.errors import CheckpointError, InvalidOptions
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, Turn, Waveform

KEYS = [ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1]
STARTER = CheckpointSource(source="starter")
FOLDER = STARTER_FOLDER / "diarization"
TORCH = EngineOptions(engine="torch")
HIGHEST_ERROR = 0.10
HIGHEST_DIFFERENCE = 1e-3


@pytest.fixture(scope="module")
def diarizer() -> CamPlusPlusDiarizer:
    return CamPlusPlusDiarizer(locate(KEYS[0], STARTER), "cpu", TORCH)


@pytest.fixture(scope="module")
def conversation() -> Waveform:
    return decode(sample_path().read_bytes(), AudioLimits())


def annotation(turns: tuple[Turn, ...]) -> Annotation:
    found = Annotation()
    for number, turn in enumerate(turns):
        found[Segment(turn.start_s, turn.end_s), number] = turn.speaker
    return found


def error_rate(turns: tuple[Turn, ...]) -> float:
    """Return the error rate of the real conversation, without a collar and with overlap."""
    (reference,) = load_rttm(sample_path().with_suffix(".rttm")).values()
    return float(DiarizationErrorRate(collar=0.0, skip_overlap=False)(reference, annotation(turns)))


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_real_conversation_has_two_speakers_and_few_errors(engine: str, conversation: Waveform) -> None:
    options = EngineOptions(engine=engine, precision="float32")
    loaded = CamPlusPlusDiarizer(locate(KEYS[1], STARTER), "cpu", options)

    found = loaded(conversation, SpeakerCount())

    rate = error_rate(found.turns)
    print(f"{engine}: {len(found.speakers)} speakers, diarization error rate {rate:.3f}")
    assert len(found.speakers) == 2
    assert rate <= HIGHEST_ERROR
    assert (loaded.info.key, loaded.info.source) == (KEYS[1], "starter")


def test_turns_are_inside_the_recording_and_exclusive_ones_do_not_overlap(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform
) -> None:
    found = diarizer(conversation[: 12 * SAMPLE_RATE_HZ + 7], SpeakerCount())

    assert len(found.turns) > 1
    assert all(0 <= turn.start_s < turn.end_s <= 12.001 for turn in (*found.turns, *found.exclusive_turns))
    assert found.turns[0].speaker == "SPEAKER_00"
    exclusive = sorted(found.exclusive_turns, key=lambda turn: turn.start_s)
    assert all(before.end_s <= after.start_s + 1e-6 for before, after in pairwise(exclusive))


def test_the_number_of_speakers_is_kept(diarizer: CamPlusPlusDiarizer, conversation: Waveform) -> None:
    outputs = diarizer.windows(conversation)

    def found(speakers: SpeakerCount) -> int:
        return len(diarizer.turns(outputs, len(conversation), speakers).speakers)

    assert [found(SpeakerCount(num_speakers=number)) for number in range(1, 6)] == [1, 2, 3, 4, 5]
    assert found(SpeakerCount(max_speakers=1)) == 1
    assert found(SpeakerCount(min_speakers=3)) == 3
    assert found(SpeakerCount(min_speakers=1, max_speakers=5)) == 2
    assert 1 <= found(SpeakerCount(num_speakers=20)) <= 20
    with pytest.raises(InvalidOptions, match="min_speakers is 3"):
        found(SpeakerCount(min_speakers=3, max_speakers=2))


@pytest.mark.parametrize("samples", [1, 160, 16_000, 176_001])
def test_silence_has_no_turns(diarizer: CamPlusPlusDiarizer, samples: int) -> None:
    found = diarizer(np.zeros(samples, np.float32), SpeakerCount())

    assert (found.turns, found.exclusive_turns, found.speakers) == ((), (), ())


@pytest.mark.parametrize("samples", [1, 399, 800, 4_000])
def test_the_shortest_recordings_have_an_answer(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform, samples: int
) -> None:
    found = diarizer(conversation[7 * SAMPLE_RATE_HZ :][:samples], SpeakerCount())

    assert all(0 <= turn.start_s < turn.end_s <= samples / SAMPLE_RATE_HZ for turn in found.turns)


def test_a_recording_answers_the_same_alone_and_after_others(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform
) -> None:
    clip = conversation[5 * SAMPLE_RATE_HZ : 16 * SAMPLE_RATE_HZ]

    first = diarizer(clip, SpeakerCount())
    diarizer(conversation[: 3 * SAMPLE_RATE_HZ], SpeakerCount(num_speakers=2))

    assert diarizer(clip, SpeakerCount()) == first


def test_the_parts_of_a_long_recording_give_the_numbers_of_the_whole(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform
) -> None:
    clip = conversation[-27 * SAMPLE_RATE_HZ - 8_000 :]
    spans = conversation_parts(len(clip))
    assert len(spans) == 2
    calls: list[tuple[int, int]] = []

    whole = diarizer.windows(clip, lambda done, total: calls.append((done, total)))
    parts = [diarizer.windows(clip[start:end]) for start, end in spans]

    together = concatenate(parts, sum(len(part.speech) for part in parts))
    for name in ("speech", "windows", "speakers", "frames_alone", "embeddings", "probabilities"):
        np.testing.assert_array_equal(getattr(together, name), getattr(whole, name), name)
    total = window_count(len(clip), 160_000, 16_000)
    assert calls == [(PART_WINDOWS, total), (total, total)]


def test_a_long_recording_is_read_in_blocks(
    diarizer: CamPlusPlusDiarizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def infer(clips: torch.Tensor) -> np.ndarray:
        sizes.append(len(clips))
        speech = np.zeros((len(clips), 589, 6), np.float32)
        speech[:, :300, [1, 4]] = 1
        return speech

    embedded: list[int] = []

    def embed(voices: list[torch.Tensor]) -> torch.Tensor:
        embedded.extend(len(voice) for voice in voices)
        return torch.ones(len(voices), 192)

    monkeypatch.setattr(diarizer.windows.segmentation, "infer", infer)
    monkeypatch.setattr(diarizer.windows._embedding, "embed_features", embed)
    minutes = 10

    found = diarizer.windows(np.zeros(minutes * 60 * SAMPLE_RATE_HZ, np.float32))

    assert len(found.speech) == sum(sizes) == minutes * 60 - 9
    assert max(sizes) <= 8
    assert max(embedded) <= 998
    assert found.embeddings.nbytes < 1e6


REFERENCE = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy, torch
from pyannote.audio import Model

model = Model.from_pretrained(sys.argv[1]).eval()
with torch.inference_mode():
    found = model(torch.from_numpy(numpy.load(sys.argv[2])))
numpy.save(sys.argv[3], found.numpy())
"""
"""Program that runs pyannote's own loader in a separate process."""


def test_the_segmentation_is_that_of_pyannotes_own_loader(conversation: Waveform, tmp_path: Path) -> None:
    network = build_segmentation(CamPlusPlusDiarizationArchitecture())
    network.load_state_dict(load_tensors(FOLDER / SEGMENTATION))
    save_network(network, tmp_path)
    clips = np.stack([conversation[:160_000], conversation[-160_000:]])[:, None]
    np.save(tmp_path / "clips.npy", clips)
    paths = [str(tmp_path / name) for name in ("pytorch_model.bin", "clips.npy", "found.npy")]
    environment = os.environ | {"PYANNOTE_METRICS_ENABLED": "false", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", REFERENCE, *paths], env=environment, timeout=500, check=True)
    expected = np.load(tmp_path / "found.npy")

    for engine in ("torch", "openvino"):
        options = EngineOptions(engine=engine, precision="float32")
        loaded = CamPlusPlusDiarizer(locate(KEYS[0], STARTER), "cpu", options)
        with torch.inference_mode():
            found = loaded.windows.segmentation.model(torch.from_numpy(clips))
        assert relative_difference(found, expected) < HIGHEST_DIFFERENCE


def copy_of(folder: Path) -> Path:
    shutil.copytree(FOLDER, folder)
    shutil.copytree(STARTER_FOLDER / "speaker", folder / "embedding")
    return folder


def load(folder: Path) -> CamPlusPlusDiarizer:
    source = CheckpointSource(source=str(folder), size=Size.STARTER)
    return CamPlusPlusDiarizer(locate(KEYS[0], source), "cpu", TORCH)


def test_a_folder_in_the_starters_layout_gives_the_same_turns(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform, tmp_path: Path
) -> None:
    copy = load(copy_of(tmp_path / "copy"))
    clip = conversation[6 * SAMPLE_RATE_HZ : 11 * SAMPLE_RATE_HZ]

    assert copy(clip, SpeakerCount()) == diarizer(clip, SpeakerCount())
    assert copy.info.revision.removeprefix("local-") == diarizer.info.revision.removeprefix("starter-")


@pytest.mark.parametrize("name", ["config.yaml", SEGMENTATION, "embedding/model.safetensors"])
def test_a_damaged_or_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    folder = copy_of(tmp_path / "copy")
    whole = (folder / name).read_bytes()

    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        load(folder)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pipeline.params.clustering", "VBxClustering"),
        ("params.clustering", {"threshold": 0.7}),
        ("params.clustering.Fa", 0.07),
        ("params.segmentation.min_duration_off", -1.0),
        ("params.segmentation.min_duration_off", "long"),
        ("params.segmentation", {}),
    ],
)
def test_a_configuration_of_another_pipeline_is_refused(path: str, value: object, tmp_path: Path) -> None:
    folder = copy_of(tmp_path / "copy")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    *parents, last = path.split(".")
    inner = config
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))

    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        load(folder)


def test_the_segmentation_has_the_published_precision() -> None:
    assert {tensor.dtype for tensor in load_tensors(FOLDER / SEGMENTATION).values()} == {torch.float32}


def test_another_checkpoint_is_refused() -> None:
    with pytest.raises(CheckpointError, match="not a diarization checkpoint"):
        CamPlusPlusDiarizer(locate(ModelKey.SPEAKER_VOXCELEB, STARTER), "cpu", TORCH)


def test_steps_that_take_turns_find_what_calls_do(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform
) -> None:
    check_steps(diarizer, conversation)

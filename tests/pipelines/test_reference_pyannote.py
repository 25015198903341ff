"""Test that the diarizer equals pyannote's own pipeline on full-size random checkpoints."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from closeness import relative_difference
from launched import sample_path

from config.settings import AudioLimits, EngineOptions
from pipelines.audio.decoding import decode
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.diarization import Diarizer
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import Turn, Waveform

TOLERANCE = 1e-4
SECONDS = 11
"""Two windows."""


@pytest.fixture(scope="module")
def conversation() -> Waveform:
    return decode(sample_path().read_bytes(), AudioLimits())[5 * 16_000 : (5 + SECONDS) * 16_000]


STOCK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy, torch
from pyannote.audio import Pipeline

folder, out = sys.argv[1:]
waveform = torch.tensor(numpy.load(f"{out}/waveform.npy"))[None]
kept = {}
found = Pipeline.from_pretrained(folder)(
    {"waveform": waveform, "sample_rate": 16000, "uri": "recording"},
    hook=lambda step, artefact, **_: None if artefact is None else kept.update({step: artefact}),
)
numpy.save(f"{out}/embeddings.npy", kept["embeddings"])
for name in ("speaker_diarization", "exclusive_speaker_diarization"):
    turns = getattr(found, name).itertracks(yield_label=True)
    with open(f"{out}/{name}.json", "w") as file:
        json.dump([(turn.start, turn.end, label) for turn, _, label in turns], file)
"""
"""Program that runs unmodified pyannote in a separate process."""


def run_pyannote(
    checkpoint: LocatedCheckpoint, community_1: LocatedCheckpoint, waveform: Waveform, folder: Path
) -> tuple[np.ndarray, list[Turn], list[Turn]]:
    """Run `Pipeline.from_pretrained` on a copy; return embeddings, turns, and turns without overlap.

    The models that 3.1 loads from other repositories are configured as subfolders.
    """
    shutil.copytree(checkpoint.folder, folder / "stock")
    shutil.copytree(community_1.folder / "plda", folder / "stock/plda", dirs_exist_ok=True)
    config = yaml.safe_load((folder / "stock/config.yaml").read_text())
    names = ("segmentation", "embedding", "plda")
    config["pipeline"]["params"] |= {name: f"$model/{name}" for name in names}
    (folder / "stock/config.yaml").write_text(yaml.safe_dump(config))
    np.save(folder / "waveform.npy", waveform)
    environment = os.environ | {"PYANNOTE_METRICS_ENABLED": "false", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", STOCK, str(folder / "stock"), str(folder)]
    subprocess.run(command, env=environment, timeout=500, check=True)
    turns, exclusive = (
        named_by_appearance(json.loads((folder / f"{name}.json").read_text()))
        for name in ("speaker_diarization", "exclusive_speaker_diarization")
    )
    return np.load(folder / "embeddings.npy"), turns, exclusive


@pytest.mark.parametrize("model", [ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1])
def test_turns_and_embeddings_are_those_of_pyannote(
    model: ModelKey,
    full: Callable[[ModelKey], LocatedCheckpoint],
    conversation: Waveform,
    tmp_path: Path,
) -> None:
    embeddings, turns, exclusive = run_pyannote(
        full(model), full(ModelKey.DIARIZATION_COMMUNITY_1), conversation, tmp_path
    )
    assert len(turns) > 1
    for engine in ("torch", "openvino"):
        diarizer = Diarizer(full(model), "cpu", EngineOptions(engine=engine, precision="float32"))

        found = diarizer(conversation, SpeakerCount())
        outputs = diarizer.windows(conversation)

        assert (
            relative_difference(outputs.embeddings, embeddings[outputs.windows, outputs.speakers]) < TOLERANCE
        )
        assert turns == [replace(turn, confidence=None) for turn in found.turns]
        assert len(exclusive) == len(found.exclusive_turns)


def named_by_appearance(turns: list[tuple[float, float, str]]) -> list[Turn]:
    names: dict[str, str] = {}
    return [
        Turn(min(start, SECONDS), min(end, SECONDS), names.setdefault(label, f"SPEAKER_{len(names):02d}"))
        for start, end, label in turns
        if start < SECONDS
    ]

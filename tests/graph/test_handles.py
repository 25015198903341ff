"""Python handles: the example runs as printed, results equal those of HTTP, invalid waveforms are refused."""

import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from launched import ROOT, Launched, sample_path
from ray import serve
from small_checkpoints import small_checkpoint

from config.settings import AudioLimits
from pipelines.audio.decoding import decode
from pipelines.diarization import Diarizer
from voxgraph.cluster import SEVERAL_MACHINES
from voxgraph.errors import (
    AudioTooShort,
    InvalidAudio,
    InvalidOptions,
    NonFiniteAudio,
    UnsupportedAudio,
    VoxError,
)
from voxgraph.handles import Voxgraph
from voxgraph.options import ChunkOptions, ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, Progress, Waveform


@pytest.fixture(scope="module")
def voxgraph(service: Launched) -> Iterator[Any]:
    with service.driver():
        yield serve.get_app_handle("voxgraph")


@pytest.fixture(scope="module")
def waveform() -> Waveform:
    return decode(sample_path().read_bytes(), AudioLimits())


def test_the_command_of_the_python_example_works_and_finds_the_loopback_by_itself(service: Launched) -> None:
    (line,) = [line.strip() for line in service.lines if "examples/handles.py" in line]
    assert f"{SEVERAL_MACHINES}=0" in line
    line = line.replace(f"{SEVERAL_MACHINES}=0", f"env -u {SEVERAL_MACHINES}")

    ran = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert "192 dimensions, " in ran.stdout
    assert "of 11 chunks" in ran.stdout


def test_a_handle_returns_what_http_returns(
    voxgraph: Any, waveform: Waveform, http: httpx2.Client, conversation: bytes
) -> None:
    by_handle = voxgraph.embed.remote(waveform).result(timeout_s=60)
    by_http = http.post("/extract-embedding", files={"file": conversation}).json()

    assert by_handle.embedding.model == by_http["model"]
    assert by_handle.embedding.vector == pytest.approx(by_http["embedding"], rel=1e-4, abs=1e-4)


def test_every_task_is_a_method(voxgraph: Any, waveform: Waveform) -> None:
    clip = waveform[: 6 * 16_000]
    language = voxgraph.detect_language.remote(clip).result(timeout_s=60)
    accent = voxgraph.identify_accent.remote(clip, "ecapa").result(timeout_s=60)
    turns = voxgraph.diarize.remote(clip, SpeakerCount(num_speakers=1)).result(timeout_s=60)
    verdict = voxgraph.detect_deepfake.remote(clip, ChunkOptions(chunk_s=2, overlap=0)).result(timeout_s=60)
    analysis = voxgraph.analyze.remote(clip, ("language",)).result(timeout_s=60)

    assert sum(language.probabilities.values()) == pytest.approx(1, abs=1e-3)
    assert accent.accent in accent.probabilities
    assert len(turns.speakers) <= 1
    assert [(chunk.start_s, chunk.end_s) for chunk in verdict.chunks] == [(0, 2), (2, 4), (4, 6)]
    assert analysis.language == language
    assert analysis.deepfake is None


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros(16_000, np.float64), InvalidAudio),
        (np.zeros((1, 16_000), np.float32), InvalidAudio),
        (np.full(16_000, np.nan, np.float32), NonFiniteAudio),
        (np.full(16_000, 1e20, np.float32), UnsupportedAudio),
        (np.zeros(100, np.float32), AudioTooShort),
    ],
)
def test_an_invalid_waveform_is_refused(voxgraph: Any, array: np.ndarray, error: type[VoxError]) -> None:
    with pytest.raises(error):
        voxgraph.detect_language.remote(array).result(timeout_s=60)


def test_an_unknown_task_is_refused(voxgraph: Any, waveform: Waveform) -> None:
    with pytest.raises(InvalidOptions, match="karaoke"):
        voxgraph.analyze.remote(waveform, ("karaoke",)).result(timeout_s=60)


def test_a_long_conversation_is_diarized_in_parts_as_in_one_piece(voxgraph: Any, waveform: Waveform) -> None:
    long = np.concatenate([waveform, waveform[5 * 16_000 :], waveform[: 11 * 16_000]])
    whole = Diarizer(small_checkpoint(ModelKey.DIARIZATION_COMMUNITY_1), "cpu")
    expected = whole(long, SpeakerCount())

    progress: list[Progress] = []

    last = Voxgraph(voxgraph).diarize(long, on_progress=progress.append)

    seconds = len(long) / SAMPLE_RATE_HZ
    quarters = [seconds * done / 4 for done in (1, 2, 3, 4)]
    assert [event.done_s for event in progress] == pytest.approx(quarters, abs=0.001)
    assert last.speakers == expected.speakers
    assert [turn.speaker for turn in last.turns] == [turn.speaker for turn in expected.turns]
    starts = [turn.start_s for turn in last.turns]
    assert starts == pytest.approx([turn.start_s for turn in expected.turns], abs=0.05)

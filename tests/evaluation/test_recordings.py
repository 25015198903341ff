"""What is sent: whole files as they are, spans with exactly their samples."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from config.settings import AudioLimits
from evaluation.manifest import Clip
from evaluation.recordings import Request, Upload, uploads
from pipelines.audio.decoding import decode
from voxgraph.results import SAMPLE_RATE_HZ

SAMPLES = np.random.default_rng(0).uniform(-0.9, 0.9, 3 * SAMPLE_RATE_HZ).astype(np.float32)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, SAMPLES, SAMPLE_RATE_HZ, subtype="FLOAT")
    return path


def upload(recording: Path, clip: Clip, cut_s: float | None = None) -> Upload:
    (found,) = uploads(recording.parent, [Request(clip, ("language",))], cut_s)
    return found


def test_a_whole_recording_is_sent_byte_for_byte(recording: Path) -> None:
    assert upload(recording, Clip("a.wav")).data == recording.read_bytes()


@pytest.mark.parametrize(
    ("clip", "cut_s", "start", "end"),
    [
        (Clip("a.wav", 0.5, 1.25), None, 8_000, 28_000),
        (Clip("a.wav", 2.5), None, 40_000, 48_000),
        (Clip("a.wav", 0.5, 2.0), 1.0, 8_000, 24_000),
        (Clip("a.wav"), 2.0, 0, 32_000),
    ],
)
def test_a_span_is_sent_with_exactly_its_samples(
    recording: Path, clip: Clip, cut_s: float | None, start: int, end: int
) -> None:
    sent = decode(upload(recording, clip, cut_s).data, AudioLimits())

    assert sent.tolist() == SAMPLES[start:end].tolist()


@pytest.mark.parametrize(
    ("clip", "cut_s", "reason"),
    [
        (Clip("a.wav", 4.0, 1.0), None, "begins after the end"),
        (Clip("a.wav", 2.5, 2.0), 1.0, "shorter than 1 s"),
        (Clip("a.wav"), 3.5, "shorter than 3.5 s"),
    ],
)
def test_a_clip_that_is_not_there_is_not_sent_and_says_why(
    recording: Path, clip: Clip, cut_s: float | None, reason: str
) -> None:
    refused = upload(recording, clip, cut_s)

    assert reason in refused.error
    assert refused.data == b""


def test_a_recording_that_cannot_be_decoded_has_its_reason_for_each_of_its_clips(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    soundfile.write(tmp_path / "b.wav", SAMPLES, SAMPLE_RATE_HZ)
    clips = [Clip("a.wav", 0.0, 1.0), Clip("a.wav", 1.0, 1.0), Clip("b.wav", 1.0, 1.0)]

    first, second, third = uploads(tmp_path, [Request(clip, ("language",)) for clip in clips])

    assert first.error == second.error
    assert first.error.startswith("unsupported_audio")
    assert soundfile.info(io.BytesIO(third.data)).frames == SAMPLE_RATE_HZ

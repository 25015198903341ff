"""Recordings are sent as they are: from a path, bytes, a file, a pipe or an array."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxgraph.client.recordings import can_be_sent_again, name_of, opened, wav

NOISE = np.random.default_rng(1).uniform(-1, 1, 800).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "subtype"),
    [(NOISE, "FLOAT"), (NOISE.astype(np.float64), "FLOAT"), ((NOISE * 2**15).astype(np.int16), "PCM_16")],
)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_an_array_is_sent_without_loss(samples: np.ndarray, subtype: str, channels: int) -> None:
    shaped = samples if channels == 1 else samples.reshape(-1, channels)

    file = wav(shaped, 22_050)

    assert soundfile.info(io.BytesIO(file.getvalue())).subtype == subtype
    read, rate = soundfile.read(file, dtype="int16" if samples.dtype == np.int16 else "float32")
    assert rate == 22_050
    assert np.array_equal(read, shaped.astype(read.dtype))


@pytest.mark.parametrize("array", [np.zeros(8, np.int64), np.zeros(8, bool), np.zeros((2, 2, 2))])
def test_an_array_that_is_no_recording_is_refused(array: np.ndarray) -> None:
    with pytest.raises((TypeError, ValueError), match=r"Samples"):
        wav(array, 16_000)


@pytest.mark.parametrize("recording", [NOISE, 7, None, io.StringIO("text")])
def test_what_is_no_recording_is_refused_with_what_is_one(recording: object) -> None:
    with pytest.raises(TypeError, match="a binary file or"), opened(recording):  # type: ignore[arg-type]
        pass


def test_a_path_is_opened_and_closed_and_a_file_of_the_caller_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"RIFF")

    with opened(path) as mine:
        assert mine.read() == b"RIFF"
    with path.open("rb") as theirs, opened(theirs) as same:
        assert same is theirs
    assert mine.closed

    with path.open("rb") as theirs:
        with opened(theirs):
            pass
        assert not theirs.closed


def test_a_pipe_is_read_once_and_has_no_size() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"some bytes")
    os.close(writing)

    with os.fdopen(reading, "rb") as pipe, opened(pipe) as file:
        assert not can_be_sent_again(file)
        assert not hasattr(file, "fileno")
        assert file.read(100) == b"some bytes"


def test_a_recording_has_the_name_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "Gespräch 1.wav"
    path.touch()

    with path.open("rb") as file:
        names = [name_of(each) for each in (path, str(path), file, b"", (NOISE, 16_000))]

    assert names == ["Gespräch 1.wav"] * 3 + ["recording"] * 2

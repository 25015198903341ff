"""Recordings as callers have them, opened for an upload that is read piece by piece."""

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

_PCM, _IEEE_FLOAT = 1, 3
"""Format tags of WAV (RFC 2361)."""
_MAX_WAV_BYTES = (1 << 32) - 1024
"""Bytes of samples in a WAV file, whose sizes have 32 bits."""


class Samples(NamedTuple):
    """Samples in memory; a plain tuple of the two is the same."""

    array: npt.NDArray[Any]
    """Shape (samples,) or (samples, channels); floating point with full scale +-1, or int16."""
    sample_rate: int
    """Samples per second."""


Recording = str | os.PathLike[str] | bytes | BinaryIO | Samples | tuple[npt.NDArray[Any], int]
"""A path; the bytes of a file; a file opened in binary mode, which is sent from its start if it can seek;
or `Samples`."""


@contextmanager
def opened(recording: Recording) -> Iterator[BinaryIO]:
    """Open a recording to be read as a file; only a file that was opened here is closed at the end.

    Raises:
        OSError: The path cannot be opened.
        TypeError, ValueError: Not a `Recording`.
    """
    if isinstance(recording, str | os.PathLike):
        with open(recording, "rb") as file:
            yield file
    elif isinstance(recording, bytes | bytearray | memoryview):
        yield io.BytesIO(recording)
    elif isinstance(recording, tuple):
        yield wav(*recording)
    elif isinstance(recording, io.TextIOBase) or not hasattr(recording, "read"):
        kind = "a file in text mode" if hasattr(recording, "read") else type(recording).__name__
        raise TypeError(f"A recording is a path, bytes, a binary file or (array, sample rate), not {kind}.")
    else:
        yield recording if can_be_sent_again(recording) else _Pipe(recording)  # type: ignore[misc]


class _Pipe:
    """A file that can only be read: httpx2 takes the size of a pipe, which is 0, for that of its content."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read


def name_of(recording: Recording) -> str:
    """Return the file name of a recording, or ``recording`` if it has none."""
    path = recording if isinstance(recording, str | os.PathLike) else getattr(recording, "name", "")
    return (Path(path).name if isinstance(path, str | os.PathLike) else "") or "recording"


def can_be_sent_again(file: Any) -> bool:
    """Return whether a file can be read from its start again."""
    return bool(getattr(file, "seekable", lambda: False)())


def wav(array: npt.NDArray[Any], sample_rate: int) -> io.BytesIO:
    """Write samples to a WAV file in memory: int16 as they are, floating point as float32.

    Raises:
        TypeError: Neither floating point nor int16.
        ValueError: Not of shape (samples,) or (samples, channels), or too long for the format.
    """
    samples = np.asarray(array)
    if samples.dtype == np.int16:
        tag, samples = _PCM, samples.astype("<i2", copy=False)
    elif np.issubdtype(samples.dtype, np.floating):
        tag, samples = _IEEE_FLOAT, samples.astype("<f4", copy=False)
    else:
        raise TypeError(f"Samples are floating point or int16, not {samples.dtype}.")
    if samples.ndim not in (1, 2) or samples.nbytes > _MAX_WAV_BYTES:
        raise ValueError(f"Samples have shape (samples,) or (samples, channels), not {samples.shape}.")
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    frame = channels * samples.itemsize
    layout = struct.pack(
        "<HHIIHHH", tag, channels, sample_rate, sample_rate * frame, frame, 8 * samples.itemsize, 0
    )
    file = io.BytesIO()
    file.write(b"RIFF" + struct.pack("<I", 46 + samples.nbytes - 8) + b"WAVE")
    file.write(b"fmt " + struct.pack("<I", len(layout)) + layout)
    file.write(b"data" + struct.pack("<I", samples.nbytes))
    file.write(np.ascontiguousarray(samples).data)
    file.seek(0)
    return file

"""Prepare clips for their upload: whole recordings as they are, spans as 16 kHz WAV of float32."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from config.settings import AudioLimits
from evaluation.manifest import Clip
from pipelines.audio.decoding import decode
from voxgraph.errors import VoxError
from voxgraph.options import Task
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

TOLERANCE_S = 0.01
"""Seconds by which a clip may be shorter than asked, since manifests are rounded."""


@dataclass(frozen=True, slots=True)
class Request:
    """A clip and the tasks that it is for."""

    clip: Clip
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Upload:
    """A clip that is ready to be sent, or the reason why it is not."""

    request: Request
    data: bytes = b""
    error: str = ""


class Refused(Exception):
    """A clip cannot be sent; the message says why."""


def uploads(folder: Path, requests: Sequence[Request], cut_s: float | None = None) -> Iterator[Upload]:
    """Yield every request with its recording.

    Requests of one file should be adjacent, because only the last file stays decoded.

    Args:
        folder: Folder that the names of files are relative to.
        requests: The clips.
        cut_s: Cut every clip to this length in seconds. None: leave them as they are.
    """
    last = _LastRecording(folder)
    for request in requests:
        try:
            yield Upload(request, _content(folder, last, request.clip, cut_s))
        except Refused as refusal:
            yield Upload(request, error=str(refusal))


class _LastRecording:
    """Decodes recordings, and keeps the last one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name, self._samples, self._error = "", np.zeros(0, np.float32), ""

    def samples(self, name: str) -> Waveform:
        """Return the samples of a file; raises `Refused` if it cannot be decoded."""
        if name != self._name:
            self._name, self._error, self._samples = name, "", self._samples[:0]
            try:
                self._samples = decode((self._folder / name).read_bytes(), AudioLimits())
            except VoxError as error:
                self._error = f"{error.code}: {error.detail}"
        if self._error:
            raise Refused(self._error)
        return self._samples


def _content(folder: Path, last: _LastRecording, clip: Clip, cut_s: float | None) -> bytes:
    if clip.start_s == 0 and clip.duration_s is None and cut_s is None:
        return (folder / clip.file).read_bytes()
    start = round(clip.start_s * SAMPLE_RATE_HZ)
    end = None if clip.duration_s is None else start + round(clip.duration_s * SAMPLE_RATE_HZ)
    span = last.samples(clip.file)[start:end]
    if len(span) == 0:
        raise Refused("The clip begins after the end of the recording.")
    if cut_s is not None:
        if len(span) < (cut_s - TOLERANCE_S) * SAMPLE_RATE_HZ:
            raise Refused(f"The clip is shorter than {cut_s:g} s.")
        span = span[: round(cut_s * SAMPLE_RATE_HZ)]
    return wav(span)


def wav(waveform: Waveform) -> bytes:
    """Return a WAV file with exactly these samples."""
    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE_HZ, format="WAV", subtype="FLOAT")
    return file.getvalue()

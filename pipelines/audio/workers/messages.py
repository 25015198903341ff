"""What a pool and its decoder processes tell each other, as JSON in packets of a Unix socket.

The pool trusts nothing that a decoder sends: it is parsed by type, never unpickled.
"""

from dataclasses import dataclass

import msgspec

from voxgraph import errors
from voxgraph.results import Quality

GO_ON = b"+"
"""The pool's answer to `Progress`."""
MAX_BYTES = 1 << 16
"""Bytes of a message, at most."""
AHEAD_S = 30.0
"""Seconds of audio that have room from the beginning, and that a decoder asks for ahead, because to ask takes
0.3 ms."""


class Job(msgspec.Struct, tag=True):
    """Decode a recording; two files in memory come with it: the recording, and one for the waveform."""

    size: int
    """Bytes of the recording."""
    channel: int | None
    room_s: float
    """Seconds of audio for which there is room."""


class Progress(msgspec.Struct, tag=True):
    """The decoder goes on, and waits for `GO_ON`."""

    seconds: float
    """Seconds of audio that need room: those that the recording has so far, and some more if it has more."""


class Decoded(msgspec.Struct, tag=True):
    """The recording is decoded: its waveform is in the second file, float32."""

    samples: int
    quality: Quality


class Failed(msgspec.Struct, tag=True):
    """The recording cannot be decoded, or the code that decodes it has a fault."""

    error: str
    """Name of a class of `voxgraph.errors`; empty for any other exception."""
    detail: str
    """The sentence for the caller, or the traceback for the log."""

    @property
    def is_about_cost(self) -> bool:
        """Whether a limit was reached."""
        return self.error == errors.DecodingTooCostly.__name__

    def to_exception(self) -> Exception:
        """Return the exception that decoding here would have raised."""
        kind = getattr(errors, self.error, None)
        if isinstance(kind, type) and issubclass(kind, errors.InvalidAudio):
            return kind(self.detail)
        return RuntimeError(f"A decoder process failed:\n{self.detail}")


@dataclass(frozen=True, slots=True)
class Exit:
    """The fork server's word that a decoder process has ended."""

    pid: int
    status: int
    """What `os.waitstatus_to_exitcode` returns: negative for a signal."""


Answer = Progress | Decoded | Failed
_answers = msgspec.json.Decoder(Answer)


def read_answer(message: bytes) -> Answer:
    """Parse what a decoder has sent; raises `msgspec.MsgspecError` for anything else."""
    answer: Answer = _answers.decode(message)
    return answer

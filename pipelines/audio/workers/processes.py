"""The side of the processes: a server that forks decoders, and a decoder that waits for recordings.

The server is started with a clean environment and imports what decoding needs, and nothing of the service, so
that a decoder is there in milliseconds and knows no secret. It never reads a recording.
"""

import contextlib
import encodings
import gc
import importlib
import math
import mmap
import os
import pkgutil
import select
import signal
import socket
import sys
import time
import traceback

import av
import msgspec
import numpy as np

from config.settings import AudioLimits, DecoderSettings
from pipelines.audio.blocks import Block, Blocks
from pipelines.audio.decoding import decode_recording
from pipelines.audio.workers.confinement import Meter, confine, die_with_parent
from pipelines.audio.workers.messages import (
    AHEAD_S,
    GO_ON,
    MAX_BYTES,
    Answer,
    Decoded,
    Exit,
    Failed,
    Job,
    Progress,
)  # fmt: skip
from pipelines.heap import keep_freed_memory, return_freed_memory
from voxgraph.errors import DecodingTooCostly, VoxError
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

UPLOAD_COPIES = 3
"""Copies of an upload that decoding may make: the content, one of its files, and one with other sizes."""
PROGRESS_S = 0.25
"""Seconds after which a decoder that has stored blocks reports, though the recording became no longer."""
SMALL_BYTES = 10_000_000
"""Bytes of an upload up to which it may take `DecoderSettings.min_cpu_s` and no more, whatever its length."""
BYTES_PER_CPU_S = 10_000_000
"""Further bytes for which a decoder has another second of processor time: to read and check them, and for
many channels or a high rate, which take more time and, with real sound in them, many bytes. A second of
FLAC of 192 kHz and two channels takes 0.007 s."""
LONG_BYTES_PER_CPU_S = 1_000_000
"""Further bytes for which it has another second if the audio is long: four hours of Opus of 16 kbit/s are
29 MB and take a Zen 4 15 to 20 s."""
LARGE_BYTES = 16_000_000
"""Bytes of upload and waveform, those of four minutes, from which on freed memory returns to the system.
After a short recording, getting it anew takes as long as half of the decoding."""
KEPT_BYTES = 8 << 20
"""Size of an array up to which its memory is kept."""
_SAMPLE_BYTES = 4
_LAZY_MODULES = ("numpy.ma", "numpy.fft", "numpy.linalg", "numpy.rec", "linecache", "tokenize")
_NOT_IMPORTED = ("__main__", "datasets", "mbcs", "oem")
"""Modules of av and encodings that are for a command line, for the network, or for Windows."""


class SharedBlocks(Blocks):
    """The blocks of a waveform, in a file in memory that the service shares.

    Every block that is stored allows the processor time for the next.
    """

    def __init__(self, decoder: "_Decoder", file: int) -> None:
        super().__init__()
        self._decoder = decoder
        self._file = file
        self._stored_s = 0.0

    def append(self, block: Block) -> None:
        """Add a block."""
        rest, position = np.ascontiguousarray(block).data.cast("B"), self._samples * _SAMPLE_BYTES
        while rest:
            written = os.pwrite(self._file, rest, position)
            rest, position = rest[written:], position + written
        self._samples += len(block)
        self._stored_s += len(block) / SAMPLE_RATE_HZ
        self._decoder.stored(self._stored_s)

    def truncate(self, samples: int) -> None:
        """Drop the samples behind the given number."""
        self._samples = samples

    def waveform(self) -> Waveform:
        """Return the waveform, mapped from the file; it cannot be written to."""
        size = self._samples * _SAMPLE_BYTES
        os.ftruncate(self._file, size)
        if not size:
            return np.empty(0, np.float32)
        self._decoder.allow_memory(size)
        return np.frombuffer(mmap.mmap(self._file, size, mmap.MAP_PRIVATE, mmap.PROT_READ), np.float32)


class _Decoder:
    """Decodes one recording after the other until the pool closes its channel."""

    def __init__(self, channel: socket.socket, limits: AudioLimits, settings: DecoderSettings) -> None:
        self._channel = channel
        self._limits = limits
        self._settings = settings
        self._meter = Meter()
        self._cpu_s = 0.0
        """Processor time of the process when the recording came."""
        self._size = 0
        """Bytes of the recording."""
        self._allowed_s = 0.0
        self._reported_at = 0.0
        self._room_s = 0.0
        """Seconds of audio that the pool has room for."""

    def run(self) -> None:
        """Decode until the channel is closed."""
        # New memory took half of the time of a WAV.
        keep_freed_memory(KEPT_BYTES)
        if not confine(int(_SAMPLE_BYTES * SAMPLE_RATE_HZ * (self._limits.max_audio_s + 60))):
            print(
                "The decoders run without a filter of system calls, which this kernel refuses.",
                file=sys.stderr,
            )
        while True:
            message, files, _, _ = socket.recv_fds(self._channel, MAX_BYTES, 2)
            if not message:
                return
            job = msgspec.json.decode(message, type=Job)
            answer = self._answer(job, *files)
            self._channel.send(msgspec.json.encode(answer))
            if job.size + _SAMPLE_BYTES * SAMPLE_RATE_HZ * self._room_s > LARGE_BYTES:
                return_freed_memory()

    def stored(self, seconds: float) -> None:
        """Allow the processor time for the next block, and let others have their turn."""
        self._allow_cpu(seconds)
        if time.monotonic() - self._reported_at > PROGRESS_S:
            self._wait()

    def allow_memory(self, more_bytes: int) -> None:
        """Allow address space besides that of now and `DecoderSettings.max_memory_bytes`."""
        self._meter.allow_memory(more_bytes + self._settings.max_memory_bytes)

    def _answer(self, job: Job, upload: int, waveform: int) -> Answer:
        try:
            return self._decode(job, upload, waveform)
        except MemoryError:
            return _failed(DecodingTooCostly("Decoding the recording takes more memory than is allowed."))
        except VoxError as error:
            return _failed(error)
        except Exception:
            return Failed("", traceback.format_exc()[-MAX_BYTES // 4 :])
        finally:
            os.close(upload)
            os.close(waveform)

    def _decode(self, job: Job, upload: int, waveform: int) -> Decoded:
        self._cpu_s, self._allowed_s = time.process_time(), -math.inf
        self._size = job.size
        self._reported_at, self._room_s = time.monotonic(), job.room_s
        self._allow_cpu(0.0)
        self.allow_memory(UPLOAD_COPIES * job.size)
        data = os.pread(upload, job.size, 0)
        recording = decode_recording(
            data, self._limits, self._report, job.channel, SharedBlocks(self, waveform)
        )
        return Decoded(len(recording.waveform), recording.quality)

    def _report(self, seconds: float) -> None:
        """Ask for room for the seconds that the recording has, and for some more."""
        if seconds > self._room_s:
            self._room_s = max(seconds, min(seconds + AHEAD_S, self._limits.max_audio_s))
            self._wait()

    def _wait(self) -> None:
        """Report, and wait until the pool says to go on."""
        self._channel.send(msgspec.json.encode(Progress(self._room_s)))
        if self._channel.recv(MAX_BYTES) != GO_ON:
            os._exit(0)
        self._reported_at = time.monotonic()

    def _allow_cpu(self, seconds: float) -> None:
        allowed_s = allowed_cpu_s(self._size, seconds, self._settings)
        if allowed_s > self._allowed_s:
            self._allowed_s = allowed_s
            self._meter.allow_cpu(self._cpu_s + allowed_s - time.process_time())


def allowed_cpu_s(size: int, seconds: float, settings: DecoderSettings) -> float:
    """Return the processor time that a recording may take.

    Args:
        size: Bytes of the upload.
        seconds: Seconds of audio that were decoded so far.
        settings: `min_cpu_s` and `cpu_share` count.
    """
    further = max(0, size - SMALL_BYTES)
    for_length_s = max(0.0, settings.cpu_share * seconds - settings.min_cpu_s)
    return settings.min_cpu_s + further / BYTES_PER_CPU_S + min(for_length_s, further / LONG_BYTES_PER_CPU_S)


def _failed(error: VoxError) -> Failed:
    return Failed(type(error).__name__, error.detail[: MAX_BYTES // 8])


class _ForkServer:
    """Forks decoders when the pool asks for them, and tells it when they end."""

    def __init__(self, control: socket.socket, limits: AudioLimits, settings: DecoderSettings) -> None:
        self._control = control
        self._limits = limits
        self._settings = settings
        self._ended, self._end = socket.socketpair()
        self._end.setblocking(False)

    def run(self) -> None:
        """Serve until the pool closes its side."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._end.fileno())
        # Pages that the collector does not touch stay shared with the decoders.
        gc.collect()
        gc.freeze()
        self._control.send(b"ready")
        try:
            self._serve()
        finally:
            # Decoders that end after this would wake a server whose socket is closed.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)

    def _serve(self) -> None:
        while True:
            readable, _, _ = select.select([self._control, self._ended], [], [])
            if self._ended in readable:
                self._ended.recv(MAX_BYTES)
                self._reap()
            if self._control in readable:
                message, files, _, _ = socket.recv_fds(self._control, MAX_BYTES, 1)
                if not message:
                    return
                self._fork(socket.socket(fileno=files[0]))

    def _fork(self, channel: socket.socket) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_decoder(channel)
        channel.close()
        handle = os.pidfd_open(pid)
        socket.send_fds(self._control, [str(pid).encode()], [handle])
        os.close(handle)

    def _become_decoder(self, channel: socket.socket) -> None:
        """Decode until the channel is closed; never return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent()
            for inherited in (self._control, self._ended, self._end):
                inherited.close()
            _Decoder(channel, self._limits, self._settings).run()
            status = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> None:
        """Tell the pool of each decoder that has ended."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                exit_ = Exit(ended[0], os.waitstatus_to_exitcode(ended[1]))
                self._control.send(msgspec.json.encode(exit_))


def _import_all() -> None:
    """Import what the libraries import only when they need it, which a confined decoder cannot."""
    for package in (av, encodings):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(_NOT_IMPORTED):
                importlib.import_module(module.name)
    for name in _LAZY_MODULES:
        importlib.import_module(name)


def main() -> None:
    """Run the fork server on the socket, and with the settings, of the command line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_all()
    control = socket.socket(fileno=int(sys.argv[1]))
    limits, settings = (
        AudioLimits.model_validate_json(sys.argv[2]),
        DecoderSettings.model_validate_json(sys.argv[3]),
    )
    with contextlib.suppress(ConnectionError):
        _ForkServer(control, limits, settings).run()

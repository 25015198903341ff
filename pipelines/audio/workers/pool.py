"""The service's side: decode recordings in processes that are killed if they take too much, and replaced."""

import asyncio
import fcntl
import logging
import mmap
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
import numpy as np

from config.settings import AudioLimits, DecoderSettings
from pipelines.audio.decoding import Recording
from pipelines.audio.workers.fork_server import DecoderProcess, ForkServer
from pipelines.audio.workers.messages import (
    AHEAD_S,
    GO_ON,
    Answer,
    Decoded,
    Failed,
    Job,
    Progress,
    read_answer,
)  # fmt: skip
from pipelines.audio.workers.turns import Turns
from voxgraph.errors import DecodingTooCostly, EmptyAudio, Overloaded, UndecodableAudio
from voxgraph.results import Waveform

log = logging.getLogger(__name__)

MAX_DECODED = 1000
"""Recordings after which a process is replaced, because the heap of any long-lived process grows."""
PROCESSES_PER_PLACE = 4
"""Processes at most for each recording that may be decoded at once. All but one of them may hold long
recordings, which wait for their next turn."""
LONG_S = 1.0
"""Seconds of work from which on a recording is long."""
COPIED_AT_ONCE = 1 << 20
"""Bytes up to which an upload is copied on the event loop, in half a millisecond."""
SLOWEST = 10
"""Seconds that a second of processor time may take on a busy machine."""
BYTES_PER_S = 10_000_000
"""Bytes of an upload for which a decoder has another second before the first block."""
_SAMPLE_BYTES = 4
_SEALS = 0x1 | 0x2 | 0x4 | 0x8
"""Seals of a file in memory: no other seals, not shorter, not longer, no writing (fcntl.h)."""


@dataclass(slots=True)
class _Work:
    """A recording that is being decoded."""

    decoder: DecoderProcess
    on_progress: Callable[[float], None]
    has_place: bool = True
    used_s: float = 0.0
    """Seconds that it had a place for, without those since `since`."""
    since: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    """Seconds of audio that were reported."""
    is_long: bool = False

    def had_s(self) -> float:
        """Return the seconds that it had a place for."""
        return self.used_s + time.monotonic() - self.since


class DecoderPool:
    """Decodes recordings in processes of its own, as `pipelines.audio.decoding.decode_recording` does.

    A process that crashes, takes more than `DecoderSettings` allow or whose caller leaves is killed and
    replaced; that costs its own recording alone.
    """

    def __init__(self, limits: AudioLimits, settings: DecoderSettings) -> None:
        self._limits = limits
        self._settings = settings
        self._server: ForkServer | None = None
        self._starting = asyncio.Lock()
        self._idle = list[DecoderProcess]()
        self._busy = list[DecoderProcess]()
        self._processes = asyncio.Semaphore(PROCESSES_PER_PLACE * settings.processes)
        self._turns = Turns(settings.processes)
        self._long = 0
        self._is_closed = False
        self._refilling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the processes, so that no recording has to wait for them."""
        await self._refill()

    async def close(self) -> None:
        """End all processes; recordings that are being decoded fail."""
        self._is_closed = True
        if self._refilling is not None:
            self._refilling.cancel()
        for decoder in (*self._idle, *self._busy):
            decoder.kill()
        self._idle.clear()
        if self._server is not None:
            self._server.close()
            self._server = None

    async def decode(
        self, data: bytes, channel: int | None = None, on_progress: Callable[[float], None] = lambda _: None
    ) -> Recording:
        """Decode a recording; arguments and errors are those of `decode_recording`.

        Raises:
            UndecodableAudio: The process crashed.
            DecodingTooCostly: The process took more memory or time than is allowed.
            Overloaded: Too many long recordings are being decoded.
        """
        if not data:
            raise EmptyAudio("The recording is empty: 0 bytes.")
        async with self._processes:
            decoder, is_reusable = await self._take(), False
            self._busy.append(decoder)
            files = list[int]()
            try:
                copied = partial(_file_of, data)
                files.append(await asyncio.to_thread(copied) if len(data) > COPIED_AT_ONCE else copied())
                files.append(os.memfd_create("waveform", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
                job = Job(len(data), channel, min(AHEAD_S, self._limits.max_audio_s))
                answer = await self._answer(decoder, job, files, on_progress)
                # Memory that was refused leaves a heap in pieces.
                is_reusable = isinstance(answer, Decoded) or not answer.is_about_cost
                if isinstance(answer, Failed):
                    raise answer.to_exception()
                return Recording(_waveform(files[1], answer.samples), answer.quality)
            finally:
                for file in files:
                    os.close(file)
                self._give_back(decoder, is_reusable)

    async def _answer(
        self, decoder: DecoderProcess, job: Job, files: list[int], on_progress: Callable[[float], None]
    ) -> Decoded | Failed:
        """Have a recording decoded, a while at a time; return the last word about it."""
        await self._turns.take(0.0)
        work = _Work(decoder, on_progress, seconds=job.room_s)
        try:
            on_progress(job.room_s)
            decoder.give(msgspec.json.encode(job), files)
            allowed_s = self._settings.max_stall_s + job.size / BYTES_PER_S
            while True:
                answer = await self._next(decoder, allowed_s)
                if not isinstance(answer, Progress):
                    return answer
                await self._go_on(work, answer.seconds)
                self._check_time(work, job)
                allowed_s = self._settings.max_stall_s
        finally:
            if work.has_place:
                self._turns.give()
            self._long -= work.is_long

    async def _next(self, decoder: DecoderProcess, allowed_s: float) -> Answer:
        """Return the next message of a decoder."""
        try:
            async with asyncio.timeout(allowed_s):
                message = await decoder.answer()
        except TimeoutError as error:
            raise DecodingTooCostly(f"Decoding stood still for {allowed_s:.0f} s.") from error
        try:
            return read_answer(message)
        except msgspec.MsgspecError as error:
            raise await self._end_of(decoder) from error

    async def _go_on(self, work: _Work, seconds: float) -> None:
        """Let a decoder go on with a recording once it is its turn."""
        if seconds > work.seconds:
            work.seconds = seconds
            work.on_progress(seconds)
        if not work.is_long and work.had_s() > LONG_S:
            if self._long >= (PROCESSES_PER_PLACE - 1) * self._settings.processes:
                raise Overloaded("Other long recordings are being decoded; try again in a moment.")
            work.is_long = True
            self._long += 1
        if self._turns.is_wanted(work.had_s()):
            work.used_s, work.has_place = work.had_s(), False
            self._turns.give()
            await self._turns.take(work.used_s)
            work.since, work.has_place = time.monotonic(), True
        work.decoder.go_on(GO_ON)

    def _check_time(self, work: _Work, job: Job) -> None:
        """Refuse a recording that takes too long, should the limit of its process not hold."""
        cpu_s = self._settings.cpu_share * min(work.seconds, self._limits.max_audio_s)
        allowed_s = self._settings.max_stall_s + SLOWEST * (job.size / BYTES_PER_S + cpu_s)
        if work.had_s() > allowed_s:
            raise DecodingTooCostly(f"Decoding took more than {allowed_s:.0f} s.")

    async def _end_of(self, decoder: DecoderProcess) -> Exception:
        """Return the error for a decoder that ended, or that sent what none sends."""
        if self._server is None or self._server.has_ended:
            return Overloaded("The decoders are being started again; try again in a moment.")
        status = await self._server.exit_of(decoder)
        if status == -signal.SIGPROF:
            return DecodingTooCostly(
                "Decoding takes more processor time than a recording of this size and length may take. Send "
                "it with more bits per second, as FLAC for instance, or in parts."
            )
        log.warning("A decoder process ended with status %s", status)
        return UndecodableAudio("The recording cannot be decoded: the decoder crashed on it.")

    async def _take(self) -> DecoderProcess:
        """Return a process that waits for a recording, or a new one."""
        server = await self._running_server()
        while self._idle:
            decoder = self._idle.pop()
            if not decoder.has_ended:
                return decoder
            decoder.kill()
            server.forget(decoder)
        return await server.fork()

    def _give_back(self, decoder: DecoderProcess, is_reusable: bool) -> None:
        """Keep a process for the next recording, or end it and have it replaced."""
        self._busy.remove(decoder)
        if is_reusable and decoder.decoded < MAX_DECODED and len(self._idle) < self._settings.processes:
            self._idle.append(decoder)
            return
        decoder.kill()
        if self._server is not None:
            self._server.forget(decoder)
        if self._is_closed:
            return
        if self._refilling is None or self._refilling.done():
            self._refilling = asyncio.create_task(self._refill_if_possible())

    async def _refill(self) -> None:
        """Have as many processes as recordings may be decoded at once."""
        while len(self._idle) + len(self._busy) < self._settings.processes:
            self._idle.append(await (await self._running_server()).fork())

    async def _refill_if_possible(self) -> None:
        try:
            await self._refill()
        except RuntimeError:
            log.exception("No decoder process could be started; the next recording tries again")

    async def _running_server(self) -> ForkServer:
        """Return the fork server; start another one if it has ended."""
        async with self._starting:
            if self._server is not None and self._server.has_ended:
                for decoder in self._idle:
                    decoder.kill()
                self._idle.clear()
                self._server.close()
                self._server = None
            if self._server is None:
                self._server = ForkServer(self._limits, self._settings)
            await self._server.ready()
            return self._server


def _file_of(data: bytes) -> int:
    """Return a file in memory with some content."""
    file = os.memfd_create("upload", os.MFD_CLOEXEC)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    return file


def _waveform(file: int, samples: int) -> Waveform:
    """Return the waveform in a file in memory, which cannot be written to, without a copy.

    Raises `UndecodableAudio` if the decoder, which may have been taken over, has not written as much, or
    might still change it: a file that becomes shorter would end this process.
    """
    size = samples * _SAMPLE_BYTES
    try:
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except OSError as error:
        raise UndecodableAudio("The recording cannot be decoded.") from error
    if not 0 < size <= os.fstat(file).st_size:
        raise UndecodableAudio("The recording cannot be decoded.")
    populate = mmap.MAP_POPULATE if size <= COPIED_AT_ONCE else 0
    return np.frombuffer(mmap.mmap(file, size, mmap.MAP_PRIVATE | populate, mmap.PROT_READ), np.float32)

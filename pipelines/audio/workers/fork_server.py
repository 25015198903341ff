"""The service's side of the fork server: start it, ask it for decoders, and learn how they ended."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from config.settings import AudioLimits, DecoderSettings
from pipelines.audio.workers.messages import MAX_BYTES, Exit

START_S = 60.0
"""Seconds within which the fork server must have started, on a machine that is busy with loading models."""
EXIT_S = 2.0
"""Seconds to wait for the word how a decoder ended."""
_COMMAND = f"""
import sys
sys.path[:] = sys.argv.pop().split({os.pathsep!r})
from pipelines.audio.workers.processes import main
main()
"""
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""All of the environment, besides `_KEPT`: no token, and one thread, for a process that forks."""
_KEPT = ("PATH", "LD_LIBRARY_PATH")


class DecoderProcess:
    """A process that decodes one recording at a time."""

    def __init__(self, pid: int, handle: int, channel: socket.socket) -> None:
        self.pid = pid
        self._handle = handle
        self._channel = channel
        self.decoded = 0
        """Recordings that it was given."""

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return bool(select.select([self._handle], [], [], 0)[0])

    def give(self, job: bytes, files: Sequence[int]) -> None:
        """Send a job with its files; to a process that has ended, nothing."""
        self.decoded += 1
        # Never blocks: the decoder waits for a job, and its socket is empty.
        with contextlib.suppress(ConnectionError):
            socket.send_fds(self._channel, [job], files)

    async def answer(self) -> bytes:
        """Return the next message; empty if the process has ended."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.get_running_loop().sock_recv(self._channel, MAX_BYTES)
        return b""

    def go_on(self, word: bytes) -> None:
        """Send a word to a process that waits for it; one that has ended does not."""
        with contextlib.suppress(ConnectionError):
            self._channel.send(word)

    def kill(self) -> None:
        """End the process, if it has not ended."""
        if self._handle < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)
        self._handle = -1
        self._channel.close()


class ForkServer:
    """A process with a clean environment that forks decoders; it ends when this object is closed."""

    def __init__(self, limits: AudioLimits, settings: DecoderSettings) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-c", _COMMAND, str(theirs.fileno()),
                    limits.model_dump_json(), settings.model_dump_json(), os.pathsep.join(sys.path),
                ],
                env=_ENVIRONMENT | {name: os.environ[name] for name in _KEPT if name in os.environ},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self._born = deque[asyncio.Future[tuple[int, int]]]()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[None] | None = None

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    async def ready(self) -> None:
        """Wait until it can fork; raises `RuntimeError` if it cannot start."""
        loop = asyncio.get_running_loop()
        if self._ready is None:
            self._ready = loop.create_future()
            loop.add_reader(self._control, self._read)
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), START_S)
        except TimeoutError as error:
            raise RuntimeError("The fork server of the decoders did not start.") from error

    async def fork(self) -> DecoderProcess:
        """Return a new decoder; raises `RuntimeError` if the server has ended."""
        await self.ready()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        born = asyncio.get_running_loop().create_future()
        with theirs:
            try:
                socket.send_fds(self._control, [b"fork"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise RuntimeError("The fork server of the decoders has ended.") from error
        self._born.append(born)
        # A caller who left must not leave a process without an owner: its channel is closed, so that it ends.
        try:
            pid, handle = await born
        except BaseException:
            ours.close()
            raise
        return DecoderProcess(pid, handle, ours)

    async def exit_of(self, decoder: DecoderProcess) -> int | None:
        """Return how a decoder ended, as of `os.waitstatus_to_exitcode`; None if it is not known."""
        with contextlib.suppress(TimeoutError, RuntimeError, KeyError):
            async with asyncio.timeout(EXIT_S):
                return await asyncio.shield(self._ended[decoder.pid])
        return None

    def forget(self, decoder: DecoderProcess) -> None:
        """Keep no word about a decoder."""
        self._ended.pop(decoder.pid, None)

    def close(self) -> None:
        """End the server, and with it the decoders; return once there is no zombie."""
        if self._control.fileno() >= 0:
            if self._ready is not None:
                self._ready.get_loop().remove_reader(self._control)
            self._control.close()
        self._process.kill()
        self._process.wait()
        self._fail(RuntimeError("The fork server of the decoders was closed."))

    def _read(self) -> None:
        """Take a message of the server: it is ready, a decoder was born, or one has ended."""
        try:
            message, files, _, _ = socket.recv_fds(self._control, MAX_BYTES, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            message, files = b"", []
        if not message:
            assert self._ready is not None
            self._ready.get_loop().remove_reader(self._control)
            self._fail(RuntimeError("The fork server of the decoders has ended."))
        elif files:
            self._bear(int(message), files[0])
        elif self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        else:
            ended = msgspec.json.decode(message, type=Exit)
            known = self._ended.get(ended.pid)
            if known is not None and not known.done():
                known.set_result(ended.status)

    def _bear(self, pid: int, handle: int) -> None:
        born = self._born.popleft()
        if born.cancelled():
            os.close(handle)
            return
        self._ended[pid] = born.get_loop().create_future()
        born.set_result((pid, handle))

    def _fail(self, error: Exception) -> None:
        waiting: list[asyncio.Future[Any]] = [*self._born, *self._ended.values()]
        if self._ready is not None:
            waiting.append(self._ready)
        self._born.clear()
        self._ended.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # Nobody may be waiting, which is no news.

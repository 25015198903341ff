"""What the processes of a running graph take meanwhile: memory and processor time, by process."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from launched import Launched

from benchmarks.processes import kind_of

SAMPLE_S = 0.1
DECODERS = "decoders"
"""Kind of the processes that decode, and of the server that forks them."""
_FORKS_DECODERS = "pipelines.audio.workers.processes"
_MEMORY = {"RssAnon:": "private", "RssFile:": "of programs", "RssShmem:": "in shared files"}


@dataclass(frozen=True, slots=True)
class Memory:
    """Physical memory of a process, in MB."""

    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_MEMORY.values(), 0.0))

    @property
    def total(self) -> float:
        """All pages, those that other processes have, too, included."""
        return sum(self.parts.values())

    def since(self, before: "Memory") -> "Memory":
        """Return the growth."""
        return Memory({part: size - before.parts[part] for part, size in self.parts.items()})

    def __str__(self) -> str:
        parts = ", ".join(f"{size:.0f} {part}" for part, size in self.parts.items())
        return f"{self.total:.0f} MB ({parts})"


def memory_of(process: psutil.Process) -> Memory | None:
    """Return the memory of a process, or None if it has ended."""
    with contextlib.suppress(OSError):
        rows = [line.split() for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()]
        sizes = {_MEMORY[row[0]]: int(row[1]) / 1000 * 1.024 for row in rows if row and row[0] in _MEMORY}
        if sizes:
            return Memory(sizes)
    return None


class Usage:
    """The largest growth of each process of the graph during a block, and its processor time.

    All of a process's pages count as its memory, also those of files in memory that others have mapped as
    well. A decoder that is forked meanwhile counts from the memory of its server, of which it is a copy.
    """

    def __init__(self, service: Launched) -> None:
        self._processes = service.processes()
        self._kinds = {process.pid: _kind(process) for process in self._processes}
        self._servers = [each for each in self._processes if _is_fork_server(each)]
        self._kinds |= {pid: DECODERS for server in self._servers for pid in _children(server.pid)}
        self._before = {each.pid: memory_of(each) or Memory() for each in self._processes}
        self._cpu_before = {each.pid: _cpu_s(each) or 0.0 for each in self._processes}
        self.growth: dict[int, Memory] = {}
        """Largest growth by number of process."""
        self.cpu_s: dict[str, float] = {}
        """Processor time by kind of process, that of decoders that have ended included."""
        self.wall_s = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Usage":
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self.wall_s = time.monotonic() - self._started
        taken = defaultdict[str, float](float)
        for process in self._processes:
            kind, before_s = self._kinds[process.pid], self._cpu_before[process.pid]
            now_s = _cpu_s(process)
            if now_s is None:
                # All the time of a decoder that has ended is its server's now.
                now_s = 0.0 if kind == DECODERS else before_s
            taken[kind] += now_s - before_s
        self.cpu_s = dict(taken)

    def largest(self) -> tuple[str, Memory]:
        """Return the process that has grown most, and by how much."""
        pid = max(self.growth, key=lambda each: self.growth[each].total)
        return self._kinds[pid], self.growth[pid]

    def table(self, at_least_mb: float = 30.0) -> str:
        """Return a row for each process that has grown."""
        rows = sorted(self.growth.items(), key=lambda row: -row[1].total)
        return "\n".join(
            f"    {self._kinds[pid]:<20} +{grown}" for pid, grown in rows if grown.total >= at_least_mb
        )

    def _watch(self) -> None:
        while True:
            self._look_for_decoders()
            for process in self._processes:
                now = memory_of(process)
                if now is None:
                    continue
                grown = now.since(self._before[process.pid])
                if process.pid not in self.growth or grown.total > self.growth[process.pid].total:
                    self.growth[process.pid] = grown
            if self._ends.wait(SAMPLE_S):
                return

    def _look_for_decoders(self) -> None:
        """Find the decoders that were forked meanwhile."""
        for server in self._servers:
            for pid in _children(server.pid):
                if pid in self._kinds:
                    continue
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._processes.append(psutil.Process(pid))
                    self._kinds[pid] = DECODERS
                    self._before[pid] = self._before[server.pid]
                    self._cpu_before[pid] = 0.0


def _kind(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        command = process.cmdline()
        return DECODERS if _FORKS_DECODERS in " ".join(command) else kind_of(command)
    return "ended"


def _is_fork_server(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return _kind(process) == DECODERS and _kind(process.parent() or process) != DECODERS
    return False


def _children(pid: int) -> Iterable[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _cpu_s(process: psutil.Process) -> float | None:
    """Return the processor time of a process and of its children that have ended; None if it has ended."""
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return None

"""What a decoder process may do: compute, and talk to the pool through the sockets and files it was given.

Limits of the kernel (`setrlimit`) bound its memory and files, and a timer (`setitimer`) its processor time. A
filter of system calls (seccomp) refuses the network, files by path, other processes and new ones, with EPERM.
The filter needs no privilege; where the kernel or the architecture has none, the limits remain.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys

MAX_FILES = 64
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _EPERM = 0x7FFF_0000, 0x0005_0001
_LOAD, _EQUAL, _GREATER, _RETURN = 0x20, 0x15, 0x25, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENT_AT = 0, 4, 16
"""Positions of the call's number, of the architecture and of the call's first argument in what a filter sees
(linux/seccomp.h)."""
_PRLIMIT = (302, 261)
_FOREIGN_CALLS = 0x4000_0000
"""Numbers from which on x86_64 takes calls of another convention, which would go round the filter."""
_ARCHITECTURES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
"""Number of the architecture (linux/audit.h), and its column in `_FORBIDDEN`."""
_FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
    "open": (2, None), "openat": (257, 56), "openat2": (437, 437), "creat": (85, None),
    "open_by_handle_at": (304, 265), "truncate": (76, 45), "unlink": (87, None), "unlinkat": (263, 35),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, None),
    "mkdirat": (258, 34), "rmdir": (84, None), "link": (86, None), "linkat": (265, 37),
    "symlink": (88, None), "symlinkat": (266, 36), "chmod": (90, None), "fchmodat": (268, 53),
    "chown": (92, None), "fchownat": (260, 54), "mknod": (133, None), "mknodat": (259, 33),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "clone": (56, 220), "clone3": (435, 435),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "setpriority": (141, 140), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "ioprio_set": (251, 30),
    "process_madvise": (440, 440), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "io_uring_setup": (425, 425), "bpf": (321, 280), "userfaultfd": (323, 282),
    "perf_event_open": (298, 241), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "mount": (165, 40), "umount2": (166, 39), "unshare": (272, 97), "setns": (308, 268),
    "chroot": (161, 51), "pivot_root": (155, 41), "shmget": (29, 194), "shmat": (30, 196),
}  # fmt: skip
"""Refused system calls: their numbers on x86_64 and aarch64, None where there is no such call."""


def confine(max_file_bytes: int) -> bool:
    """Confine this process for good; return whether the filter of system calls is on.

    Args:
        max_file_bytes: Bytes that the process may write into a file.
    """
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MAX_FILES),
        (resource.RLIMIT_FSIZE, max_file_bytes),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # A process that cannot be dumped cannot be read by others of the same user either.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return _filter_calls(libc)


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Meter:
    """Sets the limits of memory and processor time of this process, which grow with the recording.

    Construct it before `confine`, which forbids to open the file that has the process's size.
    """

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._page = resource.getpagesize()

    def allow_memory(self, more_bytes: int) -> None:
        """Allow as much address space as is used now, and some more."""
        pages = int(os.pread(self._statm, 32, 0).split()[0])
        self._set(resource.RLIMIT_AS, pages * self._page + more_bytes)

    def allow_cpu(self, more_s: float) -> None:
        """Allow some more processor time from now on; then the kernel ends the process with SIGPROF.

        `RLIMIT_CPU` would count whole seconds only.
        """
        # A timer of 0 s would be none.
        signal.setitimer(signal.ITIMER_PROF, max(more_s, 1e-3))

    @staticmethod
    def _set(kind: int, soft: int) -> None:
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


class _Program(ctypes.Structure):
    """A filter of system calls, ``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _filter_calls(libc: ctypes.CDLL) -> bool:
    """Refuse the forbidden system calls; return False if the kernel takes no filter."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    code = _filter_code(*_ARCHITECTURES[platform.machine()])
    program = _Program(len(code) // 8, code)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    return not libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)


def _filter_code(architecture: int, column: int) -> bytes:
    """Return the filter's instructions, 8 bytes each; behind a test are the instructions to skip."""
    numbers = [row[column] for row in _FORBIDDEN.values()]
    tests = [number for number in numbers if number is not None]
    refusal = 5 + len(tests) + 4
    code = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _EPERM),
        _instruction(_LOAD, _NUMBER_AT),
        _instruction(_GREATER, _FOREIGN_CALLS - 1, refusal - 5, 0),
    ]
    for number in tests:
        code.append(_instruction(_EQUAL, number, refusal - len(code) - 1, 0))
    code += [
        # Limits may be set of this process alone, which is number 0.
        _instruction(_EQUAL, _PRLIMIT[column], 0, 2),
        _instruction(_LOAD, _ARGUMENT_AT),
        _instruction(_EQUAL, 0, 0, 1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _EPERM),
    ]
    return b"".join(code)


def _instruction(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)

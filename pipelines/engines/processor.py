"""Read the processor's features from the kernel, without loading a runtime."""

from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def read_cpuinfo() -> dict[str, str]:
    """Return the fields of ``/proc/cpuinfo``, e.g. ``vendor_id`` and ``flags``; empty if it is missing."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {key.strip(): text.strip() for key, _, text in (line.partition(":") for line in lines)}


def slows_bfloat16(processor: Mapping[str, str]) -> bool:
    """Whether matrix products are slower in bfloat16 than in float32 although the processor supports it.

    That is so on Intel without AMX, or with AMX hidden by a hypervisor: on family 6 model 207, ``VDPBF16PS``
    alone gave 84 GFLOP/s per core and float32 158, and whole networks took 1.4 to 1.9 times as long
    (``python -m benchmarks.engines``). On AMD, bfloat16 is twice as fast as float32.

    `processor` is the result of `read_cpuinfo`.
    """
    flags = processor.get("flags", "").split()
    return processor.get("vendor_id") == "GenuineIntel" and "amx_bf16" not in flags

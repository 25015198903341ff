"""What the processor of this machine computes, without asking a runtime for it."""

from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def fields() -> dict[str, str]:
    """What the kernel says of a core, e.g. its ``vendor_id`` and ``flags``; nothing where it is not Linux."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {key.strip(): text.strip() for key, _, text in (line.partition(":") for line in lines)}


def slows_bfloat16(processor: Mapping[str, str]) -> bool:
    """Whether products take longer in bfloat16 than in float32, though there are instructions for them.

    Intel's do where AMX is missing, or hidden by a hypervisor: ``VDPBF16PS`` alone gave 84 GFLOP/s a core
    and float32 158 on family 6 model 207, the whole networks 1.4 to 1.9 times the time
    (``python -m benchmarks.engines``). AMD's give twice float32's.

    Args:
        processor: From `fields`.
    """
    return (
        processor.get("vendor_id") == "GenuineIntel" and "amx_bf16" not in processor.get("flags", "").split()
    )

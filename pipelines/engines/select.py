"""Choose the runtime and precision of a network on this machine, and state the reason."""

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from config.settings import EngineOptions, Size
from pipelines.engines import Engine, Precision, processor
from voxgraph.errors import CheckpointError


class Network(StrEnum):
    """The kinds of network, which gain differently from OpenVINO (``python -m benchmarks.engines``)."""

    ECAPA = "ECAPA"
    WAV2VEC2 = "wav2vec 2.0"
    RESNET = "ResNet34"
    WHISPER = "Whisper"
    CAMPPLUS = "CAM++"


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """A runtime, its precision, and the reason for both."""

    engine: Engine
    precision: Precision
    reason: str
    """One sentence for the log and for ``/health``."""


CAMPPLUS_FLOAT32 = (
    "bfloat16 changes CAM++'s embeddings too much: cosine to float32 0.9994 over 3 s, 0.995 over 0.5 s."
)
TORCH_FLOAT32 = EngineChoice("torch", "float32", "torch in float32 is the reference.")


def choose(options: EngineOptions, device: str, network: Network, size: Size) -> EngineChoice:
    """Resolve ``auto``. An engine or precision that is set by name is used or refused, never replaced.

    Args:
        options: Engine and precision, each ``auto`` or a name.
        device: ``cpu`` or ``cuda:0``.
        network: The kind of network that will run.
        size: Most small networks are so small that converting them costs more than it saves.

    Raises:
        CheckpointError: The engine or the precision is not available on this machine.
    """
    if device != "cpu":
        return _choose_on_cuda(options, device)
    if options.precision == "float16":
        raise CheckpointError("Precision float16 is for CUDA; on a CPU use float32 or bfloat16.")
    if options.engine == "torch":
        if options.precision == "bfloat16":
            raise CheckpointError("On a CPU, precision bfloat16 needs OpenVINO's engine, not torch.")
        return EngineChoice("torch", "float32", "The settings select torch.")
    if options.engine == "auto" and options.precision != "bfloat16":
        reason = _reason_against_openvino(options, network, size)
        if reason is not None:
            return EngineChoice("torch", "float32", reason)
    return _choose_on_openvino(options, network)


def _choose_on_cuda(options: EngineOptions, device: str) -> EngineChoice:
    if options.engine == "openvino":
        raise CheckpointError(f"Engine openvino runs only on a CPU; this replica has {device}.")
    if options.precision == "auto":
        return EngineChoice("torch", "float32", "On CUDA, auto means float32; set a lower precision by name.")
    return EngineChoice("torch", options.precision, f"The settings select {options.precision}.")


def _reason_against_openvino(options: EngineOptions, network: Network, size: Size) -> str | None:
    """Return why ``auto`` selects torch, or None for OpenVINO; query the processor only if necessary."""
    if not openvino_is_installed():
        return "OpenVINO is not installed."
    if size is Size.SMALL and network is not Network.RESNET:
        return "The network is small: converting it for OpenVINO costs more than it saves."
    if network not in (Network.WAV2VEC2, Network.WHISPER):
        return None
    float32_reason = f"in float32 OpenVINO runs {network} hardly faster than torch, in twice the memory."
    if options.precision == "float32":
        return f"The settings select float32, and {float32_reason}"
    bfloat16_reason = _reason_against_bfloat16()
    return bfloat16_reason and f"{bfloat16_reason}, and {float32_reason}"


def _choose_on_openvino(options: EngineOptions, network: Network) -> EngineChoice:
    if not openvino_is_installed():
        raise CheckpointError("OpenVINO is not installed; engine openvino and bfloat16 on a CPU need it.")
    if options.precision == "float32":
        return EngineChoice("openvino", "float32", "The settings select float32.")
    if options.precision == "bfloat16":
        if not cpu_has_bfloat16():
            raise CheckpointError("Precision bfloat16 needs a processor with AMX-BF16 or AVX512-BF16.")
        return EngineChoice("openvino", "bfloat16", "The settings select bfloat16.")
    if network is Network.CAMPPLUS:
        return EngineChoice("openvino", "float32", CAMPPLUS_FLOAT32)
    reason = _reason_against_bfloat16()
    if reason is not None:
        return EngineChoice("openvino", "float32", f"{reason}.")
    return EngineChoice("openvino", "bfloat16", "The processor computes bfloat16 faster than float32.")


def _reason_against_bfloat16() -> str | None:
    """Return why ``auto`` selects float32, or None if it selects bfloat16."""
    if not cpu_has_bfloat16():
        return "The processor does not support bfloat16"
    if processor.slows_bfloat16(processor.read_cpuinfo()):
        return "The processor computes bfloat16 more slowly than float32 (no AMX, or hidden)"
    return None


def openvino_is_installed() -> bool:
    """Whether OpenVINO is installed, without importing it."""
    return find_spec("openvino") is not None


def cpu_has_bfloat16() -> bool:
    """Whether the processor supports bfloat16; otherwise OpenVINO would emulate it slowly."""
    from pipelines.engines.openvino import cpu_capabilities

    return "BF16" in cpu_capabilities()

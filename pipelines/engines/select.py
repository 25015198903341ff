"""Which runtime a network takes on this machine, and the sentence that says why."""

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from config.settings import EngineOptions, Size
from pipelines.engines import Engine, Precision, processor
from voxgraph.errors import CheckpointError


class Network(StrEnum):
    """The kinds of network; each gains differently from OpenVINO (``python -m benchmarks.engines``)."""

    ECAPA = "ECAPA"
    WAV2VEC2 = "wav2vec 2.0"
    RESNET = "ResNet34"


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """A runtime, what it computes in, and why."""

    engine: Engine
    precision: Precision
    reason: str
    """A sentence for the log and for ``/health``."""


TORCH_FLOAT32 = EngineChoice("torch", "float32", "It is the reference.")


def choose(options: EngineOptions, device: str, network: Network, size: Size) -> EngineChoice:
    """Settle what ``auto`` means; what is asked for by name is given or refused, never replaced.

    Args:
        options: Engine and precision, each ``auto`` or a name.
        device: ``cpu`` or ``cuda:0``.
        network: What is to run.
        size: The demo's networks are so small that converting most of them costs more than it saves.

    Raises:
        CheckpointError: The engine or the precision cannot be had on this machine.
    """
    if device != "cpu":
        return _on_cuda(options, device)
    if options.precision == "float16":
        raise CheckpointError("Precision float16 is for CUDA; a CPU computes in float32 or bfloat16.")
    if options.engine == "torch":
        if options.precision == "bfloat16":
            raise CheckpointError("Precision bfloat16 on a CPU is OpenVINO's; engine is torch.")
        return EngineChoice("torch", "float32", "Settings ask for torch.")
    if options.engine == "auto" and options.precision != "bfloat16":
        against = _against_openvino(options, network, size)
        if against is not None:
            return EngineChoice("torch", "float32", against)
    return _on_openvino(options)


def _on_cuda(options: EngineOptions, device: str) -> EngineChoice:
    if options.engine == "openvino":
        raise CheckpointError(f"Engine openvino runs on the CPU; this replica has {device}.")
    if options.precision == "auto":
        return EngineChoice("torch", "float32", "On CUDA less than float32 has to be asked for.")
    return EngineChoice("torch", options.precision, f"Settings ask for {options.precision}.")


def _against_openvino(options: EngineOptions, network: Network, size: Size) -> str | None:
    """Why ``auto`` stays with torch; None where OpenVINO pays. Asks the processor only where it matters."""
    if not openvino_is_installed():
        return "OpenVINO is not installed."
    if size is Size.DEMO and network is not Network.RESNET:
        return "The network is small: converting it for OpenVINO costs more than it saves."
    if network is not Network.WAV2VEC2:
        return None
    why = f"for {network} in float32 OpenVINO is hardly faster than torch and takes twice the memory."
    if options.precision == "float32":
        return f"Settings ask for float32, and {why}"
    against = _against_bfloat16()
    return against and f"{against}, and {why}"


def _on_openvino(options: EngineOptions) -> EngineChoice:
    if not openvino_is_installed():
        raise CheckpointError("Engine openvino is not installed, and precision bfloat16 on a CPU is its own.")
    if options.precision == "float32":
        return EngineChoice("openvino", "float32", "Settings ask for float32.")
    if options.precision == "bfloat16":
        if not cpu_has_bfloat16():
            raise CheckpointError("Precision bfloat16 needs a processor with AMX-BF16 or AVX512-BF16.")
        return EngineChoice("openvino", "bfloat16", "Settings ask for bfloat16.")
    against = _against_bfloat16()
    if against is not None:
        return EngineChoice("openvino", "float32", f"{against}.")
    return EngineChoice("openvino", "bfloat16", "The processor computes bfloat16 faster than float32.")


def _against_bfloat16() -> str | None:
    """Why ``auto`` stays with float32; None where bfloat16 pays."""
    if not cpu_has_bfloat16():
        return "The processor has no bfloat16"
    if processor.slows_bfloat16(processor.fields()):
        return "The processor computes bfloat16 slower than float32: it has or shows no AMX"
    return None


def openvino_is_installed() -> bool:
    """Whether OpenVINO can be imported; it is not imported for that."""
    return find_spec("openvino") is not None


def cpu_has_bfloat16() -> bool:
    """Whether the processor computes bfloat16 itself; without, OpenVINO would imitate it slowly."""
    from pipelines.engines.openvino import cpu_capabilities

    return "BF16" in cpu_capabilities()

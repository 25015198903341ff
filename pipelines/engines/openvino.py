"""Run a torch network on OpenVINO's CPU runtime: trace, convert and compile it in memory."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.engines import Precision, model_cache
from pipelines.vendored.openvino import openvino
from voxgraph.errors import CheckpointError

HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}
KERNEL_CACHE_SIZE = 256
"""Compiled kernels that OpenVINO caches, megabytes for each input shape (OpenVINO's default: 5000)."""

Shape = Sequence[int]


def cpu_capabilities() -> list[str]:
    """Return the precisions that OpenVINO reports for the processor, e.g. ``FP32``, ``BF16``."""
    capabilities: list[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities


class OpenVinoNetwork:
    """A network with one output; not safe for concurrent calls.

    It uses the number of threads that torch has at construction, and its own copy of the weights.

    Args:
        network: A module whose weights need no gradients, or a function of tensors, on the CPU. Its result
            may depend on the shapes and values of its inputs only through tensor operations.
        examples: Inputs to trace it with; a dimension that varies should not be 1.
        shapes: The shape of each input, -1 where a dimension varies.
        precision: ``float32`` or ``bfloat16``.
        identity: Identifies the network and its weights in the cache; None: it is not cached.

    Raises:
        CheckpointError: The processor does not support the precision.
    """

    def __init__(
        self,
        network: Callable[..., Tensor],
        examples: Sequence[Tensor],
        shapes: Sequence[Shape],
        precision: Precision,
        identity: str | None = None,
    ) -> None:
        def convert() -> openvino.Model:
            return _trace_and_convert(network, tuple(examples), shapes)

        model = convert() if identity is None else model_cache.load_or_convert(identity, shapes, convert)
        compiled = openvino.Core().compile_model(model, "CPU", _properties(precision))
        actual = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if actual != HINTS[precision]:
            raise CheckpointError(f"OpenVINO computes in {actual} on this processor, not in {precision}.")
        self._request = compiled.create_infer_request()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Run the network on CPU tensors and return its output in float32."""
        arrays = [tensor.contiguous().numpy() for tensor in inputs]
        return torch.from_numpy(self._request.infer(arrays, share_inputs=True)[0])


def _trace_and_convert(
    network: Callable[..., Tensor], examples: tuple[Tensor, ...], shapes: Sequence[Shape]
) -> openvino.Model:
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns that it skips the shape checks of libraries.
        warnings.simplefilter("ignore")
        # Tracing a function takes 4 s for XLSR; tracing a module records every submodule, too, and takes 6 s.
        # torch's check of the trace is off because it imports sympy and distributed tensors, which takes 5 s.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            lambda *inputs: network(*inputs), examples, check_trace=False
        )
        return openvino.convert_model(
            traced, example_input=examples, input=[openvino.PartialShape(list(shape)) for shape in shapes]
        )


def _properties(precision: Precision) -> dict[str, object]:
    return {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        # Several replicas share the cores; with pinning, all of them would use the first one.
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": KERNEL_CACHE_SIZE,
        # This pass fuses attention. If the first input has a single frame, the fused kernel computes wrong
        # results for all longer clips (OpenVINO 2026.4).
        "SNIPPETS_MODE": "DISABLE",
    }

"""A torch network on OpenVINO's CPU runtime: traced, converted and compiled in memory."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.engines import Precision, model_cache
from pipelines.vendored.openvino import openvino
from voxgraph.errors import CheckpointError

HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}
KEPT_KERNELS = 256
"""Kernels are compiled for each shape that is seen, megabytes a shape; the default keeps 5000 of them."""

Shape = Sequence[int]


def cpu_capabilities() -> list[str]:
    """What OpenVINO says the processor computes in, e.g. ``FP32``, ``BF16``."""
    found: list[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return found


class OpenVinoNetwork:
    """A network of one output; one call at a time.

    It computes with as many threads as torch has when it is made, and keeps the weights beside torch's.

    Args:
        network: A module whose weights want no gradients, or a function of tensors, on the CPU. What it
            computes may depend on the shapes and values of its inputs only through tensor operations.
        examples: Inputs to trace it with; a dimension that varies is best not 1 in them.
        shapes: Of each input, -1 where a dimension varies.
        precision: ``float32`` or ``bfloat16``.
        identity: Says which network with which weights this is, so that it may be kept converted.

    Raises:
        CheckpointError: The processor cannot do the precision.
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
            return _converted(network, tuple(examples), shapes)

        model = convert() if identity is None else model_cache.load_or_convert(identity, shapes, convert)
        compiled = openvino.Core().compile_model(model, "CPU", _properties(precision))
        used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if used != HINTS[precision]:
            raise CheckpointError(f"OpenVINO computes in {used} on this processor, not in {precision}.")
        self._request = compiled.create_infer_request()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Run it: tensors on the CPU in, float32 out."""
        arrays = [tensor.contiguous().numpy() for tensor in inputs]
        return torch.from_numpy(self._request.infer(arrays, share_inputs=True)[0])


def _converted(
    network: Callable[..., Tensor], examples: tuple[Tensor, ...], shapes: Sequence[Shape]
) -> openvino.Model:
    with warnings.catch_warnings(), torch.no_grad():
        # Libraries' checks of shapes, which tracing leaves out.
        warnings.simplefilter("ignore")
        # Of a function: a module's trace has a module for each of its own, two seconds of XLSR's six. And
        # without torch's own check, which imports symbolic algebra and distributed tensors: five seconds.
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
        # Several replicas share the cores: pinned, all would take the first one.
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": KEPT_KERNELS,
        # Attention fused by this pass and first run over one frame answers all longer clips wrongly after
        # (OpenVINO 2026.4).
        "SNIPPETS_MODE": "DISABLE",
    }

"""Put a network on its engine."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.engines import Precision
from pipelines.engines.select import EngineChoice

DTYPES: dict[Precision, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def on_engine(
    network: Callable[..., Tensor],
    choice: EngineChoice,
    examples: Sequence[Tensor],
    shapes: Sequence[Sequence[int]],
    identity: str | None = None,
) -> Callable[..., Tensor]:
    """Return the network as a function of float32 tensors that returns float32.

    Args:
        network: A module in evaluation mode, or a function of tensors, on its device.
        examples: One example per input, to trace the network with.
        shapes: The shape of each input, -1 where a dimension varies.
        identity: Equal for the same network with the same weights; None: a converted network is not cached.

    Raises:
        CheckpointError: The engine cannot run it on this machine.
    """
    if choice.engine == "openvino":
        from pipelines.engines.openvino import OpenVinoNetwork

        return OpenVinoNetwork(network, examples, shapes, choice.precision, identity)
    return network if choice.precision == "float32" else Autocast(network, DTYPES[choice.precision])


class Autocast:
    """A torch network whose matrix products and convolutions run in a lower precision."""

    def __init__(self, network: Callable[..., Tensor], dtype: torch.dtype) -> None:
        self._network, self._dtype = network, dtype

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Run the network on tensors on its device and return its output in float32."""
        with torch.autocast(inputs[0].device.type, self._dtype):
            output: Tensor = self._network(*inputs)
        return output.float()

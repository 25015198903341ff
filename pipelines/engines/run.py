"""Put a network on the engine that was chosen for it."""

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
    """The network as a function of tensors, float32 in and out.

    Args:
        network: A module, or a function of tensors; on its device, for answering only.
        choice: From `pipelines.engines.select.choose`.
        examples: One input per argument, to trace the network with.
        shapes: Of each input, -1 where a dimension varies.
        identity: The same for the same network with the same weights; what has none is not kept converted.

    Raises:
        CheckpointError: The engine cannot run it on this machine.
    """
    if choice.engine == "openvino":
        from pipelines.engines.openvino import OpenVinoNetwork

        return OpenVinoNetwork(network, examples, shapes, choice.precision, identity)
    if choice.precision == "float32":
        return network
    return Autocast(network, DTYPES[choice.precision])


class Autocast:
    """A torch network whose products and convolutions are computed in fewer bits."""

    def __init__(self, network: Callable[..., Tensor], dtype: torch.dtype) -> None:
        self._network, self._dtype = network, dtype

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Run it: tensors on its device in, float32 out."""
        with torch.autocast(inputs[0].device.type, self._dtype):
            output: Tensor = self._network(*inputs)
        return output.float()

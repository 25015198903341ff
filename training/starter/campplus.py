"""``python -m training.starter.campplus``: convert the published CAM++ into the starter checkpoint.

The published file is a pickle of tensors, which is read without running any code in it. The checkpoint has
the same names and, apart from rounding to float16, the same values.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from config.checkpoint_types import CamPlusPlusArchitecture, CheckpointFile
from pipelines.campplus_network import CamPlusPlusNetwork
from pipelines.checkpoints import load_state, load_tensors
from training.layouts.campplus import save_campplus
from training.starter.published import convert_published

PUBLISHED = CheckpointFile(
    "campplus_cn_en_common.pt", "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
)
"""The file of iic/speech_campplus_sv_zh_en_16k-common_advanced on ModelScope."""


def main() -> None:
    """Convert the file given on the command line."""
    convert_published(partial(convert, architecture=CamPlusPlusArchitecture()), PUBLISHED, "speaker", __doc__)


def convert(published: Path, to: Path, architecture: CamPlusPlusArchitecture) -> None:
    """Check that the tensors fit the architecture, and write the checkpoint.

    Args:
        published: A file of tensors, written by torch.save.
        to: Output folder, which must exist.
        architecture: Sizes that the tensors must have.

    Raises:
        CheckpointError: The file contains more than tensors, or they do not fit the architecture.
    """
    tensors = load_tensors(published)
    load_state(CamPlusPlusNetwork(architecture), tensors, published.name)
    save_campplus(halved(tensors), to)


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return convolution weights in float16; statistics and biases, one part in a hundred, stay float32."""
    return {
        key: tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor
        for key, tensor in tensors.items()
    }


if __name__ == "__main__":
    main()

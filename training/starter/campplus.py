"""``python -m training.starter.campplus``: convert the published CAM++ into the starter checkpoint.

The published file is a pickle of tensors, which is read without running any code in it. The checkpoint has
the same names and, apart from rounding to float16, the same values.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from config.checkpoint_types import CamPlusPlusArchitecture, CheckpointFile
from pipelines.campplus_network import CamPlusPlusNetwork
from pipelines.checkpoints import check_digest, load_state, load_tensors
from training.layouts.campplus import save_campplus

PUBLISHED_SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
"""SHA-256 of ``campplus_cn_en_common.pt``, iic/speech_campplus_sv_zh_en_16k-common_advanced on ModelScope."""


def main() -> None:
    """Convert the file given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.campplus", description=__doc__)
    parser.add_argument("--from", dest="published", type=Path, required=True, help="campplus_cn_en_common.pt")
    parser.add_argument("--to", type=Path, default=Path("checkpoints/starter/speaker"))
    options = parser.parse_args()
    check_digest(options.published, CheckpointFile(options.published.name, PUBLISHED_SHA256))
    options.to.mkdir(parents=True, exist_ok=True)
    convert(options.published, options.to, CamPlusPlusArchitecture())


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

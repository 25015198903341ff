"""``python -m training.starter.segmentation``: convert the published segmentation to the starter checkpoint.

The published file is a pickle of tensors and a few records, which is read without running any code in it. The
checkpoint has the same names and values. The clustering parameters are those of
`training.starter.diarization_figures`.
"""

from functools import partial
from pathlib import Path

from config.checkpoint_types import (
    CamPlusPlusDiarizationArchitecture,
    CheckpointFile,
    SegmentationArchitecture,
)
from config.checkpoints import SEGMENTATION_SHA256
from pipelines.checkpoints import load_state
from pipelines.diarization import build_segmentation
from pipelines.diarization.networks import load_lightning
from training.layouts.campplus_diarization import save_segmentation
from training.starter.published import convert_published


def main() -> None:
    """Convert the file given on the command line."""
    published = CheckpointFile("pytorch_model.bin", SEGMENTATION_SHA256)
    of_starter = partial(convert, architecture=CamPlusPlusDiarizationArchitecture())
    convert_published(of_starter, published, "diarization", __doc__)


def convert(published: Path, to: Path, architecture: SegmentationArchitecture) -> None:
    """Check that the tensors fit the architecture, and write the checkpoint.

    Args:
        published: A checkpoint of pyannote's segmentation.
        to: Output folder, which must exist.
        architecture: Sizes that the tensors must have.

    Raises:
        CheckpointError: The file contains other classes than pyannote's records, or its tensors do not fit.
    """
    tensors = load_lightning(published)
    load_state(build_segmentation(architecture), tensors, published.name)
    save_segmentation(tensors, to)


if __name__ == "__main__":
    main()

"""Build the two networks from the typed architecture and load their tensors with an allow-listed unpickler.

Replaces `pyannote.audio.core.model.Model.from_pretrained`, which unpickles without restrictions and imports
the class that a checkpoint names.
"""

from pathlib import Path

from torch import Tensor, nn
from torch.torch_version import TorchVersion

from config.checkpoint_types import DiarizationArchitecture, SegmentationArchitecture
from pipelines.checkpoints import load_data
from pipelines.vendored.pyannote import (
    BasicBlock,
    Problem,
    PyanNet,
    ResNet,
    Resolution,
    Specifications,
    WeSpeakerResNet34,
)
from voxgraph.errors import CheckpointError

SAFE_CLASSES = [Problem, Resolution, Specifications, TorchVersion]
"""Classes in pyannote's checkpoints besides tensors: enumerations and one record."""

N_MELS = 80
RESNET34_BLOCKS = [3, 4, 6, 3]


def build_segmentation(architecture: SegmentationArchitecture) -> PyanNet:
    """Build the powerset segmentation network, with random weights."""
    network = PyanNet(
        sincnet={"stride": architecture.sincnet_stride},
        lstm={
            "hidden_size": architecture.lstm_hidden_size,
            "num_layers": architecture.lstm_layers,
            "bidirectional": True,
            "monolithic": True,
            "dropout": 0.0,
        },
        linear={"hidden_size": architecture.linear_hidden_size, "num_layers": architecture.linear_layers},
    )
    network.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=architecture.chunk_s,
        min_duration=None,
        warm_up=(0.0, 0.0),
        classes=[f"speaker#{number + 1}" for number in range(architecture.max_speakers_per_chunk)],
        powerset_max_classes=architecture.max_speakers_per_frame,
        permutation_invariant=True,
    )
    network.build()
    return network.eval().requires_grad_(False)


def build_embedding(architecture: DiarizationArchitecture) -> WeSpeakerResNet34:
    """Build the speaker embedding network, with random weights."""
    network = WeSpeakerResNet34()
    network.resnet = ResNet(
        BasicBlock,
        RESNET34_BLOCKS,
        m_channels=architecture.resnet_m_channels,
        feat_dim=N_MELS,
        embed_dim=architecture.embedding_dim,
        pooling_func="TSTP",
        two_emb_layer=False,
    )
    network.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0
    )
    return network.eval().requires_grad_(False)


def load_lightning(path: Path) -> dict[str, Tensor]:
    """Load the state dict of a pyannote checkpoint without executing code.

    Raises:
        CheckpointError: The file holds other classes than `SAFE_CLASSES`, or no state dict.
    """
    checkpoint = load_data(path, SAFE_CLASSES)
    tensors = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path.parent.name}/{path.name} has no state_dict of tensors.")
    return tensors


class ResNetFrames(nn.Module):
    """Run the convolutions of WeSpeaker's ResNet, without pooling."""

    def __init__(self, resnet: ResNet) -> None:
        super().__init__()
        self.resnet = resnet

    def forward(self, fbank: Tensor) -> Tensor:
        """Map (batch, frames, mels) to (batch, channels, mels / 8, frames / 8)."""
        frames: Tensor = self.resnet.forward_frames(fbank)
        return frames

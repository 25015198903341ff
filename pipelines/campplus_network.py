"""CAM++ (https://arxiv.org/abs/2303.00332) as 3D-Speaker publishes it, with exact results in padded batches.

The modules have the names of the published state dict. The published forward pass takes clips of one length;
this one takes the length of each. Beyond the end of a clip every convolution reads zeros, as beyond the end
of a tensor, and every mean is over the clip's own frames. The forward pass consists of tensor operations
only, so that a trace is valid for every shape.

Arrays of the time-delay part are (batch, channels, 1, time): OpenVINO copies three-dimensional arrays between
two memory orders, see `pipelines.ecapa_network`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from config.checkpoint_types import CamPlusPlusArchitecture

MIN_FRAMES = 3
"""The shortest clip that leaves two frames after the stride of 2, as the standard deviation needs."""
SEGMENT_FRAMES = 100
"""Frames of 20 ms that share a context, besides the context of the whole clip; 3D-Speaker's value."""
FREQUENCY_STRIDE = 8
"""Product of the three strides of 2 between the mel bands and the time-delay part."""


class CamPlusPlusNetwork(nn.Module):
    """Maps log-mel energies to an embedding.

    Args:
        architecture: Sizes of the network; its weights are random.
    """

    def __init__(self, architecture: CamPlusPlusArchitecture) -> None:
        super().__init__()
        self.head = FrequencyHead(architecture.head_channels)
        channels = architecture.head_channels * (architecture.n_mels // FREQUENCY_STRIDE)
        layers: dict[str, nn.Module] = {"tdnn": TimeDelay(channels, architecture.init_channels)}
        channels = architecture.init_channels
        blocks = zip(architecture.block_layers, architecture.dilations, strict=True)
        for number, (n_layers, dilation) in enumerate(blocks, start=1):
            layers[f"block{number}"] = DenseBlock(n_layers, channels, dilation, architecture)
            channels += n_layers * architecture.growth_rate
            layers[f"transit{number}"] = Transit(channels, channels // 2)
            channels //= 2
        layers["out_nonlinear"] = NormRelu(channels)
        layers["dense"] = Projection(2 * channels, architecture.embedding_dim)
        self.xvector = nn.ModuleDict(layers)

    def forward(self, features: Tensor, frames: Tensor) -> Tensor:
        """Embed padded clips.

        Args:
            features: (batch, time, n_mels); values beyond the end of a clip have no effect.
            frames: Length of each clip, (batch,), integers from `MIN_FRAMES` to `time`.

        Returns:
            (batch, embedding_dim), not normalised.
        """
        x = features.transpose(1, 2)[:, None]
        x = self.head(x, inside(frames, x.shape[3], x.dtype))
        x = x.flatten(1, 2)[:, :, None]
        *layers, projection = self.xvector.values()
        x = layers[0](x)
        clips = Clips.of((frames + 1).div(2, rounding_mode="floor"), x)
        for layer in layers[1:]:
            x = layer(x, clips) if isinstance(layer, DenseBlock) else layer(x)
        embedding: Tensor = projection(statistics(x, clips))
        return embedding


def inside(frames: Tensor, time: int, dtype: torch.dtype) -> Tensor:
    """Return 1 inside each clip and 0 beyond its end, (batch, 1, 1, time)."""
    times = torch.arange(time, device=frames.device)
    return (times < frames[:, None])[:, None, None, :].to(dtype)


class Clips(NamedTuple):
    """The ends of the clips of a batch, for arrays of (batch, channels, 1, time).

    Reciprocals, because OpenVINO rewrites divisions differently in a network that it reads from a file.
    """

    inside: Tensor
    """1 inside a clip, 0 beyond its end: (batch, 1, 1, time)."""
    frames: Tensor
    """Length of each clip, (batch, 1, 1, 1)."""
    whole: Tensor
    """`SEGMENT_FRAMES` divided by the length of each clip, (batch, 1, 1, 1)."""
    segment: Tensor
    """Index of the segment of each frame, (time,)."""
    part: Tensor
    """`SEGMENT_FRAMES` divided by the frames of each clip in each segment, (batch, 1, 1, segments)."""

    @classmethod
    def of(cls, frames: Tensor, x: Tensor) -> "Clips":
        """Build it for clips of `frames`, (batch,), padded as in `x`, (batch, channels, 1, time)."""
        times = torch.arange(x.shape[3], device=x.device)
        starts = times[::SEGMENT_FRAMES]
        # At least one frame, to avoid a division by zero; segments beyond the end are not read.
        own = (frames[:, None] - starts).clamp(1, SEGMENT_FRAMES).to(x.dtype)
        length = frames[:, None, None, None].to(x.dtype)
        return cls(
            inside(frames, x.shape[3], x.dtype),
            length,
            SEGMENT_FRAMES * length.reciprocal(),
            times.div(SEGMENT_FRAMES, rounding_mode="floor"),
            SEGMENT_FRAMES * own.reciprocal()[:, None, None, :],
        )


def convolved(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """Apply a one-dimensional convolution to (batch, channels, 1, time)."""
    return functional.conv2d(
        x,
        layer.weight.unsqueeze(2),
        layer.bias,
        (1, *layer.stride),
        (0, *layer.padding),
        (1, *layer.dilation),
    )


def normed(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Apply batch normalisation with the statistics of training."""
    return functional.batch_norm(
        x, layer.running_mean, layer.running_var, layer.weight, layer.bias, training=False, eps=layer.eps
    )


def statistics(x: Tensor, clips: Clips) -> Tensor:
    """Return mean and unbiased standard deviation of each clip's frames, (batch, 2 * channels, 1, 1)."""
    mean = (x * clips.inside).sum(dim=3, keepdim=True) * clips.frames.reciprocal()
    squares = ((x - mean) * clips.inside).square().sum(dim=3, keepdim=True)
    return torch.cat((mean, (squares * (clips.frames - 1).reciprocal()).sqrt()), dim=1)


class NormRelu(nn.Module):
    """Batch normalisation and rectifier."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape, (batch, channels, 1, time)."""
        return functional.relu(normed(self.batchnorm, x))


class FrequencyHead(nn.Module):
    """Residual convolutions over frequency and time; they keep the frames and divide the bands by 8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.ModuleList([Residual(channels, stride=2), Residual(channels, stride=1)])
        self.layer2 = nn.ModuleList([Residual(channels, stride=2), Residual(channels, stride=1)])
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """Map (batch, 1, n_mels, time) to (batch, channels, n_mels / 8, time), zero beyond each end."""
        x = functional.relu(normed(self.bn1, self.conv1(x * inside))) * inside
        for block in (*self.layer1, *self.layer2):
            x = block(x, inside)
        return functional.relu(normed(self.bn2, self.conv2(x))) * inside


class Residual(nn.Module):
    """Two convolutions of 3 x 3 with a shortcut; the stride is over frequency."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.ModuleList()
        if stride != 1:
            strided = nn.Conv2d(channels, channels, 1, stride=(stride, 1), bias=False)
            self.shortcut.extend([strided, nn.BatchNorm2d(channels)])

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """Map (batch, channels, bands, time), zero beyond each end, to the same with strided bands."""
        y = functional.relu(normed(self.bn1, self.conv1(x))) * inside
        y = normed(self.bn2, self.conv2(y))
        if len(self.shortcut):
            convolution, norm = self.shortcut
            assert isinstance(norm, nn.BatchNorm2d)
            x = normed(norm, convolution(x))
        return functional.relu(y + x) * inside


class TimeDelay(nn.Module):
    """The first convolution over time only, which halves the frame rate."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, out_channels, 5, stride=2, padding=2, bias=False)
        self.nonlinear = NormRelu(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, 1, time) to (batch, out_channels, 1, (time + 1) / 2)."""
        y: Tensor = self.nonlinear(convolved(self.linear, x))
        return y


class DenseBlock(nn.ModuleDict):
    """Layers, each of which reads the input and the outputs of all layers before it."""

    def __init__(
        self, n_layers: int, channels: int, dilation: int, architecture: CamPlusPlusArchitecture
    ) -> None:
        growth = architecture.growth_rate
        super().__init__(
            {
                f"tdnnd{number + 1}": DenseLayer(channels + number * growth, dilation, architecture)
                for number in range(n_layers)
            }
        )

    def forward(self, x: Tensor, clips: Clips) -> Tensor:
        """Append the outputs of the layers to the channels of (batch, channels, 1, time)."""
        for layer in self.values():
            x = torch.cat((x, layer(x, clips)), dim=1)
        return x


class DenseLayer(nn.Module):
    """A narrow projection and a convolution gated by its context."""

    def __init__(self, channels: int, dilation: int, architecture: CamPlusPlusArchitecture) -> None:
        super().__init__()
        narrow = architecture.bottleneck * architecture.growth_rate
        self.nonlinear1 = NormRelu(channels)
        self.linear1 = nn.Conv1d(channels, narrow, 1, bias=False)
        self.nonlinear2 = NormRelu(narrow)
        self.cam_layer = ContextGate(narrow, architecture.growth_rate, dilation)

    def forward(self, x: Tensor, clips: Clips) -> Tensor:
        """Map (batch, channels, 1, time) to (batch, growth_rate, 1, time)."""
        y = self.nonlinear2(convolved(self.linear1, self.nonlinear1(x))) * clips.inside
        gated: Tensor = self.cam_layer(y, clips)
        return gated


class ContextGate(nn.Module):
    """Context-aware masking: a convolution multiplied by a factor for each segment and channel.

    The factor depends on the mean of the clip and on the mean of the segment. It is computed once for
    each segment; the published network computes it for each frame.
    """

    def __init__(self, channels: int, out_channels: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(
            channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.linear1 = nn.Conv1d(channels, channels // 2, 1)
        self.linear2 = nn.Conv1d(channels // 2, out_channels, 1)

    def forward(self, x: Tensor, clips: Clips) -> Tensor:
        """Map (batch, channels, 1, time), zero beyond each end, to (batch, out_channels, 1, time)."""
        # Zeros fill the last segment: without them OpenVINO pools nothing from a clip shorter than a segment.
        padded = functional.pad(x, (0, SEGMENT_FRAMES - 1))
        means = functional.avg_pool2d(padded, (1, SEGMENT_FRAMES))
        context = means.sum(dim=3, keepdim=True) * clips.whole + means * clips.part
        context = functional.relu(convolved(self.linear1, context))
        gates = torch.sigmoid(convolved(self.linear2, context))
        return convolved(self.linear_local, x) * gates.index_select(3, clips.segment)


class Transit(nn.Module):
    """A layer that halves the channels."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.nonlinear = NormRelu(channels)
        self.linear = nn.Conv1d(channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, 1, time) to (batch, out_channels, 1, time)."""
        return convolved(self.linear, self.nonlinear(x))


class Projection(nn.Module):
    """The layer of the embedding: linear and batch-normalised, without a rectifier."""

    def __init__(self, channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, embedding_dim, 1, bias=False)
        self.nonlinear = nn.ModuleDict({"batchnorm": nn.BatchNorm1d(embedding_dim, affine=False)})

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, 1, 1) to (batch, embedding_dim)."""
        norm = self.nonlinear["batchnorm"]
        assert isinstance(norm, nn.BatchNorm1d)
        return normed(norm, convolved(self.linear, x))[:, :, 0, 0]

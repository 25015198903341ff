"""ECAPA-TDNN as a function of features and lengths, over SpeechBrain's modules.

SpeechBrain's own forward pass reflects at the end of the longest clip's padding, so that a clip's
neighbours change its embedding (https://github.com/speechbrain/speechbrain/issues/1374). This one reflects
at each clip's own end; and it is tensor operations alone, so that a trace of it holds for every shape.

Arrays within are (batch, channels, 1, time): to sum three-dimensional ones over time, OpenVINO copies them
from the order that its convolutions have into another, a twentieth of all time.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.speechbrain import (
    ECAPA_TDNN,
    AttentiveStatisticsPooling,
    BatchNorm1d,
    Conv1d,
    Res2NetBlock,
    SEBlock,
    SERes2NetBlock,
    TDNNBlock,
)

MIN_FRAMES = 5
"""Reflection by 4 frames needs 5 of them."""


class EcapaNetwork(nn.Module):
    """The encoder, with each clip of a batch answered as it is alone.

    Args:
        encoder: SpeechBrain's network, whose modules and weights are used.
    """

    def __init__(self, encoder: ECAPA_TDNN) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: Tensor, frames: Tensor) -> Tensor:
        """Embed padded clips.

        Args:
            features: (batch, time, n_mels); what lies behind a clip's end has no effect.
            frames: Length of each clip, (batch,), integers from `MIN_FRAMES` to `time`.

        Returns:
            (batch, embedding_dim).
        """
        x = features.transpose(1, 2)[:, :, None, :]
        times = torch.arange(x.shape[3], device=x.device)
        inside = (times < frames[:, None])[:, None, None, :]
        share = inside / frames[:, None, None, None].to(x.dtype)  # weights of a mean over the clip
        first, *blocks = self.encoder.blocks
        x = _tdnn(first, x, frames)
        outputs = []
        for block in blocks:
            x = _se_res2net(block, x, frames, share)
            outputs.append(x)
        x = _tdnn(self.encoder.mfa, torch.cat(outputs, dim=1), frames)
        x = _normed(self.encoder.asp_bn, _pooled(self.encoder.asp, x, inside, share))
        return _convolved(self.encoder.fc, x)[:, :, 0, 0]


def reflected(x: Tensor, frames: Tensor, width: int) -> Tensor:
    """Pad (batch, channels, 1, time) by `width` on both sides, reflecting at each clip's own end."""
    if width == 0:
        return x
    x = functional.pad(x, (width, width, 0, 0), mode="reflect")
    steps = torch.arange(1, width + 1, device=x.device)
    last = frames[:, None] - 1 + width
    before = (last - steps)[:, None, None, :].expand(-1, x.shape[1], -1, -1)
    behind = (last + steps)[:, None, None, :].expand(-1, x.shape[1], -1, -1)
    return x.scatter(3, behind, x.gather(3, before))


def _convolved(block: Conv1d, x: Tensor) -> Tensor:
    """Without its padding."""
    convolution = block.conv
    return functional.conv2d(
        x, convolution.weight.unsqueeze(2), convolution.bias, dilation=(1, *convolution.dilation)
    )


def _normed(block: BatchNorm1d, x: Tensor) -> Tensor:
    norm = block.norm
    return functional.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
    )


def _tdnn(block: TDNNBlock, x: Tensor, frames: Tensor) -> Tensor:
    width = block.conv.dilation * (block.conv.kernel_size - 1) // 2
    return _normed(block.norm, block.activation(_convolved(block.conv, reflected(x, frames, width))))


def _se_res2net(block: SERes2NetBlock, x: Tensor, frames: Tensor, share: Tensor) -> Tensor:
    y = _res2net(block.res2net_block, _tdnn(block.tdnn1, x, frames), frames)
    y = _tdnn(block.tdnn2, y, frames)
    residual = x if block.shortcut is None else _convolved(block.shortcut, x)
    return _gates(block.se_block, y, share) * y + residual


def _res2net(block: Res2NetBlock, x: Tensor, frames: Tensor) -> Tensor:
    first, *parts = x.chunk(block.scale, dim=1)
    outputs = [first]
    for tdnn, part in zip(block.blocks, parts, strict=True):
        outputs.append(_tdnn(tdnn, part + outputs[-1] if len(outputs) > 1 else part, frames))
    return torch.cat(outputs, dim=1)


def _gates(block: SEBlock, x: Tensor, share: Tensor) -> Tensor:
    """Squeeze and excitation: a factor per channel, (batch, channels, 1, 1)."""
    mean = (x * share).sum(dim=3, keepdim=True)
    return torch.sigmoid(_convolved(block.conv2, functional.relu(_convolved(block.conv1, mean))))


def _pooled(pooling: AttentiveStatisticsPooling, x: Tensor, inside: Tensor, share: Tensor) -> Tensor:
    """Attentive mean and deviation, (batch, 2 * channels, 1, 1).

    The attention's first convolution sees every frame beside the clip's mean and deviation. These are the
    same at every frame, so their share of its sum is computed once a clip.
    """
    convolution = pooling.tdnn.conv.conv
    weight, channels = convolution.weight.unsqueeze(2), x.shape[1]
    whole = torch.cat(_statistics(x, share, pooling.eps), dim=1)
    attention = functional.conv2d(x, weight[:, :channels]) + functional.conv2d(
        whole, weight[:, channels:], convolution.bias
    )
    attention = torch.tanh(_normed(pooling.tdnn.norm, pooling.tdnn.activation(attention)))
    scores = _convolved(pooling.conv, attention).masked_fill(~inside, float("-inf"))
    return torch.cat(_statistics(x, scores.softmax(dim=3), pooling.eps), dim=1)


def _statistics(x: Tensor, weights: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation over time, each (batch, channels, 1, 1)."""
    mean = (weights * x).sum(dim=3, keepdim=True)
    variance = (weights * (x - mean).square()).sum(dim=3, keepdim=True)
    return mean, variance.clamp(floor).sqrt()

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

from pipelines.vendored.speechbrain import (
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
OUTSIDE = -3e4
"""A score that no weight is left of, and that float16 holds; scores are sums of some hundred weights."""


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
        inside = (times < frames[:, None])[:, None, None, :].to(x.dtype)
        first, *blocks = self.encoder.blocks
        x = _tdnn(first, x, frames)
        outputs = []
        for block in blocks:
            x = _se_res2net(block, x, frames, inside)
            outputs.append(x)
        x = _tdnn(self.encoder.mfa, torch.cat(outputs, dim=1), frames)
        x = _normed(self.encoder.asp_bn, _pooled(self.encoder.asp, x, inside))
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


def _se_res2net(block: SERes2NetBlock, x: Tensor, frames: Tensor, inside: Tensor) -> Tensor:
    y = _res2net(block.res2net_block, _tdnn(block.tdnn1, x, frames), frames)
    y = _tdnn(block.tdnn2, y, frames)
    residual = x if block.shortcut is None else _convolved(block.shortcut, x)
    return _gates(block.se_block, y, inside) * y + residual


def _res2net(block: Res2NetBlock, x: Tensor, frames: Tensor) -> Tensor:
    first, *parts = x.chunk(block.scale, dim=1)
    outputs = [first]
    for tdnn, part in zip(block.blocks, parts, strict=True):
        outputs.append(_tdnn(tdnn, part + outputs[-1] if len(outputs) > 1 else part, frames))
    return torch.cat(outputs, dim=1)


def _gates(block: SEBlock, x: Tensor, inside: Tensor) -> Tensor:
    """Squeeze and excitation: a factor per channel, (batch, channels, 1, 1)."""
    mean = _mean(x, inside)
    return torch.sigmoid(_convolved(block.conv2, functional.relu(_convolved(block.conv1, mean))))


def _pooled(pooling: AttentiveStatisticsPooling, x: Tensor, inside: Tensor) -> Tensor:
    """Attentive mean and deviation, (batch, 2 * channels, 1, 1).

    The attention's first convolution sees every frame beside the clip's mean and deviation. These are the
    same at every frame, so their share of its sum is computed once a clip.
    """
    convolution = pooling.tdnn.conv.conv
    weight, channels = convolution.weight.unsqueeze(2), x.shape[1]
    whole = torch.cat(_statistics(x, inside, pooling.eps), dim=1)
    attention = functional.conv2d(x, weight[:, :channels]) + functional.conv2d(
        whole, weight[:, channels:], convolution.bias
    )
    attention = torch.tanh(_normed(pooling.tdnn.norm, pooling.tdnn.activation(attention)))
    scores = _scores(pooling.conv, attention, inside)
    # A softmax written out: OpenVINO's own takes the order of arrays that convolutions do not have.
    weights = torch.exp(scores - scores.amax(dim=3, keepdim=True))
    return torch.cat(_statistics(x, weights, pooling.eps), dim=1)


def _scores(block: Conv1d, attention: Tensor, inside: Tensor) -> Tensor:
    """Of each frame in each channel; `OUTSIDE` is added to those behind a clip's end.

    That is one more channel of the convolution: to mask its output is a pass over 3072 channels.
    """
    weight = functional.pad(block.conv.weight, (0, 0, 0, 1), value=OUTSIDE)
    return functional.conv2d(torch.cat((attention, 1 - inside), dim=1), weight.unsqueeze(2), block.conv.bias)


def _statistics(x: Tensor, weights: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation over time, each (batch, channels, 1, 1)."""
    mean = _mean(x, weights)
    return mean, _mean((x - mean).square(), weights).clamp(floor).sqrt()


def _mean(x: Tensor, weights: Tensor) -> Tensor:
    """Over time, (batch, channels, 1, 1); the weights need not sum to one."""
    # Times, not over: OpenVINO rewrites a division in another way where it has read the network from a file.
    return (weights * x).sum(dim=3, keepdim=True) * weights.sum(dim=3, keepdim=True).reciprocal()

"""ECAPA-TDNN as a function of features and lengths, over SpeechBrain's modules.

SpeechBrain's own forward pass reflects at the end of the longest clip's padding, so that a clip's
neighbours change its embedding (https://github.com/speechbrain/speechbrain/issues/1374). This one reflects
at each clip's own end; and it is tensor operations alone, so that a trace of it holds for every shape.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.speechbrain import (
    ECAPA_TDNN,
    AttentiveStatisticsPooling,
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
        x = features.transpose(1, 2)  # (batch, channels, time) from here on
        inside = (torch.arange(x.shape[2], device=x.device) < frames[:, None])[:, None, :]
        share = inside / frames[:, None, None].to(x.dtype)  # weights of a mean over the clip
        first, *blocks = self.encoder.blocks
        x = _tdnn(first, x, frames)
        outputs = []
        for block in blocks:
            x = _se_res2net(block, x, frames, share)
            outputs.append(x)
        x = _tdnn(self.encoder.mfa, torch.cat(outputs, dim=1), frames)
        x = self.encoder.asp_bn.norm(_pooled(self.encoder.asp, x, inside, share))
        embeddings: Tensor = self.encoder.fc.conv(x)
        return embeddings[:, :, 0]


def reflected(x: Tensor, frames: Tensor, width: int) -> Tensor:
    """Pad (batch, channels, time) by `width` on both sides, reflecting at each clip's own end."""
    if width == 0:
        return x
    x = functional.pad(x, (width, width), mode="reflect")
    steps = torch.arange(1, width + 1, device=x.device)
    last = frames[:, None] - 1 + width
    before = (last - steps)[:, None, :].expand(-1, x.shape[1], -1)
    behind = (last + steps)[:, None, :].expand(-1, x.shape[1], -1)
    return x.scatter(2, behind, x.gather(2, before))


def _tdnn(block: TDNNBlock, x: Tensor, frames: Tensor) -> Tensor:
    width = block.conv.dilation * (block.conv.kernel_size - 1) // 2
    convolved = block.conv.conv(reflected(x, frames, width))
    output: Tensor = block.norm.norm(block.activation(convolved))
    return output


def _se_res2net(block: SERes2NetBlock, x: Tensor, frames: Tensor, share: Tensor) -> Tensor:
    y = _res2net(block.res2net_block, _tdnn(block.tdnn1, x, frames), frames)
    y = _tdnn(block.tdnn2, y, frames)
    residual = x if block.shortcut is None else block.shortcut.conv(x)
    return _gates(block.se_block, y, share) * y + residual


def _res2net(block: Res2NetBlock, x: Tensor, frames: Tensor) -> Tensor:
    first, *parts = x.chunk(block.scale, dim=1)
    outputs = [first]
    for tdnn, part in zip(block.blocks, parts, strict=True):
        outputs.append(_tdnn(tdnn, part + outputs[-1] if len(outputs) > 1 else part, frames))
    return torch.cat(outputs, dim=1)


def _gates(block: SEBlock, x: Tensor, share: Tensor) -> Tensor:
    """Squeeze and excitation: a factor per channel, (batch, channels, 1)."""
    mean = (x * share).sum(dim=2, keepdim=True)
    return torch.sigmoid(block.conv2.conv(functional.relu(block.conv1.conv(mean))))


def _pooled(pooling: AttentiveStatisticsPooling, x: Tensor, inside: Tensor, share: Tensor) -> Tensor:
    """Attentive mean and deviation, (batch, 2 * channels, 1).

    The attention's first convolution sees every frame beside the clip's mean and deviation. These are the
    same at every frame, so their share of its sum is computed once a clip.
    """
    convolution = pooling.tdnn.conv.conv
    weight, channels = convolution.weight, x.shape[1]
    whole = torch.cat(_statistics(x, share, pooling.eps), dim=1)
    attention = functional.conv1d(x, weight[:, :channels]) + functional.conv1d(
        whole, weight[:, channels:], convolution.bias
    )
    attention = torch.tanh(pooling.tdnn.norm.norm(pooling.tdnn.activation(attention)))
    scores = pooling.conv.conv(attention).masked_fill(~inside, float("-inf"))
    return torch.cat(_statistics(x, scores.softmax(dim=2), pooling.eps), dim=1)


def _statistics(x: Tensor, weights: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation over time, each (batch, channels, 1)."""
    mean = (weights * x).sum(dim=2, keepdim=True)
    variance = (weights * (x - mean).square()).sum(dim=2, keepdim=True)
    return mean, variance.clamp(floor).sqrt()

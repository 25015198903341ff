"""Compute ECAPA-TDNN from features and lengths with SpeechBrain's modules and weights.

SpeechBrain's own forward pass applies reflection padding at the end of the padded batch, so that other clips
change an embedding (https://github.com/speechbrain/speechbrain/issues/1374). This one reflects at the end of
each clip. It uses only tensor operations, so that one trace is valid for every shape.

Tensors here are (batch, channels, 1, time): OpenVINO would copy three-dimensional ones into another memory
layout to sum over time, which takes 5 % of the run time.
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
"""Shortest clip in frames: the widest reflection padding, 4 frames, needs 5."""
MASKED_SCORE = -3e4
"""Offset of attention scores behind a clip's end, whose softmax weight becomes 0; float16 can hold it.
Other scores are sums of a few hundred weights."""


class EcapaNetwork(nn.Module):
    """Embed each clip of a batch as if it were alone.

    Args:
        encoder: SpeechBrain's network, which provides the modules and weights.
    """

    def __init__(self, encoder: ECAPA_TDNN) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: Tensor, frames: Tensor) -> Tensor:
        """Embed padded clips.

        Args:
            features: (batch, time, n_mels); values behind a clip's end have no effect.
            frames: Length of each clip in frames, (batch,), integers from `MIN_FRAMES` to `time`.

        Returns:
            (batch, embedding_dim).
        """
        x = features.transpose(1, 2)[:, :, None, :]
        times = torch.arange(x.shape[3], device=x.device)
        mask = (times < frames[:, None])[:, None, None, :].to(x.dtype)
        first, *blocks = self.encoder.blocks
        x = _tdnn(first, x, frames)
        outputs = []
        for block in blocks:
            x = _se_res2net(block, x, frames, mask)
            outputs.append(x)
        x = _tdnn(self.encoder.mfa, torch.cat(outputs, dim=1), frames)
        x = _batch_norm(self.encoder.asp_bn, _attentive_pooling(self.encoder.asp, x, mask))
        return _conv(self.encoder.fc, x)[:, :, 0, 0]


def reflect_pad(x: Tensor, frames: Tensor, width: int) -> Tensor:
    """Pad (batch, channels, 1, time) by `width` on both sides, reflecting at each clip's own end."""
    if width == 0:
        return x
    x = functional.pad(x, (width, width, 0, 0), mode="reflect")
    steps = torch.arange(1, width + 1, device=x.device)
    last = frames[:, None] - 1 + width
    before = (last - steps)[:, None, None, :].expand(-1, x.shape[1], -1, -1)
    behind = (last + steps)[:, None, None, :].expand(-1, x.shape[1], -1, -1)
    return x.scatter(3, behind, x.gather(3, before))


def _conv(block: Conv1d, x: Tensor) -> Tensor:
    """Apply a convolution without its padding."""
    convolution = block.conv
    return functional.conv2d(
        x, convolution.weight.unsqueeze(2), convolution.bias, dilation=(1, *convolution.dilation)
    )


def _batch_norm(block: BatchNorm1d, x: Tensor) -> Tensor:
    norm = block.norm
    return functional.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
    )


def _tdnn(block: TDNNBlock, x: Tensor, frames: Tensor) -> Tensor:
    width = block.conv.dilation * (block.conv.kernel_size - 1) // 2
    return _batch_norm(block.norm, block.activation(_conv(block.conv, reflect_pad(x, frames, width))))


def _se_res2net(block: SERes2NetBlock, x: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
    y = _res2net(block.res2net_block, _tdnn(block.tdnn1, x, frames), frames)
    y = _tdnn(block.tdnn2, y, frames)
    residual = x if block.shortcut is None else _conv(block.shortcut, x)
    return _channel_gates(block.se_block, y, mask) * y + residual


def _res2net(block: Res2NetBlock, x: Tensor, frames: Tensor) -> Tensor:
    first, *parts = x.chunk(block.scale, dim=1)
    outputs = [first]
    for tdnn, part in zip(block.blocks, parts, strict=True):
        outputs.append(_tdnn(tdnn, part + outputs[-1] if len(outputs) > 1 else part, frames))
    return torch.cat(outputs, dim=1)


def _channel_gates(block: SEBlock, x: Tensor, mask: Tensor) -> Tensor:
    """Compute the squeeze-and-excitation factor of each channel, (batch, channels, 1, 1)."""
    mean = _mean(x, mask)
    return torch.sigmoid(_conv(block.conv2, functional.relu(_conv(block.conv1, mean))))


def _attentive_pooling(pooling: AttentiveStatisticsPooling, x: Tensor, mask: Tensor) -> Tensor:
    """Pool the attentive mean and standard deviation, (batch, 2 * channels, 1, 1).

    The first attention convolution takes each frame together with the clip's mean and standard deviation,
    which are the same for all frames, so their part of the sum is computed once per clip.
    """
    convolution = pooling.tdnn.conv.conv
    weight, channels = convolution.weight.unsqueeze(2), x.shape[1]
    context = torch.cat(_statistics(x, mask, pooling.eps), dim=1)
    attention = functional.conv2d(x, weight[:, :channels]) + functional.conv2d(
        context, weight[:, channels:], convolution.bias
    )
    attention = torch.tanh(_batch_norm(pooling.tdnn.norm, pooling.tdnn.activation(attention)))
    scores = _scores(pooling.conv, attention, mask)
    # Written out because OpenVINO's softmax needs another memory layout than its convolutions.
    weights = torch.exp(scores - scores.amax(dim=3, keepdim=True))
    return torch.cat(_statistics(x, weights, pooling.eps), dim=1)


def _scores(block: Conv1d, attention: Tensor, mask: Tensor) -> Tensor:
    """Compute the attention scores, with `MASKED_SCORE` added to the frames behind a clip's end.

    The mask is one more input channel: masking the output would be a pass over 3072 channels.
    """
    weight = functional.pad(block.conv.weight, (0, 0, 0, 1), value=MASKED_SCORE)
    return functional.conv2d(torch.cat((attention, 1 - mask), dim=1), weight.unsqueeze(2), block.conv.bias)


def _statistics(x: Tensor, weights: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Return the weighted mean and standard deviation over time, each (batch, channels, 1, 1)."""
    mean = _mean(x, weights)
    return mean, _mean((x - mean).square(), weights).clamp(floor).sqrt()


def _mean(x: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean over time, (batch, channels, 1, 1); the weights need not sum to one."""
    # Multiply by the reciprocal: OpenVINO rewrites a division differently in a network read from a file.
    return (weights * x).sum(dim=3, keepdim=True) * weights.sum(dim=3, keepdim=True).reciprocal()

"""CAM++ as it is published, one clip at a time: the reference of `pipelines.campplus_network`.

Written from the paper (https://arxiv.org/abs/2303.00332) and the layout of the published state dict: plain
one- and two-dimensional layers, a context that is pooled anew for every frame, no lengths and no masks.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from config.checkpoint_types import CamPlusPlusArchitecture

SEGMENT = 100


class PublishedCamPlusPlus(nn.Module):
    """From (1, frames, n_mels) to (1, embedding_dim)."""

    def __init__(self, sizes: CamPlusPlusArchitecture) -> None:
        super().__init__()
        self.head = Head(sizes.head_channels)
        channels = sizes.head_channels * sizes.n_mels // 8
        layers: OrderedDict[str, nn.Module] = OrderedDict(tdnn=Delay(channels, sizes.init_channels))
        channels = sizes.init_channels
        for number, (layers_of_block, dilation) in enumerate(
            zip(sizes.block_layers, sizes.dilations, strict=True), start=1
        ):
            layers[f"block{number}"] = Block(channels, layers_of_block, dilation, sizes)
            channels += layers_of_block * sizes.growth_rate
            layers[f"transit{number}"] = Transit(channels)
            channels //= 2
        layers["out_nonlinear"] = norm_relu(channels)
        layers["stats"] = Statistics()
        layers["dense"] = Dense(2 * channels, sizes.embedding_dim)
        self.xvector = nn.Sequential(layers)

    def forward(self, features: Tensor) -> Tensor:
        embedding: Tensor = self.xvector(self.head(features.transpose(1, 2)))
        return embedding


def norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU()))


class Head(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(Residual(channels, 2), Residual(channels, 1))
        self.layer2 = nn.Sequential(Residual(channels, 2), Residual(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x.unsqueeze(1))))
        x = self.layer2(self.layer1(x))
        x = functional.relu(self.bn2(self.conv2(x)))
        return x.reshape(x.shape[0], -1, x.shape[3])


class Residual(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            convolution = nn.Conv2d(channels, channels, 1, stride=(stride, 1), bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Delay(nn.Module):
    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, out_channels, 5, stride=2, padding=2, bias=False)
        self.nonlinear = norm_relu(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinear(self.linear(x))
        return y


class Block(nn.Module):
    def __init__(self, channels: int, n_layers: int, dilation: int, sizes: CamPlusPlusArchitecture) -> None:
        super().__init__()
        for number in range(n_layers):
            layer = Layer(channels + number * sizes.growth_rate, dilation, sizes)
            self.add_module(f"tdnnd{number + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class Layer(nn.Module):
    def __init__(self, channels: int, dilation: int, sizes: CamPlusPlusArchitecture) -> None:
        super().__init__()
        narrow = sizes.bottleneck * sizes.growth_rate
        self.nonlinear1 = norm_relu(channels)
        self.linear1 = nn.Conv1d(channels, narrow, 1, bias=False)
        self.nonlinear2 = norm_relu(narrow)
        self.cam_layer = Mask(narrow, sizes.growth_rate, dilation)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))
        return y


class Mask(nn.Module):
    def __init__(self, channels: int, out_channels: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(
            channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.linear1 = nn.Conv1d(channels, channels // 2, 1)
        self.linear2 = nn.Conv1d(channels // 2, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        segments = [part.mean(dim=2, keepdim=True).expand_as(part) for part in x.split(SEGMENT, dim=2)]
        context = x.mean(dim=2, keepdim=True) + torch.cat(segments, dim=2)
        mask = torch.sigmoid(self.linear2(functional.relu(self.linear1(context))))
        masked: Tensor = self.linear_local(x) * mask
        return masked


class Transit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = norm_relu(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(self.nonlinear(x))
        return y


class Statistics(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(dim=2), x.std(dim=2)], dim=1)


class Dense(nn.Module):
    def __init__(self, channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, embedding_dim, 1, bias=False)
        self.nonlinear = nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(embedding_dim, affine=False)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinear(self.linear(x.unsqueeze(2)).squeeze(2))
        return y

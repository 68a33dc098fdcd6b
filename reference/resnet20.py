"""ResNet-20 for CIFAR-10 (He et al., "Deep Residual Learning for Image Recognition", section 4.2). Provided.

With ``Nbits`` set, the residual blocks are built from the quantized layers of ``FP_layers.py``; the first
convolution and the last linear layer always stay in floating point. Without it nothing of ``FP_layers.py`` is
needed, so Lab 2 works before Lab 3 is written.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ResNetCIFAR"]


class FloatConv(nn.Module):
    """A convolution in floating point, under the parameter names of ``FP_Conv``."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, **options: int | bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class FloatLinear(nn.Module):
    """A linear layer in floating point, under the parameter names of ``FP_Linear``."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, Nbits: int | None, symmetric: bool
) -> list[nn.Module]:
    """A bias-free convolution that keeps the size (up to ``stride``), and its BatchNorm."""
    shape = (in_channels, out_channels, kernel_size)
    options = {"stride": stride, "padding": kernel_size // 2, "bias": False}
    if Nbits is None:
        return [FloatConv(*shape, **options), nn.BatchNorm2d(out_channels)]
    from FP_layers import FP_Conv  # only a quantized network needs your layers

    if symmetric:  # passed on only when set: FP_layers.py files without the bonus lack the parameter
        options["symmetric"] = True
    return [FP_Conv(*shape, Nbits=Nbits, **options), nn.BatchNorm2d(out_channels)]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, Nbits: int | None, symmetric: bool) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*conv_bn(in_channels, out_channels, 3, stride, Nbits, symmetric), nn.ReLU())
        self.conv2 = nn.Sequential(*conv_bn(out_channels, out_channels, 3, 1, Nbits, symmetric))
        self.id_mapping: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.id_mapping = nn.Sequential(*conv_bn(in_channels, out_channels, 1, stride, Nbits, symmetric))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.id_mapping is None else self.id_mapping(x)
        return F.relu(self.conv2(self.conv1(x)) + shortcut)


class ResNetCIFAR(nn.Module):
    """A ResNet of ``num_layers = 6 n + 2`` layers: one convolution, 3 stages of n blocks, one linear layer.

    Args:
        num_layers: depth; 20 is the network of the assignment.
        Nbits: bits per weight of the residual blocks; None means floating point.
        symmetric: whether those weights are quantized symmetrically around zero.
        width: channels of the first stage; the later two have twice and four times as many.

    The input has shape (N, 3, H, W), the output (logits) shape (N, 10).

    Raises:
        ValueError: ``num_layers`` is not of the form 6 n + 2.
    """

    def __init__(
        self, num_layers: int = 20, Nbits: int | None = None, symmetric: bool = False, width: int = 16
    ) -> None:
        super().__init__()
        blocks_per_stage, rest = divmod(num_layers - 2, 6)
        if rest or blocks_per_stage < 1:
            raise ValueError(f"num_layers is {num_layers}, but must be 6 n + 2: 8, 14, 20, ...")
        self.head_conv = nn.Sequential(*conv_bn(3, width, 3, 1, None, False), nn.ReLU())
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(3):
            for index in range(blocks_per_stage):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(ResidualBlock(channels, width << stage, stride, Nbits, symmetric))
                channels = width << stage
        self.body_op = nn.Sequential(*blocks)
        self.final_fc = FloatLinear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = self.body_op(self.head_conv(x))
        return self.final_fc(torch.flatten(F.adaptive_avg_pool2d(features, 1), 1))

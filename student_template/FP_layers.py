"""Lab 3(a) and bonus: layers with fixed-point weights, trained through a straight-through estimator.

Fake quantization: weights are rounded to at most 2^bit evenly spaced levels but stored as floats, so that the usual
kernels compute with them. The float weight stays the parameter that is trained.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["STE", "FP_Conv", "FP_Linear"]


class STE(torch.autograd.Function):
    """Quantize in the forward pass, pass the gradient straight through in the backward pass.

    Called as ``STE.apply(w, bit)`` or ``STE.apply(w, bit, symmetric)``.
    """

    @staticmethod
    def forward(ctx: Any, w: Tensor, bit: int | None, symmetric: bool = False) -> Tensor:
        """The weights w (any shape), quantized to ``bit`` bits; w itself stays as it is.

        ``bit`` None leaves w unchanged and 0 gives zeros. Otherwise, over the *non-zero* elements only (a zero is a
        pruned weight, and stays exactly zero):

        * asymmetric: with scale alpha = max - min and offset beta = min, each weight moves to the nearest of
          2^bit levels that divide [min, max] evenly, both ends included;
        * symmetric (bonus): 2^bit evenly spaced levels, symmetric around zero, the outermost at -max |w| and
          +max |w|; or 2^bit - 1 of them, with one at zero.
        """
        # YOUR CODE STARTS HERE
        raise NotImplementedError("Lab 3(a): `STE.forward` is still to be written")
        # YOUR CODE ENDS HERE

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient with respect to each argument of ``forward``; None for those that have none.

        Args:
            g: the gradient with respect to the quantized weights, of the shape of w.
        """
        # YOUR CODE STARTS HERE
        raise NotImplementedError("Lab 3(a): `STE.backward` is still to be written")
        # YOUR CODE ENDS HERE


class FP_Linear(nn.Module):
    """A linear layer that quantizes its weight to ``Nbits`` bits in every forward pass (None: not at all)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        Nbits: int | None = None,
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias)
        self.Nbits = Nbits
        self.symmetric = symmetric

    def forward(self, x: Tensor) -> Tensor:
        """The product of x (N, in_features) with the quantized ``self.linear.weight``, plus the bias as it is.
        """
        # YOUR CODE STARTS HERE
        raise NotImplementedError("Lab 3(a): `FP_Linear.forward` is still to be written")
        # YOUR CODE ENDS HERE


class FP_Conv(nn.Module):
    """A convolution that quantizes its weight to ``Nbits`` bits in every forward pass (None: not at all)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        Nbits: int | None = None,
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.Nbits = Nbits
        self.symmetric = symmetric

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x (N, in_channels, H, W) with the quantized ``self.conv.weight``, bias as it is.

        Stride, padding, dilation and groups are those of ``self.conv``.
        """
        # YOUR CODE STARTS HERE
        raise NotImplementedError("Lab 3(a): `FP_Conv.forward` is still to be written")
        # YOUR CODE ENDS HERE

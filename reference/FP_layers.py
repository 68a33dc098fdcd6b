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

        Solution:
            ws = (w - beta) / alpha lies in [0, 1]; R = round(ws (2^bit - 1)) / (2^bit - 1) has 2^bit values there;
            R alpha + beta undoes the scaling. Symmetric is the same with the range [-max |w|, max |w|].
            A single value (alpha = 0) is its own level.
        """
        # BEGIN SOLUTION 3(a)
        if bit is None:
            return w.clone()
        if bit == 0:
            return torch.zeros_like(w)
        mask = w != 0
        kept = w[mask]
        if kept.numel() == 0:
            return w.clone()
        largest = kept.abs().max()
        beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
        if top == beta:
            return w.clone()
        steps = 2**bit - 1
        ws = (w - beta) / (top - beta)
        R = torch.round(ws * steps) / steps
        wq = torch.lerp(beta, top, R)  # R alpha + beta, without its rounding error at both ends
        return wq * mask
        # END SOLUTION

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient with respect to each argument of ``forward``; None for those that have none.

        Args:
            g: the gradient with respect to the quantized weights, of the shape of w.

        Solution:
            Rounding has derivative 0 almost everywhere, which would stop all training. The estimator of Bengio et
            al. (2013) takes it as 1: the gradient passes as it is, to pruned weights too.
        """
        # BEGIN SOLUTION 3(a)
        return g, None, None
        # END SOLUTION


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

        Solution:
            Quantizing anew in every pass follows the float weight as it trains.
        """
        # BEGIN SOLUTION 3(a)
        return F.linear(x, STE.apply(self.linear.weight, self.Nbits, self.symmetric), self.linear.bias)
        # END SOLUTION


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

        Solution:
            The same convolution as ``self.conv`` would compute, with another weight.
        """
        # BEGIN SOLUTION 3(a)
        conv = self.conv
        weight = STE.apply(conv.weight, self.Nbits, self.symmetric)
        return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)
        # END SOLUTION

"""What quantized weights look like: levels, spacing, range and rounding, each on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from grader.checks import tolerances
from grader.checks.compare import require, show

__all__ = [
    "convolve",
    "grid_size",
    "levels_of",
    "require_enough_levels",
    "require_evenly_spaced",
    "require_few_levels",
    "require_nearest",
    "require_range",
    "require_symmetric",
]

Array = NDArray[Any]


def levels_of(wq: Array) -> Array:
    """The distinct values, sorted; values closer than float32 rounding count as one."""
    values = np.unique(wq.astype(np.float64))
    if len(values) < 2:
        return values
    gaps = np.diff(values) > tolerances.MERGED * (values[-1] - values[0])
    return np.asarray(values[np.concatenate([[True], gaps])])


def require_few_levels(wq: Array, bit: int, what: str) -> None:
    """At most 2^bit levels."""
    levels = levels_of(wq)
    require(len(levels) <= 2**bit, f"{what} has too many levels", expected=f"at most {2**bit}",
            received=str(len(levels)))  # fmt: skip


def require_enough_levels(wq: Array, fewest: int, what: str) -> None:
    """The grid that the levels lie on has at least ``fewest`` of them; a level without a weight counts."""
    require(len(levels_of(wq)) > 1, f"{what} has a single level", expected=f"at least {fewest} levels")
    count = grid_size(wq)
    require(count >= fewest, f"{what} has too few levels", expected=f"at least {fewest}", received=str(count))


def grid_size(wq: Array) -> int:
    """The levels from -max |w| to max |w| at the smallest gap; those of [min, max] are never more."""
    levels = levels_of(wq)
    return round(2 * float(np.abs(levels).max() / np.diff(levels).min())) + 1


def require_quantized(wq: Array, what: str) -> None:
    """Fewer values than weights: it was quantized at all, and to numbers."""
    require(np.isfinite(wq).all(), f"{what} becomes NaN or infinite", received=wq,
            advice="Look at what you divide by.")  # fmt: skip
    levels = levels_of(wq)
    require(len(levels) <= tolerances.SHARED * wq.size, f"{what} was not quantized", received=f"{len(levels)} values")


def require_evenly_spaced(wq: Array, what: str) -> None:
    """All gaps between neighbouring levels are multiples of the smallest one."""
    levels = levels_of(wq)
    require(len(levels) > 1, f"{what} has a single level")
    gaps = np.diff(levels)
    multiples = gaps / gaps.min()
    even = np.abs(multiples - multiples.round()) <= tolerances.SPACING * multiples
    require(even.all(), f"the levels of {what} are not evenly spaced", received=f"gaps {show(gaps)}")


def require_nearest(w: Array, wq: Array, what: str) -> None:
    """No weight lies nearer to another level than to its own; exact ties may go either way."""
    levels = levels_of(wq)
    require(len(levels) > 1, f"{what} has a single level")
    nearest = np.abs(w[:, None] - levels[None, :]).min(axis=1)
    slack = tolerances.NEAREST * (levels[-1] - levels[0]) + 1e-12
    wrong = ~(np.abs(wq - w) <= nearest + slack)
    if wrong.any():
        i = int(wrong.argmax())
        best = levels[np.abs(levels - w[i]).argmin()]
        require(False, f"{what}: a weight is not rounded to the nearest level",
                expected=f"{w[i]:.6g} -> {best:.6g}", received=f"{w[i]:.6g} -> {wq[i]:.6g}")  # fmt: skip


def require_range(wq: Array, low: float, high: float, what: str) -> None:
    """The outermost levels are exactly the extremes, up to the rounding of the dtype."""
    slack = tolerances.RANGE * float(np.finfo(wq.dtype).eps) * max(abs(low), abs(high))
    right = abs(wq.min() - low) <= slack and abs(wq.max() - high) <= slack
    require(right, f"the outermost levels of {what} are not the extremes of its non-zero weights",
            expected=f"{low:.6g} .. {high:.6g}", received=f"{wq.min():.6g} .. {wq.max():.6g}")  # fmt: skip


def require_symmetric(wq: Array, what: str) -> None:
    """The grid of levels is its own mirror image: a level at zero, or the two innermost ones opposite."""
    levels = levels_of(wq)
    require(len(levels) > 1, f"{what} has a single level")
    half_steps = 2 * levels / np.diff(levels).min()
    mirrored = np.abs(half_steps - half_steps.round()) <= tolerances.SYMMETRY
    require(mirrored.all(), f"the levels of {what} are not symmetric around zero", received=levels)


def convolve(x: Array, weight: Array, stride: int, padding: int, dilation: int = 1, groups: int = 1) -> Array:
    """The convolution of x (N, C, H, W) with weight (O, C / groups, k, k), in float64."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    span = dilation * (weight.shape[2] - 1) + 1
    windows = sliding_window_view(padded, (span, span), axis=(2, 3))[:, :, ::stride, ::stride, ::dilation, ::dilation]
    pairs = zip(np.split(windows, groups, axis=1), np.split(weight.astype(np.float64), groups), strict=True)
    return np.concatenate([np.einsum("nchwij,ocij->nohw", seen, kernels) for seen, kernels in pairs], axis=1)

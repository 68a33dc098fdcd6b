"""Comparators of the checks. Every comparison is written so that NaN fails."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.checks import tolerances
from grader.errors import CheckFailed

__all__ = [
    "close",
    "first_difference",
    "require",
    "require_close",
    "require_equal",
    "require_unchanged",
    "show",
]

Array = NDArray[Any]


def show(value: Any, most: int = 6) -> str:
    """A few numbers, short enough for a terminal."""
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{array.item():.9g}" if array.dtype.kind == "f" else str(array.item())
    flat = array.reshape(-1)
    text = ", ".join(f"{x:.7g}" for x in flat[:most])
    rest = f", ... ({flat.size} in all)" if flat.size > most else ""
    return f"[{text}{rest}]"


def require(
    holds: object,
    message: str,
    *,
    expected: Any = None,
    received: Any = None,
    advice: str | None = None,
    harmless: bool = False,
) -> None:
    """Raise CheckFailed unless ``holds``."""
    if not bool(holds):
        raise CheckFailed(
            message,
            expected=None if expected is None else _text(expected),
            received=None if received is None else _text(received),
            advice=advice,
            harmless=harmless,
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else show(value)


def close(received: Array, expected: Array, rtol: float | None = None, scale: float | None = None) -> Array:
    """Elementwise: within ``rtol`` (if not given, that of float64) of the largest expected magnitude (or ``scale``)."""
    rtol = tolerances.RTOL if rtol is None else rtol
    size = float(np.abs(expected).max(initial=0.0)) if scale is None else scale
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(received - expected) <= rtol * max(size, np.finfo(np.float64).tiny))


def first_difference(agrees: Array) -> tuple[int, ...]:
    """The index of the first False."""
    return tuple(int(i) for i in np.argwhere(~agrees)[0])


def require_close(
    received: Array, expected: Array, what: str, *, rtol: float | None = None, scale: float | None = None
) -> None:
    """Raise CheckFailed, showing both, unless the arrays have one shape and agree."""
    require(received.shape == expected.shape, f"{what} has shape {received.shape}, but should have {expected.shape}")
    agrees = close(received, expected, rtol, scale)
    if not agrees.all():
        where = first_difference(agrees)
        place = f" (first at index {', '.join(map(str, where))})" if where and expected.size > 1 else ""
        require(False, f"{what} differs{place}", expected=expected, received=received)


def require_equal(received: Any, expected: Any, what: str) -> None:
    """Raise CheckFailed, showing both, unless the arrays or values are the same, bit for bit."""
    if not np.array_equal(np.asarray(received), np.asarray(expected)):
        require(False, f"{what} differs", expected=_text(expected), received=_text(received))


def require_unchanged(after: Array, before: Array, what: str) -> None:
    """Raise CheckFailed if a function changed an argument that is not its own."""
    require(np.array_equal(after, before), f"{what} was changed in place", expected=before, received=after)

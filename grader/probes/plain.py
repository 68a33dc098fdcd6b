"""From whatever a student's function returns to plain numpy arrays, or words about why that is impossible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from grader.worker.student import ProbeFailed

__all__ = ["Facts", "Outputs", "Params", "Reply", "number", "real_array", "require_kind", "tensor_array"]

Array = NDArray[Any]
Params = Mapping[str, Any]
Facts = dict[str, Any]
Outputs = dict[str, Array]
Reply = tuple[Facts, Outputs]

_MOST_ELEMENTS = 4_000_000  # the largest honest answer is some 300,000 numbers


def describe(value: object) -> str:
    """A few words on what ``value`` is, for a message: its type and, for arrays, its shape."""
    if value is None:
        return "None (is a `return` missing?)"
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of shape {tuple(shape)}" if isinstance(shape, tuple) else type(value).__name__


def require_kind(value: object, kind: type, what: str) -> None:
    """Refuse a value that is not of the class that the docstring of the function names."""
    if not isinstance(value, kind):
        raise ProbeFailed("type", f"{what} is {describe(value)}, but should be a {kind.__name__}")


def real_array(value: Any, what: str, shape: tuple[int, ...]) -> Array:
    """``value`` as a float64 array of ``shape``; lists, tensors, and column vectors for vectors are accepted."""
    if value is None:
        raise ProbeFailed("type", f"{what} is {describe(value)}")
    try:
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
    except Exception:
        raise ProbeFailed("type", f"{what} is {describe(value)}, which is not an array of numbers") from None
    if array.dtype.kind not in "biuf":
        raise ProbeFailed("type", f"{what} is {describe(value)}, which does not hold real numbers")
    if array.size > _MOST_ELEMENTS:
        raise ProbeFailed("shape", f"{what} has {array.size} elements, but should have shape {shape}")
    if array.shape != shape and array.shape not in ((*shape, 1), (1, *shape), (*shape, 1, 1)):
        raise ProbeFailed("shape", f"{what} has shape {array.shape}, but should have shape {shape}")
    return np.array(array.reshape(shape), dtype=np.float64)


def number(value: Any, what: str) -> float:
    """``value`` as a float; arrays and tensors of one element are accepted."""
    return float(real_array(value, what, ()))


def tensor_array(value: Any, what: str, shape: tuple[int, ...]) -> Array:
    """A tensor's values as an array of its own floating dtype, float64 for the exotic ones."""
    require_kind(value, torch.Tensor, what)
    if tuple(value.shape) != shape:
        raise ProbeFailed("shape", f"{what} has shape {tuple(value.shape)}, but should have shape {shape}")
    tensor = value.detach().cpu()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.float64)
    return np.array(tensor.numpy(), subok=False)

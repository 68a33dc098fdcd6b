"""Files that a function writes beside its task: one that cannot be written here costs nothing.

A training saves its best network, a plot its picture, often where only their author has a folder, such as a mounted
drive. What is handed in are the files themselves; nobody looks for them here.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure

__all__ = ["forgive_saving"]


def forgive_saving() -> None:
    """``torch.save`` and ``savefig`` do nothing where the path that they are given cannot be written."""
    torch.save = _forgiving(torch.save)
    Figure.savefig = _forgiving(Figure.savefig)  # type: ignore[method-assign]


def _forgiving(save: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(save)
    def saved(*args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # torch raises the latter for a path
            save(*args, **kwargs)

    return saved

"""Files that a function writes beside its task: one that cannot be written here costs nothing.

A training saves its best network, a plot its picture, often where only their author has a folder, such as a mounted
drive. What is handed in are the files themselves; nobody looks for them here.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

__all__ = ["forgive_saving"]


def forgive_saving() -> None:
    """What saves an array, a network or a figure does nothing where the path that it is given cannot be written."""
    for owner, name in ((torch, "save"), (Figure, "savefig"), (np, "save"), (np, "savez"), (np, "savetxt")):
        setattr(owner, name, _forgiving(getattr(owner, name)))
    os.makedirs = _forgiving(os.makedirs, but=FileExistsError)


def _forgiving(save: Callable[..., None], but: type[OSError] | None = None) -> Callable[..., None]:
    @functools.wraps(save)
    def saved(*args: Any, **kwargs: Any) -> None:
        try:
            save(*args, **kwargs)
        except (OSError, RuntimeError) as error:  # torch raises the latter for a path
            if but is not None and isinstance(error, but):
                raise

    return saved

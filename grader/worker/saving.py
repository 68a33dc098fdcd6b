"""Files that a function writes beside its task: one that cannot be written here costs nothing.

A training saves its best network, a plot its picture, often where only their author has a folder, such as a mounted
drive. What is handed in are the files themselves; nobody looks for them here but the function that wrote them.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import hashlib
import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

__all__ = ["forgive_saving"]


def forgive_saving(scratch: str) -> None:
    """A file in a folder that is not here is written below ``scratch``, and found there under its own name.

    What makes a folder, or saves an array, a network or a figure, does nothing where it cannot.
    """
    builtins.open = io.open = _opening(io.open, os.path.join(scratch, ".elsewhere"))
    torch.save = _through_open(torch.save)  # which opens a path past ``open``
    saving = [(np, name) for name in ("save", "savez", "savez_compressed", "savetxt")]
    for owner, name in ((torch, "save"), (Figure, "savefig"), *saving):
        setattr(owner, name, _forgiving(getattr(owner, name)))
    os.mkdir = _forgiving(os.mkdir, but=FileExistsError)  # also for what calls it: os.makedirs, Path.mkdir


def _opening(really_open: Callable[..., Any], elsewhere: str) -> Callable[..., Any]:
    @functools.wraps(really_open)
    def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        try:
            return really_open(file, mode, *args, **kwargs)
        except FileNotFoundError:
            name = hashlib.sha256(os.fsencode(os.path.abspath(file))).hexdigest()
            stand_in = os.path.join(elsewhere, name)
            if set(mode).isdisjoint("wax") and not os.path.exists(stand_in):
                raise
        os.makedirs(elsewhere, exist_ok=True)
        return really_open(stand_in, mode, *args, **kwargs)

    return opened


def _through_open(save: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(save)
    def saved(obj: object, f: Any, *args: Any, **kwargs: Any) -> None:
        is_path = isinstance(f, str | os.PathLike)
        with open(f, "wb") if is_path else contextlib.nullcontext(f) as file:
            save(obj, file, *args, **kwargs)

    return saved


def _forgiving(save: Callable[..., None], but: type[OSError] | None = None) -> Callable[..., None]:
    @functools.wraps(save)
    def saved(*args: Any, **kwargs: Any) -> None:
        try:
            save(*args, **kwargs)
        except (OSError, RuntimeError) as error:  # torch raises the latter for a file that it cannot write
            if but is not None and isinstance(error, but):
                raise

    return saved

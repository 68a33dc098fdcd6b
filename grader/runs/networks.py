"""Networks on the disk, where what was written whole may be damaged since, or be of another network."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

__all__ = ["as_torch_saves", "fits", "read_network"]


def fits(state: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> bool:
    """Whether a state has the names, shapes and types of another; of that no value is read."""
    return state.keys() == like.keys() and all(
        value.shape == like[name].shape and value.dtype == like[name].dtype for name, value in state.items()
    )


def read_network(path: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The state in a file of safetensors; None if it cannot be read or does not fit ``like``."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError):
        return None
    return state if fits(state, like) else None


def as_torch_saves(path: Path) -> bytes:
    """The state in a file of safetensors as ``torch.save`` writes it, which is what the labs save and load."""
    buffer = io.BytesIO()
    torch.save(load_file(path), buffer)
    return buffer.getvalue()

"""Networks on the disk, where what was written whole may be damaged since, or be of another network."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

__all__ = ["as_torch_saves", "digest_of_tensor", "fits", "pack", "read_network", "state_on_cpu", "unpack"]

_DIGEST = "digest"


def state_on_cpu(net: nn.Module) -> dict[str, Tensor]:
    """The state of a network as safetensors takes it: plain arrays, each copied only where it is not one yet."""
    return {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}


def fits(state: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> bool:
    """Whether a state has the names, shapes and types of another; of that no value is read."""
    return state.keys() == like.keys() and all(
        value.shape == like[name].shape and value.dtype == like[name].dtype for name, value in state.items()
    )


def pack(state: Mapping[str, Tensor], **facts: str) -> bytes:
    """A file of safetensors that ``unpack`` reads, and everybody else; it holds facts, and a digest of everything."""
    return save(dict(state), {**facts, _DIGEST: _digest(state, facts)})


def unpack(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """The state and the facts in a file that ``pack`` made; None if it cannot be read, or is not as it was made."""
    try:
        with safe_open(path, "pt") as file:
            # Copies, so that the file is not held open.
            state = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  (no mapping)
            facts = dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return None
    return (state, facts) if facts.pop(_DIGEST, "") == _digest(state, facts) else None


def read_network(path: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The state in a file that ``pack`` made; None if it is damaged or does not fit ``like``."""
    found = unpack(path)
    return found[0] if found is not None and fits(found[0], like) else None


def digest_of_tensor(tensor: Tensor) -> str:
    """Of its type, its shape and its values."""
    content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + content).hexdigest()


def _digest(state: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    told = [sorted(facts.items()), sorted((name, digest_of_tensor(value)) for name, value in state.items())]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def as_torch_saves(path: Path) -> bytes:
    """The state in a file of safetensors as ``torch.save`` writes it, which is what the labs save and load."""
    buffer = io.BytesIO()
    torch.save(load_file(path), buffer)
    return buffer.getvalue()

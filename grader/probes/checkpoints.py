"""A probe of the full profile: open a checkpoint that was handed in, and give back plain tensors of the right shape.

Nothing but tensors and containers is unpickled (``weights_only=True``), and this runs in a worker all the same.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from grader.probes.plain import Array, Outputs, Params, Reply
from grader.worker.student import ProbeFailed, Student

__all__ = ["load"]

_MOST_TOLD = 5
_MOST_CONTAINERS = 100
_DEEPEST = 3
_NUMBERS: list[Any] = [
    *((np.float64(0).__reduce__()[0], f"{module}.multiarray.scalar") for module in ("numpy.core", "numpy._core")),
    np.dtype,
    *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"},
]
"""What numpy's numbers are pickled with: an accuracy often stands beside a network."""
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)|(?:build|instantiate|type) ([\w.]+)")
_BEFORE = re.compile(
    r"(?:^|[._])(?:init|initial|orig|original|pretrained|before|teacher|baseline|old|rewind)(?:[._]|$)", re.IGNORECASE
)
"""A word of keys that lead to a network that was there before the training."""
_COUNTER = "num_batches_tracked"
"""BatchNorm's count of training batches, which no evaluation reads."""


def load(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """The tensors of a network in a checkpoint.

    Args:
        student: not asked.
        params: ``shapes``, the shape by key of every tensor that the network has.
        arrays: ``file``, the bytes of the checkpoint.

    Returns:
        Facts: ``wrapper`` and ``prefix`` around and before the keys, ``dtypes`` that were converted, ``masked`` keys
        that were multiplied by their pruning mask, ``missing`` keys, how many ``extra`` ones and the first of them,
        and by key what is ``wrong``. Arrays: the others, as float32.
    """
    shapes = {name: tuple(shape) for name, shape in params["shapes"].items() if not name.endswith(_COUNTER)}
    state, wrapper = _state_dict(_opened(arrays["file"].tobytes()), frozenset(shapes))
    prefix = _prefix(state, frozenset(shapes))
    named = {name.removeprefix(prefix): value for name, value in state.items() if isinstance(name, str)}
    masked = _apply_masks(named, shapes)
    wrong: dict[str, str] = {}
    found: Outputs = {}
    dtypes: set[str] = set()
    for name in shapes.keys() & named.keys():
        if problem := _problem(named[name], shapes[name]):
            wrong[name] = problem
        else:
            found[name] = _array(named[name])
            dtypes.add(str(named[name].dtype))
    extra = [name for name in named if name not in shapes and not name.endswith(_COUNTER)]
    return {
        "wrapper": wrapper,
        "prefix": prefix[:100],
        "dtypes": sorted(dtypes - {"torch.float32"}),
        "masked": len(masked),
        "missing": [name for name in shapes if name not in named],
        "extra": [name[:100] for name in extra[:_MOST_TOLD]],
        "extras": len(extra),
        "wrong": dict(sorted(wrong.items())),
    }, found


# --- The file


def _opened(content: bytes) -> object:
    """Whatever was saved, by the first bytes: safetensors, or what torch.save writes."""
    if not content:
        raise ProbeFailed("type", "is empty: save and hand it in again")
    if content.startswith(b"version https://git-lfs"):
        raise ProbeFailed("type", "is a Git LFS pointer, not the file itself: run `git lfs pull` and hand it in again")
    if content[:100].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise ProbeFailed("type", "is a web page, as a failed download leaves it: get the file again")
    header = int.from_bytes(content[:8], "little")
    if content[8:9] == b"{" and header < 100 * 2**20:
        return _from_safetensors(content)
    if not content.startswith((b"PK", b"\x80")):
        raise ProbeFailed("type", "is not a checkpoint: save net.state_dict() with torch.save")
    return _unpickled(content)


def _from_safetensors(content: bytes) -> object:
    try:
        return load_safetensors(content)
    except Exception:  # a Rust parser over hostile bytes: every failure means the same
        raise ProbeFailed("type", "is truncated or damaged: save and hand it in again") from None


def _unpickled(content: bytes) -> object:
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch names no exceptions for a file that is not as it should be
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> ProbeFailed:
    told = str(error)
    if "TorchScript" in told:
        return ProbeFailed("type", "is a TorchScript archive: save net.state_dict() with torch.save")
    found = _GLOBAL.search(told) if "Weights only load failed" in told else None
    if found is None and "Unsupported operand" in told:
        return ProbeFailed(
            "type",
            "holds other Python objects than tensors, or was saved with a pickle_protocol of its own; it is not "
            "opened, since that might run code: save net.state_dict() with torch.save and no other options",
        )
    if found is None:
        return ProbeFailed("type", "is truncated or damaged: save and hand it in again")
    what = next(filter(None, found.groups()))[:100]
    return ProbeFailed(
        "type",
        f"holds a whole object ({what}) and not only tensors; it is not opened, since that would run code: "
        "save net.state_dict() alone",
    )


# --- The state dict


def _state_dict(saved: object, wanted: frozenset[str]) -> tuple[Mapping[Any, Any], str]:
    """The dictionary with most of the wanted keys in what was saved, and the keys that lead to it."""
    if not isinstance(saved, Mapping):
        raise ProbeFailed("type", f"holds a {type(saved).__name__}: save net.state_dict()")
    candidates = list(_dictionaries(saved))
    counts = [sum(bool(_suffix(name, wanted)) for name in candidate) for candidate, _ in candidates]
    # Of several whole networks the first that is not there to compare with.
    ranks = [(count, not _BEFORE.search(path)) for count, (_, path) in zip(counts, candidates, strict=True)]
    return candidates[ranks.index(max(ranks))]


def _dictionaries(saved: Mapping[Any, Any]) -> Iterator[tuple[Mapping[Any, Any], str]]:
    waiting: list[tuple[Mapping[Any, Any], tuple[str, ...]]] = [(saved, ())]
    for number, (found, path) in enumerate(waiting):
        yield found, ".".join(path)
        if number < _MOST_CONTAINERS and len(path) < _DEEPEST:
            inner = ((key, value) for key, value in found.items() if isinstance(value, Mapping))
            waiting += [(value, (*path, str(key)[:50])) for key, value in inner][:_MOST_CONTAINERS]


def _suffix(name: object, wanted: frozenset[str]) -> str:
    """The wanted key that a key ends with, pruning's ``weight_orig`` too; empty if there is none."""
    if not isinstance(name, str):
        return ""
    words = name.removesuffix("_orig").split(".")
    tails = (".".join(words[start:]) for start in range(max(len(words) - 8, 0), len(words)))
    return next((tail for tail in tails if tail in wanted), "")


def _prefix(state: Mapping[Any, Any], wanted: frozenset[str]) -> str:
    """What stands before most of the wanted keys, such as ``module.``."""
    found = Counter(name.removesuffix("_orig").removesuffix(tail) for name in state if (tail := _suffix(name, wanted)))
    return found.most_common(1)[0][0] if found else ""


def _apply_masks(named: dict[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Put ``weight_orig * weight_mask`` of torch.nn.utils.prune in the place of ``weight``."""
    masked = [name for name in shapes if name not in named and f"{name}_orig" in named and f"{name}_mask" in named]
    for name in masked:
        weight, mask = named.pop(f"{name}_orig"), named.pop(f"{name}_mask")
        odd = [value for value in (weight, mask) if _problem(value, shapes[name])]
        named[name] = odd[0] if odd else weight * mask
    return masked


def _problem(value: object, shape: tuple[int, ...]) -> str:
    """Why a value is not the tensor that the network has, in a few words; empty if it is. Nothing is computed."""
    if not isinstance(value, Tensor):
        return f"is a {type(value).__name__}, not a tensor"
    if value.layout is not torch.strided or value.is_quantized or value.is_meta or value.is_nested:
        return "is not a plain dense tensor"
    if tuple(value.shape) != shape:
        shown = ", ".join(map(str, value.shape[:6]))
        return f"has shape ({shown}), but should have {shape}"
    return "" if value.is_floating_point() else f"is {value.dtype}, but should be floating point"


def _array(tensor: Tensor) -> Array:
    return np.array(tensor.detach().resolve_neg().to(torch.float32).contiguous().numpy())

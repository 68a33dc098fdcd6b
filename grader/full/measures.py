"""What is measured of a network's weights, and the judge's own pruning and quantization. Plain numpy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.cases import Arrays

__all__ = [
    "digest_of",
    "is_untrained",
    "levels_by_layer",
    "prunable",
    "pruned_by_layer",
    "pruned_globally",
    "quantize",
    "quantized",
    "similarity",
    "sparsity",
    "sparsity_by_layer",
]

Array = NDArray[Any]


def prunable(network: Mapping[str, Array]) -> dict[str, Array]:
    """The prunable weights: of convolutions and linear layers, outside the shortcuts."""
    return {n: a for n, a in network.items() if n.endswith("weight") and a.ndim > 1 and "id_mapping" not in n}


def _quantizable(network: Mapping[str, Array]) -> dict[str, Array]:
    """The weights of the residual blocks; the first and the last layer stay in floating point."""
    return {n: a for n, a in network.items() if n.startswith("body_op") and a.ndim == 4}


def _layer(name: str) -> str:
    return name.removesuffix(".weight")


def sparsity_by_layer(network: Mapping[str, Array]) -> dict[str, float]:
    """The fraction of zeros of every prunable layer."""
    return {_layer(name): float((weight == 0).mean()) for name, weight in prunable(network).items()}


def sparsity(network: Mapping[str, Array]) -> float:
    """The fraction of zeros of all prunable weights together."""
    weights = prunable(network).values()
    return sum(int((w == 0).sum()) for w in weights) / sum(w.size for w in weights)


def levels_by_layer(network: Mapping[str, Array]) -> dict[str, int]:
    """How many different non-zero values every layer of the residual blocks has."""
    return {_layer(name): len(np.unique(weight[weight != 0])) for name, weight in _quantizable(network).items()}


def similarity(network: Mapping[str, Array], other: Mapping[str, Array], among: Mapping[str, Array]) -> float:
    """The cosine between the prunable weights of two networks, where those of ``among`` are not zero.

    1 is the same direction, 0 no relation.
    """
    kept = {name: weight != 0 for name, weight in prunable(among).items()}
    a, b = (np.concatenate([net[name][kept[name]] for name in kept]).astype(np.float64) for net in (network, other))
    product = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / product if product else 0.0


def digest_of(network: Mapping[str, Array]) -> str:
    """Names a network by its prunable weights: saved in another way, or under another name, it is the same."""
    digest = hashlib.sha256()
    for name, weight in sorted(prunable(network).items()):
        plain = np.ascontiguousarray(weight, dtype="<f4") + np.float32(0)  # a pruned weight may be -0
        digest.update(name.encode() + plain.tobytes())
    return digest.hexdigest()


def is_untrained(network: Mapping[str, Array], pretrained: Mapping[str, Array]) -> bool:
    """Whether a network is what anybody gets from the pre-trained one by pruning, rounding and quantizing alone.

    These keep the order of the non-zero weights of a layer; the first steps of a training do not.
    """
    for name, before in prunable(pretrained).items():
        kept = network[name] != 0
        ordered = network[name][kept][np.argsort(before[kept], kind="stable")]
        if (ordered[1:] < ordered[:-1]).any():
            return False
    return True


# --- Pruning


def _smallest(weights: Array, percent: float) -> Array:
    """A mask of the ``percent`` % smallest magnitudes of a flat array: those up to the percentile."""
    mask = np.zeros(weights.shape, dtype=bool)
    count = int(percent / 100 * (weights.size - 1)) + 1
    mask[np.argsort(np.abs(weights), kind="stable")[:count]] = True
    return mask


def pruned_by_layer(network: Mapping[str, Array], percent: float) -> Arrays:
    """The network with the smallest ``percent`` % of each prunable layer's weights at zero."""
    found = dict(network)
    for name, weight in prunable(network).items():
        found[name] = np.where(_smallest(weight.ravel(), percent).reshape(weight.shape), 0, weight)
    return found


def pruned_globally(network: Mapping[str, Array], percent: float) -> Arrays:
    """The network with the smallest ``percent`` % of all prunable weights together at zero."""
    weights = prunable(network)
    mask = _smallest(np.concatenate([weight.ravel() for weight in weights.values()]), percent)
    parts = np.split(mask, np.cumsum([weight.size for weight in weights.values()])[:-1])
    cut = {n: np.where(part.reshape(w.shape), 0, w) for (n, w), part in zip(weights.items(), parts, strict=True)}
    return {**network, **cut}


# --- Quantization


def quantize(weight: Array, bits: int, *, symmetric: bool = False, zero: bool = False) -> Array:
    """The weight at 2^bits evenly spaced levels over the range of its non-zero elements; zeros stay zero.

    Args:
        weight: of any shape; what is quantized already stays as it is.
        bits: at least 1.
        symmetric: whether the range is [-max |w|, max |w|].
        zero: one level fewer, so that a symmetric grid has one at zero.
    """
    kept = weight[weight != 0].astype(np.float64)
    if not kept.size:
        return weight
    largest = np.abs(kept).max()
    low, high = (-largest, largest) if symmetric else (kept.min(), kept.max())
    steps = 2**bits - (2 if zero else 1)
    if low == high or not steps:
        return weight
    levels = np.round((weight.astype(np.float64) - low) / (high - low) * steps) / steps
    return np.where(weight == 0, 0, low + levels * (high - low)).astype(np.float32)


def quantized(network: Mapping[str, Array], bits: int, *, symmetric: bool = False, zero: bool = False) -> Arrays:
    """The network with the weights of its residual blocks quantized; see ``quantize``."""
    made = {n: quantize(w, bits, symmetric=symmetric, zero=zero) for n, w in _quantizable(network).items()}
    return {**network, **made}

"""The cases of Lab 2: layers of random weights, and the small network on the tiny images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from grader.assignment import Term
from grader.authoring.tiny import NETWORK
from grader.cases import Arrays, Case

__all__ = ["TRAINING", "hidden", "public", "repeated_batch"]

_MODULE = "lab2_pruning"
TRAINING: dict[str, Any] = {
    "net": NETWORK,
    "batch_size": 16,
    "batches": 8,
    "lr": 0.05,
    "momentum": 0.875,
    "weight_decay": 1e-4,
}
"""Momentum and weight decay of the assignment; a larger step, because there are only a few of them."""

_NET = {"net.": "net."}
_SPARSE = {"net.": "sparse."}
_GLOBAL = {"net.": "global."}
_TRAIN = {"": "train."}


def _case(name: str, probe: str, params: Mapping[str, Any], shared: Mapping[str, str], inputs: Arrays) -> Case:
    return Case(id=f"lab2/{name}", probe=f"lab2.{probe}", module=_MODULE, params=params, shared=shared, inputs=inputs)


def _evaluate(name: str, tiny: Arrays, count: int, batch_size: int, training: bool, wrong: slice) -> Case:
    """Some labels are made wrong, so that the accuracy is neither 1 nor the mean of the batches' accuracies."""
    labels = tiny["train.labels"][:count].copy()
    labels[wrong] = (labels[wrong] + 1) % 10
    params = {"net": NETWORK, "batch_size": batch_size, "training": training}
    inputs = {"images": tiny["train.images"][:count], "labels": labels}
    return _case(f"evaluate/{name}", "evaluate", params, _NET, inputs)


def _prune(
    name: str,
    q: float,
    shape: tuple[int, ...],
    seed: int,
    *,
    shift: float = 0.0,
    zeros: float = 0.0,
    dtype: Any = np.float32,
) -> Case:
    """A layer of random weights, of which a fraction ``zeros`` was pruned before."""
    random = np.random.default_rng(seed)
    weight = (random.normal(size=shape) * 0.1 + shift).astype(dtype)
    weight[np.abs(weight) < np.quantile(np.abs(weight), zeros)] = 0
    inputs = {"weight": weight, "bias": random.normal(size=shape[0]).astype(dtype)}
    return _case(f"prune_layer/{name}", "prune_layer", {"q": q}, {}, inputs)


def _finetune(name: str, network: Mapping[str, str], prune: bool, batches: int) -> Case:
    params = TRAINING | {"batches": batches, "prune": prune, "training": False, "has_trained": prune}
    return _case(f"finetune/{name}", "finetune", params, {**network, **_TRAIN}, {})


def _same_batch(tiny: Arrays) -> Case:
    """One batch four times, steps so small that its gradient stays as it is, and a criterion of the caller's own."""
    params = TRAINING | {"batches": 4, "lr": 1e-3, "momentum": 0.0, "weight_decay": 0.0, "prune": False}
    params["label_smoothing"] = 0.2
    return _case("same_batch", "finetune", params, _NET, repeated_batch(tiny, params["batches"]))


def repeated_batch(tiny: Arrays, times: int) -> Arrays:
    """The first batch of training images and labels, ``times`` times."""
    batch = {name: tiny[f"train.{name}"][: TRAINING["batch_size"]] for name in ("images", "labels")}
    return {name: np.concatenate([array] * times) for name, array in batch.items()}


def _iterative(name: str, term: Term, epochs: int, global_threshold: bool) -> Case:
    options = {"epochs": epochs, "target": term.target_sparsity, "ramp_epochs": 2, "global_threshold": global_threshold}
    params = TRAINING | {"batches": 2, "options": options}
    return _case(f"iterative/{name}", "iterative_prune", params, {**_NET, **_TRAIN}, {})


def _ramp(name: str, epochs: int, target: float, ramp_epochs: int) -> Case:
    options = {"target": target, "ramp_epochs": ramp_epochs}
    params = {"epochs": list(range(1, epochs + 1)), "options": options}
    return _case(f"ramp/{name}", "ramp", params, {}, {})


def _global(q: float) -> Case:
    return _case(f"global_prune/{q:g}", "global_prune", {"net": NETWORK, "q": q}, _NET, {})


def public(term: Term, tiny: Arrays) -> Iterator[Case]:
    """Cases that students may see."""
    yield _evaluate("even", tiny, 48, 16, True, slice(0, 12))
    yield _evaluate("partial", tiny, 38, 16, False, slice(34, 38))
    for i, q in enumerate(term.one_shot_sparsities):
        yield _prune(f"conv_{q:g}", q, (16, 8, 3, 3), 30 + i)
    yield _prune("linear", term.target_sparsity, (10, 32), 40, shift=0.05)
    yield _case("sparsity/pruned", "sparsity", {"net": NETWORK}, _SPARSE, {})
    yield _case("sparsity/dense", "sparsity", {"net": NETWORK}, _NET, {})
    yield _finetune("masked", _SPARSE, True, 8)
    yield _finetune("free", _SPARSE, False, 1)
    yield _same_batch(tiny)
    yield _ramp("assignment", term.epochs, term.target_sparsity, term.ramp_epochs)
    yield _iterative("layers", term, 4, False)
    yield _global(term.target_sparsity)
    yield _iterative("global", term, 3, True)


def hidden(term: Term, tiny: Arrays) -> Iterator[Case]:
    """Other percentages, shapes and distributions; a network with another pattern of zeros."""
    yield _evaluate("other", tiny, 25, 10, True, slice(20, 25))
    yield _prune("sparse", 95, (12, 5, 3, 3), 50, dtype=np.float64)
    yield _prune("dense", 10, (7, 11, 1, 1), 51)
    yield _prune("negative", 55, (9, 21), 52, shift=-0.3)
    yield _prune("again", 70, (8, 6, 3, 3), 53, zeros=0.4)
    yield _finetune("globally_pruned", _GLOBAL, True, 2)
    yield _ramp("short", 6, 80.0, 4)
    yield _ramp("one", 3, 55.0, 1)
    yield _ramp("uneven", 8, 50.0, 6)
    yield _global(35)
    yield _global(90)

"""The comparators of Lab 2: every right way to prune q percent passes, and nothing that is further off does."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from grader.checks.lab2 import require_global_sparsity, require_smallest_pruned, require_sparsity
from grader.errors import CheckFailed

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Network = dict[str, Array]

percentages = st.floats(0, 100) | st.integers(0, 100).map(float)
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)

SHAPES = st.sampled_from([(4, 3), (1, 1), (2, 3, 3, 3), (7, 5), (5, 2, 1, 1), (10, 9)])


@st.composite
def distinct(draw: st.DrawFn, shape: tuple[int, ...] | None = None) -> Array:
    """Weights no two of which are equally large."""
    shape = draw(SHAPES) if shape is None else shape
    random = np.random.default_rng(draw(seeds))
    magnitudes = random.integers(1, 50, size=math.prod(shape)).cumsum() * 2.0 ** draw(st.integers(-20, 5))
    signs = random.choice([-1.0, 1.0], size=len(magnitudes))
    return (random.permutation(magnitudes) * signs).reshape(shape).astype(draw(dtypes))


@st.composite
def tied(draw: st.DrawFn) -> Array:
    """Weights of few magnitudes, some of them zero from the start."""
    random = np.random.default_rng(draw(seeds))
    largest = draw(st.integers(1, 20))
    return (random.integers(-largest, largest + 1, size=draw(SHAPES)) / 8).astype(draw(dtypes))


# --- right ways to choose what is pruned; each gives a mask, True for what stays


def wanted(w: Array, q: float) -> Fraction:
    """q percent of the elements, exactly."""
    return Fraction(q) * w.size / 100


def argsort(round_: Callable[[Fraction], int]) -> Callable[[Array, float], Mask]:
    def choose(w: Array, q: float) -> Mask:
        keep = np.ones(w.size, dtype=bool)
        keep[np.argsort(np.abs(w), axis=None)[: round_(wanted(w, q))]] = False
        return keep.reshape(w.shape)

    return choose


def partition(w: Array, q: float) -> Mask:
    keep, pruned = np.ones(w.size, dtype=bool), int(q * w.size / 100)
    if pruned:
        keep[np.argpartition(np.abs(w), pruned - 1, axis=None)[:pruned]] = False
    return keep.reshape(w.shape)


def topk(w: Array, q: float) -> Mask:
    kept = torch.topk(torch.from_numpy(np.abs(w).ravel()), w.size - int(q / 100 * w.size)).indices
    keep = np.zeros(w.size, dtype=bool)
    keep[kept.numpy()] = True
    return keep.reshape(w.shape)


def kthvalue(above: bool) -> Callable[[Array, float], Mask]:
    """Where the k-th itself is kept, with k rounded down, up to two fewer than q percent are pruned."""

    def choose(w: Array, q: float) -> Mask:
        k = math.floor(wanted(w, q))
        if k == 0:
            return np.ones(w.shape, dtype=bool)
        threshold = torch.kthvalue(torch.from_numpy(np.abs(w).ravel()), k).values.item()
        return np.asarray(np.abs(w) > threshold if above else np.abs(w) >= threshold)

    return choose


def sorted_at_least(w: Array, q: float) -> Mask:
    k = math.floor(wanted(w, q))
    return np.zeros(w.shape, bool) if k == w.size else np.asarray(np.abs(w) >= np.sort(np.abs(w), axis=None)[k])


def percentile(method: str, above: bool) -> Callable[[Array, float], Mask]:
    def choose(w: Array, q: float) -> Mask:
        options: dict[str, Any] = {"method": method}
        threshold = np.percentile(np.abs(w), q, **options)
        return np.asarray(np.abs(w) > threshold if above else np.abs(w) >= threshold)

    return choose


def quantile(w: Array, q: float) -> Mask:
    magnitudes = torch.from_numpy(np.abs(w)).double()
    return np.asarray((magnitudes > torch.quantile(magnitudes, q / 100)).numpy())


COUNTED = {
    "argsort, rounded down": argsort(math.floor),
    "argsort, rounded up": argsort(math.ceil),
    "argsort, rounded": argsort(round),
    "partition": partition,
    "topk": topk,
}
"""Ways that prune a given number of elements, however many are equally large."""
BY_THRESHOLD = {
    "kthvalue": kthvalue(above=True),
    "kthvalue, >=": kthvalue(above=False),
    "sorted": sorted_at_least,
    "percentile, >": percentile("linear", above=True),
    "percentile, >=": percentile("linear", above=False),
    "percentile, lower": percentile("lower", above=True),
    "percentile, higher": percentile("higher", above=False),
    "quantile": quantile,
}
"""Ways that compare with a threshold, on which several elements may lie."""
WAYS = COUNTED | BY_THRESHOLD


def accepted(comparator: Callable[..., None], *arguments: object) -> bool:
    """Whether a comparator accepts; anything but a CheckFailed is a fault."""
    try:
        comparator(*arguments)
    except CheckFailed:
        return False
    return True


@pytest.mark.parametrize("way", WAYS)
@given(w=distinct(), q=percentages)
def test_every_right_way_prunes_the_right_number(way: str, w: Array, q: float) -> None:
    pruned = w * WAYS[way](w, q)
    require_sparsity(pruned, q, "the layer")
    require_smallest_pruned({"": w}, {"": pruned}, "the layer")


@pytest.mark.parametrize("way", COUNTED)
@given(w=tied(), q=percentages)
def test_a_right_number_may_be_chosen_among_equals(way: str, w: Array, q: float) -> None:
    assume(wanted(w, q) >= int((w == 0).sum()))  # what is zero already cannot be kept
    pruned = w * COUNTED[way](w, q)
    require_sparsity(pruned, q, "the layer")
    require_smallest_pruned({"": w}, {"": pruned}, "the layer")


@pytest.mark.parametrize("way", BY_THRESHOLD)
@given(w=tied(), q=percentages)
def test_a_threshold_may_lie_on_equals(way: str, w: Array, q: float) -> None:
    """All of them pruned or none: the number is off then, but no smaller weight was kept."""
    require_smallest_pruned({"": w}, {"": w * BY_THRESHOLD[way](w, q)}, "the layer")


@given(w=distinct(), q=percentages, off=st.integers(-4, 4) | st.integers(-90, 90))
def test_a_number_of_zeros_passes_only_within_one(w: Array, q: float, off: int) -> None:
    exact = wanted(w, q)
    zeros = min(max(round(exact) + off, 0), w.size)
    assume(abs(exact - round(exact)) > Fraction(1, 10**5) or q.is_integer())
    is_near = math.floor(exact) - 1 <= zeros <= math.ceil(exact) + 1
    assert accepted(require_sparsity, w * argsort(lambda _: zeros)(w, q), q, "the layer") is is_near


@given(w=st.one_of(distinct(), tied()), seed=seeds, share=st.floats(0, 1))
def test_pruning_passes_only_where_no_smaller_weight_was_kept(w: Array, seed: int, share: float) -> None:
    """Masks of all kinds, compared pair by pair."""
    random = np.random.default_rng(seed)
    noise = random.choice([0.0, 0.01, 10.0]) * random.random(w.shape) * np.abs(w).max()
    keep = np.abs(w) + noise >= share * np.abs(w).max()
    pruned = w * keep
    smaller = np.abs(w)[pruned != 0][:, None] < np.abs(w)[pruned == 0][None, :]
    assert accepted(require_smallest_pruned, {"": w}, {"": pruned}, "the layer") is not smaller.any()


@given(w=distinct(), q=percentages, seed=seeds)
def test_one_exchanged_pair_fails(w: Array, q: float, seed: int) -> None:
    keep = argsort(round)(w, q)
    assume(keep.any() and not keep.all())
    random = np.random.default_rng(seed)
    kept, dropped = random.choice(np.flatnonzero(keep)), random.choice(np.flatnonzero(~keep))
    keep.ravel()[[kept, dropped]] = False, True
    require_sparsity(w * keep, q, "the layer")
    with pytest.raises(CheckFailed, match="a larger weight was pruned"):
        require_smallest_pruned({"": w}, {"": w * keep}, "the layer")


# --- over all layers

_WEIGHT = ["conv", "weight"]


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """One to four layers of distinct weights of all sizes, and parameters that are not to be pruned."""
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=4))
    sizes = [math.prod(shape) for shape in shapes]
    flat = draw(distinct((sum(sizes),)))
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    network = {
        f"layer{i}.conv.weight": part.reshape(shape) for i, (part, shape) in enumerate(zip(parts, shapes, strict=True))
    }
    zeros = {"layer0.conv.bias": 9, "bn.weight": 50, "layer0.id_mapping.0.conv.weight": 70}
    return network | {name: np.zeros((n,) if "id_mapping" not in name else (n, 1)) for name, n in zeros.items()}


def prunable(network: Network) -> Network:
    """The layers' weights among them."""
    return {name: w for name, w in network.items() if name.startswith("layer") and name.split(".")[1:] == _WEIGHT}


def prune_globally(network: Network, choose: Callable[[Array, float], Mask], q: float) -> Network:
    """All prunable weights as one long array, masked."""
    layers = prunable(network)
    flat = np.concatenate([w.ravel() for w in layers.values()])
    masks = np.split(choose(flat, q), np.cumsum([w.size for w in layers.values()])[:-1])
    masked = {n: w * m.reshape(w.shape) for (n, w), m in zip(layers.items(), masks, strict=True)}
    return network | masked


@pytest.mark.parametrize("way", WAYS)
@given(network=networks(), q=percentages)
def test_every_right_way_prunes_a_network(way: str, network: Network, q: float) -> None:
    pruned = prune_globally(network, WAYS[way], q)
    require_global_sparsity(pruned, q)
    require_smallest_pruned(prunable(network), prunable(pruned), "over all layers")


@given(network=networks(), q=percentages, off=st.integers(-6, 6) | st.integers(-200, 200))
def test_a_network_may_be_off_by_one_element_per_layer(network: Network, q: float, off: int) -> None:
    layers = prunable(network)
    size = sum(w.size for w in layers.values())
    exact = Fraction(q) * size / 100
    zeros = min(max(round(exact) + off, 0), size)
    assume(abs(exact - round(exact)) > Fraction(1, 10**5) or q.is_integer())
    pruned = prune_globally(network, argsort(lambda _: zeros), q)
    is_near = math.floor(exact) - len(layers) <= zeros <= math.ceil(exact) + len(layers)
    assert accepted(require_global_sparsity, pruned, q) is is_near


@given(network=networks(), q=st.floats(20, 80), seed=seeds)
def test_a_threshold_per_layer_fails_where_the_layers_differ(network: Network, q: float, seed: int) -> None:
    """The right number in every layer, but another set than that of one threshold."""
    layers = prunable(network)
    pruned = {name: w * argsort(round)(w, q) for name, w in layers.items()}
    one = prune_globally(network, argsort(lambda _: sum(int((w == 0).sum()) for w in pruned.values())), q)
    same = all(np.array_equal(pruned[name], one[name]) for name in layers)
    assert accepted(require_smallest_pruned, layers, pruned, "over all layers") is same

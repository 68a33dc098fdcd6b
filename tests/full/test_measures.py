"""The judge's own pruning, quantization and measures, against the reference and by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from FP_layers import STE
from lab2_pruning import global_prune_by_percentage, prune_by_percentage
from resnet20 import ResNetCIFAR

from grader.full import measures
from tests.full.conftest import State, plain, random_network

NETWORK = plain(random_network(1))
PRUNED = measures.pruned_by_layer(NETWORK, 70)
LAYER = "body_op.0.conv1.0.conv.weight"


def pruned_by_the_reference(percent: float, *, one_threshold: bool) -> State:
    net = ResNetCIFAR()
    net.load_state_dict(random_network(1))
    if one_threshold:
        global_prune_by_percentage(net, percent)
    else:
        for name, module in net.named_modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) and "id_mapping" not in name:
                prune_by_percentage(module, percent)
    return net.state_dict()


@pytest.mark.parametrize("percent", [30, 70])
@pytest.mark.parametrize("one_threshold", [False, True])
def test_pruning_is_the_references(percent: float, one_threshold: bool) -> None:
    prune = measures.pruned_globally if one_threshold else measures.pruned_by_layer
    found = prune(NETWORK, percent)
    expected = plain(pruned_by_the_reference(percent, one_threshold=one_threshold))
    for name, weight in expected.items():
        assert (found[name] != weight).sum() <= 1, name  # an element at the threshold may go either way
    assert measures.sparsity(found) == pytest.approx(percent / 100, abs=1e-3)
    assert all((found[name] != 0).all() for name in found if "id_mapping.0" in name)


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("symmetric", [False, True])
def test_quantization_is_the_references(bits: int, symmetric: bool) -> None:
    weight = measures.pruned_by_layer(NETWORK, 70)["body_op.4.conv1.0.conv.weight"]
    found = measures.quantize(weight, bits, symmetric=symmetric)
    expected = STE.apply(torch.from_numpy(weight), bits, symmetric).numpy()
    step = np.diff(np.unique(expected)).max()
    different = np.abs(found - expected) > 1e-5 * step
    assert different.sum() <= 1  # an exact tie of float32
    assert (found[weight == 0] == 0).all()


@pytest.mark.parametrize("options", [{}, {"symmetric": True}, {"symmetric": True, "zero": True}])
def test_what_is_quantized_already_stays_as_it_is(options: dict[str, bool]) -> None:
    once = measures.quantized(NETWORK, 3, **options)
    twice = measures.quantized(once, 3, **options)
    for name, weight in once.items():
        np.testing.assert_allclose(twice[name], weight, atol=1e-6)
    levels = measures.levels_by_layer(once)
    assert len(levels) == 20 and max(levels.values()) == (6 if options.get("zero") else 8)
    np.testing.assert_array_equal(once["final_fc.linear.weight"], NETWORK["final_fc.linear.weight"])
    np.testing.assert_array_equal(once["head_conv.0.conv.weight"], NETWORK["head_conv.0.conv.weight"])


@pytest.mark.parametrize("weight", [np.zeros(4, np.float32), np.full(4, 2, np.float32), np.array([0, 3], np.float32)])
def test_layers_without_a_range_stay_as_they_are(weight: np.ndarray) -> None:
    np.testing.assert_array_equal(measures.quantize(weight, 2), weight)


def test_similarity_tells_descendants_from_strangers() -> None:
    noisy = {name: weight + 0.01 * np.sign(weight) for name, weight in NETWORK.items()}
    assert measures.similarity(noisy, NETWORK, NETWORK) > 0.98
    assert (
        measures.similarity(measures.pruned_by_layer(NETWORK, 80), NETWORK, measures.pruned_by_layer(NETWORK, 80))
        > 0.99
    )
    assert abs(measures.similarity(plain(random_network(2)), NETWORK, NETWORK)) < 0.05


def test_a_digest_follows_the_weights_and_nothing_else() -> None:
    first = measures.digest_of(NETWORK)
    reordered = {name: np.asfortranarray(NETWORK[name]) for name in reversed(NETWORK)}
    assert measures.digest_of(reordered) == first
    name = "body_op.0.conv1.0.conv.weight"
    assert measures.digest_of({**NETWORK, name: NETWORK[name] * np.float32(1.001)}) != first


def test_a_zero_has_no_sign_in_a_digest() -> None:
    negative = {name: np.where(weight == 0, np.float32(-0.0), weight) for name, weight in PRUNED.items()}
    assert np.signbit(negative[LAYER][negative[LAYER] == 0]).all()
    assert measures.digest_of(negative) == measures.digest_of(PRUNED) != measures.digest_of(NETWORK)


@pytest.mark.parametrize(
    "network",
    [
        NETWORK,
        PRUNED,
        measures.pruned_globally(NETWORK, 50),
        measures.quantized(NETWORK, 2),
        measures.quantized(PRUNED, 4),
        {name: weight.astype(np.float16).astype(np.float32) for name, weight in NETWORK.items()},
    ],
)
def test_what_pruning_and_quantizing_make_is_untrained(network: dict[str, np.ndarray]) -> None:
    assert measures.is_untrained(network, NETWORK)


def test_a_few_steps_of_training_are_noticed() -> None:
    noise = np.random.default_rng(0).normal(size=NETWORK[LAYER].shape).astype(np.float32)
    trained = {**NETWORK, LAYER: NETWORK[LAYER] + np.float32(1e-3) * noise}
    for network in (trained, measures.pruned_by_layer(trained, 70), measures.quantized(trained, 4)):
        assert not measures.is_untrained(network, NETWORK)
    assert not measures.is_untrained(plain(random_network(2)), NETWORK)

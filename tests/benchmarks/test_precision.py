"""What mixed precision costs in accuracy: fine-tuning the network without 70 % of its weights, as in Lab 2(c).

Target: at most 0.3 points, the mean over three seeds of the order, the crops and the flips, against plain float32. Each
of the six trainings is one epoch on CIFAR-10, also where bfloat16 is no faster.
``CIFAR10_DIR=DIR pytest tests/benchmarks/test_precision.py -s`` prints the accuracies.
"""

from __future__ import annotations

import os
import statistics
from typing import Literal

import lab2_pruning
import pytest
import torch
import torch.nn.functional as F
import train_util
from pytest_benchmark.fixture import BenchmarkFixture
from resnet20 import ResNetCIFAR
from safetensors.torch import load_file

from tests.conftest import ROOT

MOST, SEEDS, BATCH, SPARSITY = 0.003, (0, 1, 2), 256, 70.0
PRETRAINED = ROOT / "fixtures" / "pretrained" / "resnet20.safetensors"


@pytest.fixture(scope="module")
def images() -> tuple[train_util.ImageSet, train_util.ImageSet]:
    if "CIFAR10_DIR" not in os.environ:
        pytest.skip("CIFAR10_DIR does not say where CIFAR-10 is")
    return train_util.load_cifar10("train"), train_util.load_cifar10("test")


def _accuracy(
    images: tuple[train_util.ImageSet, train_util.ImageSet], precision: Literal["float32", "bfloat16"], seed: int
) -> float:
    net = ResNetCIFAR()
    net.load_state_dict(load_file(PRETRAINED))
    for layer in lab2_pruning.prunable_layers(net).values():
        lab2_pruning.prune_by_percentage(layer, SPARSITY)
    loader = train_util.Loader(images[0], BATCH, shuffle=True, augment=True, seed=seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.002, momentum=0.875, weight_decay=1e-4)
    with train_util.accelerated(net, precision):
        lab2_pruning.finetune_after_prune(net, loader, F.cross_entropy, optimizer)
    return train_util.evaluate_images(net, images[1])


def test_mixed_precision_costs_little_accuracy(
    benchmark: BenchmarkFixture, images: tuple[train_util.ImageSet, train_util.ImageSet]
) -> None:
    plain = {seed: _accuracy(images, "float32", seed) for seed in SEEDS}
    mixed = {seed: _accuracy(images, "bfloat16", seed) for seed in SEEDS}
    benchmark.extra_info.update({"float32": plain, "bfloat16": mixed})
    benchmark.pedantic(lambda: None)
    cost = statistics.mean(plain.values()) - statistics.mean(mixed.values())
    print(f"\nfloat32 {plain}\nbfloat16 {mixed}\ncost {100 * cost:.2f} points")
    assert cost <= MOST

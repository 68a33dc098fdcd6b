"""The tiny image set and the small network: scikit-learn's digits, and a ResNet-8 trained on them in seconds.

At 8 x 8 pixels, the size at which the digits come, one training step takes about 5 ms on one core, pruning to 70 %
and quantizing to 2 bits visibly hurt, and eight steps visibly heal. Larger images made that slower, not clearer.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from grader import locations
from grader.cases import Arrays
from grader.errors import GraderError

__all__ = ["NETWORK", "load_reference", "make_tiny", "recipe_key"]

NETWORK = {"num_layers": 8, "width": 6}
"""The size of the small network; its parameter names are those of the assignment's."""

_SEED = 21
_TRAINED_ON = 1400
_KEPT = {"train": 128, "test": 160}
_EPOCHS = 10
_PEAK_LR = 0.1


def recipe_key() -> str:
    """A digest of this file and of the network's: another recipe needs another training."""
    network = locations.instructor_folder("reference") / "resnet20.py"
    return hashlib.sha256(Path(__file__).read_bytes() + network.read_bytes()).hexdigest()[:16]


def load_reference(name: str) -> ModuleType:
    """A module of the reference, outside ``sys.path`` so that its name stays free for students'."""
    path = locations.instructor_folder("reference") / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"_reference_{name}", path)
    if spec is None or spec.loader is None:
        raise GraderError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """All 1,797 digits as (N, 3, 8, 8) float32 of mean 0 and deviation 1, shuffled, and their labels (N,) int64."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.repeat(data.images[:, None].astype(np.float32), 3, axis=1)
    images = (images - images.mean()) / images.std()
    order = np.random.default_rng(_SEED).permutation(len(images))
    return images[order], data.target.astype(np.int64)[order]


def make_tiny() -> Arrays:
    """Images and labels to fine-tune on and to test on, and the trained network, by their shared names."""
    images, labels = _digits()
    net = _train(torch.from_numpy(images[:_TRAINED_ON]), torch.from_numpy(labels[:_TRAINED_ON]))
    test = slice(_TRAINED_ON, _TRAINED_ON + _KEPT["test"])
    arrays = {
        "train.images": images[: _KEPT["train"]],
        "train.labels": labels[: _KEPT["train"]],
        "test.images": images[test],
        "test.labels": labels[test],
    }
    return arrays | {f"net.{name}": tensor.numpy() for name, tensor in net.state_dict().items()}


def _train(images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """A one-cycle schedule of SGD, seeded, on one thread."""
    generator = torch.Generator().manual_seed(_SEED)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        net: nn.Module = load_reference("resnet20").ResNetCIFAR(**NETWORK)
    optimizer = torch.optim.SGD(net.parameters(), lr=_PEAK_LR, momentum=0.9, weight_decay=5e-4)
    batches = -(-len(images) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_LR, total_steps=_EPOCHS * batches)
    for _ in range(_EPOCHS):
        for chosen in torch.randperm(len(images), generator=generator).split(64):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(net(images[chosen]), labels[chosen]))
            optimizer.step()
            schedule.step()
    torch.set_num_threads(threads)
    return net

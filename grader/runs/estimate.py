"""How long the experiments take on this machine, predicted from a few timed batches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import nn

from grader.runs.execute import Executor
from grader.runs.plan import Run

__all__ = ["Speed", "estimate", "measure_speed", "train_batches"]

_BATCHES, _TESTED = 4, 2_000


@dataclass(frozen=True, slots=True)
class Speed:
    """Images per second."""

    training: float
    testing: float
    precision: str


def measure_speed(executor: Executor) -> Speed:
    """Train a few batches, after one to warm up, and test some images."""
    util, training = executor.code.train_util, executor.assignment.training
    precision = util.fastest_precision(executor.device) if executor.precision == "auto" else executor.precision
    net = executor.code.network.ResNetCIFAR(num_layers=training.num_layers).to(executor.device)
    with util.accelerated(net, precision):
        trained = train_batches(executor, net)
    test_set = executor.test_set
    some = util.ImageSet(test_set.images[:_TESTED], test_set.labels[:_TESTED], test_set.classes)
    started = time.perf_counter()
    util.evaluate_images(net, some)
    testing = len(some) / (time.perf_counter() - started)
    return Speed(trained, testing, precision)


def train_batches(executor: Executor, net: nn.Module) -> float:
    """Train a network for a few batches, after one to warm up; the images per second."""
    training = executor.assignment.training
    loader = executor.code.train_util.Loader(executor.train_set, training.batch_size, shuffle=True, augment=True)
    optimizer = torch.optim.SGD(net.parameters(), training.lr, training.momentum, weight_decay=training.reg)
    times = [(len(targets), _timed(net, optimizer, inputs, targets)) for inputs, targets in islice(loader, _BATCHES)]
    after = times[1:] or times
    return sum(count for count, _ in after) / sum(seconds for _, seconds in after)


def _timed(net: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor, targets: torch.Tensor) -> float:
    started = time.perf_counter()
    optimizer.zero_grad()
    loss = F.cross_entropy(net(inputs), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    loss.item()  # a GPU is still at work; reading a number waits for it
    return time.perf_counter() - started


def estimate(runs: Iterable[Run], executor: Executor, speed: Speed) -> Iterator[tuple[Run, float]]:
    """Each run with the seconds that it takes; one whose checkpoint is given is only measured."""
    for run in runs:
        test = len(executor.test_set) / speed.testing
        epoch = len(executor.train_set) / speed.training + test
        yield run, (0 if executor.is_given(run) else run.epochs) * epoch + test

"""What the clean fork server has loaded before any student code: the libraries, the probes, and nothing else.

Importing this module also runs once what torch and matplotlib import lazily (the first backward pass alone pulls in
some 490 modules), so that a fork finds it warm. It never loads the reference, a golden or anything of the judge.
"""

from __future__ import annotations

import gc
import os

from grader.environment import ONE_THREAD

# One thread: a pool of threads does not survive a fork, and results must not depend on the number of cores.
# No GPU, unless this process was spawned with one: a hard-coded device runs on the CPU, and a CUDA context does not
# survive a fork either.
os.environ.update(ONE_THREAD, MPLBACKEND="Agg")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

import grader.probes.checkpoints
import grader.probes.cifar
import grader.probes.general
import grader.probes.lab1
import grader.probes.lab2
import grader.probes.lab3
import grader.probes.rerun
import grader.worker.cpu_only
import grader.worker.loop
import grader.worker.saving  # noqa: F401
from grader.worker.pages import use_huge_pages
from grader.worker.sandbox.places import libraries

torch.set_num_threads(1)
# On the tiny network torch's own kernels are quicker than oneDNN's, and the same on more processors.
torch.backends.mkldnn.set_flags(False)  # type: ignore[no-untyped-call]

_CONVOLUTIONS = ((3, 6, 8, 3, 1), (6, 6, 8, 3, 1), (6, 12, 8, 3, 2), (12, 12, 4, 3, 1), (12, 24, 4, 3, 2),
                 (24, 24, 2, 3, 1), (6, 12, 8, 1, 2), (12, 24, 4, 1, 2))  # fmt: skip
"""Input and output channels, size of the images, size of the kernel, and stride of the small network's layers."""


def _warm_torch() -> None:
    """One training step on layers of the small network's shapes: what is imported or compiled on first use is there."""
    for inputs, outputs, size, kernel, stride in _CONVOLUTIONS:
        layer = torch.nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        net = torch.nn.Sequential(layer, torch.nn.BatchNorm2d(outputs))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.5, weight_decay=0.1)
        images = torch.zeros(16, inputs, size, size, requires_grad=True)
        loss = F.cross_entropy(net(images).mean((2, 3)), torch.zeros(16, dtype=torch.long))
        torch.autograd.backward(loss)
        optimizer.step()


def _warm_matplotlib() -> None:
    """One figure with what the plots of Lab 1 use."""
    figure, axes = plt.subplots()
    axes.plot([1, 2], label="a")
    axes.set_yscale("log")
    axes.legend()
    plt.close(figure)


if not os.environ["CUDA_VISIBLE_DEVICES"]:  # else the first backward pass opens CUDA, which waits for the sandbox
    _warm_torch()
_warm_matplotlib()
libraries()
# What is loaded stays: a fork need neither search it for garbage nor copy its pages to do so.
gc.collect()
gc.freeze()
use_huge_pages()

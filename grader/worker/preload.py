"""What the clean fork server has loaded before any student code: the libraries, the probes, and nothing else.

Importing this module also runs once what torch and matplotlib import lazily (the first backward pass alone pulls in
some 490 modules), so that a fork finds it warm. It never loads the reference, a golden or anything of the judge.
"""

from __future__ import annotations

import gc
import os

# One thread: a pool of threads does not survive a fork, and results must not depend on the number of cores.
# No GPU: a hard-coded device runs on the CPU, and a CUDA context does not survive a fork either.
os.environ.update(
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    CUDA_VISIBLE_DEVICES="",
    MPLBACKEND="Agg",
)

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

import grader.probes.general
import grader.probes.lab1
import grader.probes.lab2
import grader.probes.lab3
import grader.worker.cpu_only
import grader.worker.loop  # noqa: F401
from grader.worker.sandbox.places import libraries

torch.set_num_threads(1)


def _warm_torch() -> None:
    """One training step: backward and the optimizers import most of what they need on first use."""
    layer = torch.nn.Conv2d(1, 1, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.5)
    loss = F.cross_entropy(layer(torch.zeros(1, 1, 4, 4)).flatten(1), torch.zeros(1, dtype=torch.long))
    torch.autograd.backward(loss)
    optimizer.step()


def _warm_matplotlib() -> None:
    """One figure with what the plots of Lab 1 use."""
    figure, axes = plt.subplots()
    axes.plot([1, 2], label="a")
    axes.set_yscale("log")
    axes.legend()
    plt.close(figure)


_warm_torch()
_warm_matplotlib()
libraries()
# What is loaded stays: a fork need neither search it for garbage nor copy its pages to do so.
gc.collect()
gc.freeze()

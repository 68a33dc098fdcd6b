"""A student's own training functions on the training images of CIFAR-10, in the sandbox, for a few epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grader.assignment import Limits
from grader.cases import Arrays
from grader.errors import CheckFailed, CheckTimedOut
from grader.full.reading import counters
from grader.full.standard import FullOptions, Standard
from grader.interview import Interview
from grader.worker.sandbox.policy import Policy

__all__ = ["Rerun", "counted", "rerun_limits", "rerun_note", "rerun_policy"]

_MEMORY = 6 << 30
"""A training step on 256 images takes up to 3 GiB."""


def rerun_policy(isolation: Policy | None) -> Policy:
    """The sandbox for a training: the same, with more memory and time."""
    return replace(isolation or Policy(), memory=_MEMORY, cpu_seconds=None)


def rerun_limits(limits: Limits, options: FullOptions) -> Limits:
    """One deadline for each function."""
    return limits.model_copy(update={"probe_seconds": 60 * options.rerun_minutes, "submission_seconds": math.inf})


def counted(epochs: int) -> str:
    """``1 epoch``, ``2 epochs``."""
    return f"{epochs} epoch" + ("" if epochs == 1 else "s")


def rerun_note(options: FullOptions) -> str:
    """How trainings were run again, for a report: one that ran out of time may not do so on other terms."""
    return (
        f"The training functions were run again for {counted(options.rerun)} on the CPU, each for at most "
        f"{options.rerun_minutes:g} minutes."
    )


@dataclass(frozen=True)
class Rerun:
    """What a re-run needs.

    Args:
        standard: the training images and the pre-trained network.
        options: how many epochs, and how long.
        interview: opens a worker that holds the staged submission; a new one for each function.
    """

    standard: Standard
    options: FullOptions
    interview: Callable[[], AbstractContextManager[Interview]]

    @property
    def epochs(self) -> int:
        """How many epochs each function trains."""
        return self.options.rerun

    def trained(self, probe: str, params: Mapping[str, Any], network: Arrays) -> Arrays:
        """The network that a function makes of ``network``.

        Raises:
            CheckFailed: the student's code has no usable answer.
            CheckTimedOut: it has none before the deadline.
        """
        arrays = {f"net.{name}": array for name, array in network.items()}
        with self.interview() as interview:
            for part in self.standard.train.parts:
                interview.ask("rerun.keep", {}, part)
            try:
                _, answer = interview.ask(probe, {**params, "epochs": self.epochs}, arrays)
            except CheckTimedOut:
                minutes = f"{self.options.rerun_minutes:g} minutes"
                raise CheckTimedOut(f"your code did not finish {counted(self.epochs)} within {minutes}") from None
        return {**_state(answer, network), **counters(network)}


def _state(answer: Arrays, network: Arrays) -> Arrays:
    """The tensors of the network in an answer, each of the shape that it had."""
    found: Arrays = {}
    for name, before in network.items():
        if name in counters(network):
            continue
        after = answer.get(f"net.{name}")
        if after is None or after.shape != before.shape or after.dtype.kind != "f":
            raise CheckFailed(f"after the training {name} is no longer in the network, or has another shape or type")
        if not np.isfinite(after).all():
            raise CheckFailed(f"after the training {name} holds NaN or infinite values")
        found[name] = after.astype(np.float32)
    return found

"""Accuracy as the judge measures it: on its own network, against labels that never leave this process."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from grader.assignment import Limits
from grader.cases import Arrays, CaseSet
from grader.errors import CheckFailed, InternalError
from grader.interview import Interview, InterviewFactory
from grader.worker.sandbox.policy import Policy, Status

__all__ = ["Evaluator"]

_MOST_MEASURED = 10_000


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def _size(network: Arrays) -> dict[str, int]:
    """The size of a network, as the provided one is told it."""
    blocks = {name.split(".")[1] for name in network if name.startswith("body_op.")}
    return {"num_layers": 2 * len(blocks) + 2, "width": len(network["head_conv.0.conv.weight"])}


class Evaluator:
    """Measures accuracy: loads plain weights into the provided network, in a worker that never sees student code.

    The labels do not leave this process.

    Args:
        pristine: the folder of the provided files.
        limits: the deadline.
        shared: holds ``test.images`` (normalised, or the bytes of CIFAR-10), ``test.labels``, and the float network
            ``net.*``, whose size is that of every network to measure.
        interview: makes the worker.
        isolation: what its sandbox should consist of.
    """

    def __init__(
        self,
        pristine: Path,
        limits: Limits,
        shared: CaseSet,
        interview: InterviewFactory = Interview,
        isolation: Policy | None = None,
    ) -> None:
        # It measures for every submission of a class, so what one submission may take is no limit for it.
        without_end = dict.fromkeys(("submission_seconds", "restarts", "timeouts"), math.inf)
        endless = limits.model_copy(update={"least_seconds": limits.probe_seconds, **without_end})
        policy = replace(isolation or Policy(), cpu_seconds=None)
        self._interview = interview(pristine, endless, isolation=policy)
        self._images = shared.shared["test.images"]
        self._labels = shared.shared["test.labels"]
        self._network = shared.group("net.")
        self._params = {"net": _size(self._network)}
        self._measured: dict[str, float] = {}
        self._baseline: float | None = None

    def close(self) -> None:
        """End the worker."""
        self._interview.close()

    @property
    def sandbox(self) -> Status:
        """Which layers confine its worker, and so any worker of this machine."""
        return self._interview.begin()

    @property
    def baseline(self) -> float:
        """The accuracy of the float network, a fraction."""
        if self._baseline is None:
            self._baseline = self.accuracy({})
        return self._baseline

    def accuracy(self, changed: Arrays) -> float:
        """The accuracy, a fraction, of the float network with ``changed`` in place of its own arrays.

        Raises:
            CheckFailed: an array is unknown to the network, or has another shape, or holds NaN.
        """
        state = dict(self._network)
        for name, array in changed.items():
            if name not in state or state[name].shape != array.shape:
                raise CheckFailed(f"{name} is not a parameter of the network, or has another shape than before")
            if not np.isfinite(array).all():
                raise CheckFailed(f"{name} holds NaN or infinite values")
            state[name] = array.astype(state[name].dtype)
        arrays = {f"net.{name}": array for name, array in state.items()}
        digest = _digest(arrays)  # what many submissions come to is measured once
        if digest not in self._measured:
            if len(self._measured) >= _MOST_MEASURED:
                self._measured.clear()
            self._measured[digest] = self._measure(arrays)
        return self._measured[digest]

    def _measure(self, arrays: Arrays) -> float:
        try:
            _, answer = self._interview.ask("lab2.logits", self._params, {**arrays, "images": self._images})
        except CheckFailed as failure:  # no student code ran
            raise InternalError(f"the evaluation failed: {failure.message}") from None
        return float((answer["logits"].argmax(axis=1) == self._labels).mean())

"""A student's own training functions on the training images of CIFAR-10, in the sandbox, for a few epochs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from grader.assignment import Limits, Training
from grader.cases import Arrays
from grader.errors import CheckFailed, CheckTimedOut, GraderError, InternalError
from grader.full.reading import counters
from grader.full.standard import FullOptions, Standard
from grader.interview import Interview
from grader.worker.sandbox.policy import Policy

__all__ = ["Rerun", "counted", "require_device", "rerun_limits", "rerun_note", "rerun_policy"]

_MEMORY = 6 << 30
"""A training step on 256 images takes up to 3 GiB."""


def rerun_policy(isolation: Policy | None, device: str = "cpu") -> Policy:
    """The sandbox for a training: the same, with more memory and time, and with the first GPU that this process sees
    where the device is ``cuda``.
    """
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] if device == "cuda" else ""
    return replace(isolation or Policy(), memory=_MEMORY, cpu_seconds=None, gpu=gpu)


def rerun_limits(limits: Limits, options: FullOptions) -> Limits:
    """One deadline for each function."""
    seconds = 60 * options.rerun_minutes
    return limits.model_copy(
        update={"probe_seconds": seconds, "least_seconds": seconds, "submission_seconds": math.inf}
    )


def require_device(options: FullOptions, limits: Limits, pristine: Path, isolation: Policy | None) -> None:
    """Refuse a GPU that a worker in its sandbox cannot compute on.

    Raises:
        GraderError: and why.
    """
    if not options.rerun or options.rerun_device == "cpu":
        return
    patient = limits.model_copy(update={"probe_seconds": 120, "least_seconds": 120})
    with Interview(pristine, patient, isolation=rerun_policy(isolation, "cuda")) as interview:
        try:
            interview.ask("rerun.cuda", {}, {})
        except CheckFailed as failure:
            raise GraderError(
                f"--rerun-device cuda: no GPU can be used here ({failure.message}): leave it out to train on the CPU"
            ) from None


def counted(epochs: int) -> str:
    """``1 epoch``, ``2 epochs``."""
    return f"{epochs} epoch" + ("" if epochs == 1 else "s")


def rerun_note(options: FullOptions) -> str:
    """How trainings were run again, for a report: one that ran out of time may not do so on other terms."""
    where = {"cpu": "the CPU", "cuda": "a GPU"}[options.rerun_device]
    return (
        f"The training functions were run again for {counted(options.rerun)} on {where}, each for at most "
        f"{options.rerun_minutes:g} minutes."
    )


@dataclass(frozen=True)
class Rerun:
    """What a re-run needs.

    Args:
        standard: the training images and the pre-trained network.
        options: how many epochs, how long, and where.
        training: the recipe.
        interview: opens a worker that holds the staged submission and may use a device; a new one for each function.
    """

    standard: Standard
    options: FullOptions
    training: Training
    interview: Callable[[str], AbstractContextManager[Interview]]
    notes: list[str] = field(default_factory=list)
    """What did not train on the GPU."""

    @property
    def epochs(self) -> int:
        """How many epochs each function trains."""
        return self.options.rerun

    def trained(self, probe: str, params: Mapping[str, Any], network: Arrays) -> Arrays:
        """The network that a function makes of ``network``.

        What fails on a GPU is run on the CPU, where the assignment asks that it runs.

        Raises:
            CheckFailed: the student's code has no usable answer.
            CheckTimedOut: it has none before the deadline.
            InternalError: its worker ended before any code of the student's ran.
        """
        if self.options.rerun_device == "cuda":
            try:
                return self._trained("cuda", probe, params, network)
            except CheckTimedOut:
                raise
            except CheckFailed as failure:
                function = probe.partition(".")[2]
                self.notes.append(
                    f"The re-run {function} failed on the GPU ({failure.message}) and was run on the CPU."
                )
        return self._trained("cpu", probe, params, network)

    def _trained(self, device: str, probe: str, params: Mapping[str, Any], network: Arrays) -> Arrays:
        arrays = {f"net.{name}": array for name, array in network.items()}
        recipe = self.training.model_dump(include={"batch_size", "lr", "momentum", "reg"})
        params = {**params, "recipe": recipe, "epochs": self.epochs, "device": device}
        with self.interview(device) as interview:
            self._hand_over_images(interview)
            try:
                _, answer = interview.ask(probe, params, arrays)
            except CheckTimedOut:
                minutes = f"{self.options.rerun_minutes:g} minutes"
                raise CheckTimedOut(f"your code did not finish {counted(self.epochs)} within {minutes}") from None
        return {**_state(answer, network), **counters(network)}

    def _hand_over_images(self, interview: Interview) -> None:
        """Give a worker the training images; no student code runs before it has them."""
        try:
            for part in self.standard.train.parts:
                interview.ask("rerun.keep", {}, part)
        except CheckFailed as failure:
            raise InternalError(
                f"the training images did not reach the worker of a re-run: {failure.message}"
            ) from None


def _state(answer: Arrays, network: Arrays) -> Arrays:
    """The tensors of the network in an answer, each of the shape that it had."""
    found: Arrays = {}
    for name, before in network.items():
        if name in counters(network):
            continue
        after = answer.get(f"net.{name}")
        if after is None or after.shape != before.shape or after.dtype.kind != "f":
            raise CheckFailed(f"after the training {name} is no longer in the network, or has another shape or type")
        with np.errstate(over="ignore"):  # what float32 has no room for becomes infinite
            found[name] = after.astype(np.float32)
        if not np.isfinite(found[name]).all():
            raise CheckFailed(f"after the training {name} holds NaN or infinite values")
    return found

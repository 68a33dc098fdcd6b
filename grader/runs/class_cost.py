"""How long a class takes by the full profile on this machine: one grading, one measurement and a few batches, timed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from grader import locations
from grader.assignment import Assignment
from grader.cases import CaseSet
from grader.evaluator import Evaluator
from grader.full.standard import patient_limits
from grader.grade import Grader
from grader.runs.estimate import train_batches
from grader.runs.execute import Executor
from grader.submission import load_submission

__all__ = ["ClassCost", "measure_class_cost"]

_TESTED = 1_000


@dataclass(frozen=True, slots=True)
class ClassCost:
    """Seconds on one core.

    Args:
        grading: of the checks of the quick profile.
        measurement: of the accuracy of one network.
        epoch: of one epoch of all trainings that are run again, on one core or on the GPU; 0 without a re-run.
        networks: how many networks a submission has measured, those of a re-run not counted.
        standards: how many networks every judge makes of the pre-trained one, and measures once.
        trainings: how many trainings are run again.
    """

    grading: float
    measurement: float
    epoch: float
    networks: int
    standards: int
    trainings: int

    def submission(self, epochs: int) -> float:
        """What one submission takes that hands in every network."""
        again = self.epoch * epochs + (self.trainings * self.measurement if epochs else 0)
        return self.grading + self.networks * self.measurement + again

    def whole(self, students: int, judges: int, epochs: int, *, one_gpu: bool = False) -> float:
        """What a class takes with so many judges, each on a core of its own; with one GPU its trainings queue up."""
        rounds = math.ceil(students / judges)
        seconds = self.standards * self.measurement + rounds * self.submission(epochs)
        return max(seconds, students * self.epoch * epochs) if one_gpu else seconds


def measure_class_cost(executor: Executor, *, rerun: bool) -> ClassCost:
    """Time one submission's parts, with the reference as the submission.

    Args:
        executor: the rubric, the images, and the device of the trainings.
        rerun: whether trainings are run again.
    """
    assignment = executor.assignment
    term, parts = assignment.term, assignment.parts
    bits = len(term.bits)
    networks = {"2c": 1, "2d": 1, "2e": 1, "3c": len(term.finetuned_bits), "3d": len(term.finetuned_bits)}
    standards = {"2a": 1, "2b": len(term.one_shot_sparsities), "3b": bits, "bonus": 2 * bits}
    return ClassCost(
        grading=_grading(assignment),
        measurement=_measurement(executor),
        epoch=_epoch(executor) if rerun else 0.0,
        networks=sum(count for part, count in networks.items() if part in parts),
        standards=sum(count for part, count in standards.items() if part in parts),
        trainings=len(assignment.trainings),
    )


def _grading(assignment: Assignment) -> float:
    reference = load_submission(locations.instructor_folder("reference"), locations.pristine())
    with Grader(assignment) as grader:
        grader.sandbox()  # a judge starts its processes once
        return _seconds(lambda: grader.grade(reference))


def _measurement(executor: Executor) -> float:
    """A worker of the judge's own measures some images, after others to warm up."""
    net = executor.code.network.ResNetCIFAR(num_layers=executor.assignment.training.num_layers)
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    images = executor.test_set.images[:_TESTED].cpu().numpy()
    labels = executor.test_set.labels[:_TESTED].cpu().numpy()
    shared = {"test.images": images, "test.labels": labels, **{f"net.{name}": array for name, array in state.items()}}
    evaluator = Evaluator(locations.pristine(), patient_limits(executor.assignment), CaseSet({}, shared))
    try:
        evaluator.accuracy({})
        name = next(iter(state))
        seconds = _seconds(lambda: evaluator.accuracy({name: state[name] / 2}))
    finally:
        evaluator.close()
    return seconds * len(executor.test_set) / len(images)


def _epoch(executor: Executor) -> float:
    """The trainings as students write them: float32, on one thread; those of Lab 3 quantize."""
    network, device = executor.code.network, executor.device
    depth, most = executor.assignment.training.num_layers, max(executor.assignment.term.finetuned_bits)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = {
            bits: len(executor.train_set)
            / train_batches(executor, network.ResNetCIFAR(num_layers=depth, Nbits=bits).to(device))
            for bits in (None, most)
        }
    finally:
        torch.set_num_threads(threads)
    return sum(seconds[most if part.startswith("3") else None] for part in executor.assignment.trainings)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

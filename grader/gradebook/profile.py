"""How a class is graded: by the quick profile, or by the full one with what it measures by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from grader.assignment import Assignment
from grader.full.rerun import rerun_note
from grader.full.standard import Materials
from grader.gradebook.keys import Keys, keys_of
from grader.report import Outcome, Report

__all__ = ["Profile", "QUICK"]  # noqa: RUF022  (sorted as the house sorts)

_MARGIN = 180.0
"""Seconds beyond what a submission may take: reading it, measuring accuracies, starting a judge or a worker."""
_MEASUREMENTS = 6
"""All measurements of a submission may take as long as so many that each use up their limit; one takes some seconds."""


@dataclass(frozen=True)
class Profile:
    """The quick profile, or with ``materials`` the full one."""

    materials: Materials | None = None

    @property
    def is_full(self) -> bool:
        """Whether checkpoints are measured."""
        return self.materials is not None

    @property
    def is_rerun(self) -> bool:
        """Whether students' trainings are run again."""
        return self.materials is not None and self.materials.options.rerun > 0

    @property
    def needs_gpu(self) -> bool:
        """Whether they train on a GPU."""
        return self.is_rerun and self.materials is not None and self.materials.options.rerun_device == "cuda"

    def keys(self, assignment: Assignment) -> Keys:
        """The keys of everything that is graded now: images, network and epochs count among the checks."""
        keys = keys_of(assignment)
        if self.materials is None:
            return keys
        recipe = assignment.training.model_dump_json(exclude={"pretrain"}) if self.is_rerun else ""
        told = f"{keys.checks} {self.materials.digest} {recipe}"
        return keys._replace(checks=hashlib.sha256(told.encode()).hexdigest())

    def seconds(self, assignment: Assignment) -> float:
        """After how long a submission is given up, with its judge."""
        limits = assignment.limits
        seconds = limits.submission_seconds + _MARGIN
        if self.materials is None:
            return seconds
        seconds += limits.submission_seconds + _MEASUREMENTS * assignment.full.evaluation_seconds  # to open, to measure
        if self.is_rerun:
            attempts = 2 if self.needs_gpu else 1  # what fails on the GPU has its whole time on the CPU
            seconds += len(assignment.trainings) * attempts * (60 * self.materials.options.rerun_minutes + _MARGIN)
        return seconds

    def is_outdated(self, report: Report, assignment: Assignment) -> bool:
        """Whether a training ran out of time on other terms than those of now, so that it is worth another try.

        All other results are the same on any terms, which are no part of the keys.
        """
        if self.materials is None or rerun_note(self.materials.options) in report.notes:
            return False
        trainings = {name for part in assignment.parts.values() for name in part.rerun}
        return any(c.name in trainings and c.outcome is Outcome.TIMEOUT for p in report.parts for c in p.checks)


QUICK = Profile()

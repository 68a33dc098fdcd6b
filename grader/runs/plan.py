"""The experiments of the rubric, each at each of its values: which networks there are, and what each starts from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grader.assignment import Assignment, Experiment
from grader.errors import GraderError

__all__ = ["PRETRAIN", "Run", "chosen", "plan"]

PRETRAIN = "pretrain"


@dataclass(frozen=True, slots=True)
class Run:
    """One network: how it is made, and how often it sees the training images.

    Attributes:
        name: such as ``qat-4``: the experiment's, and its value.
        experiment: what the rubric says of it.
        value: percent of zeros or bits per weight; None where the experiment has no values.
        epochs: passes over the training images; 0 for what is only measured.
        start: the run whose network it starts from; None for the one that starts from nothing.
    """

    name: str
    experiment: Experiment
    value: float | None
    epochs: int
    start: str | None

    @property
    def published(self) -> float | None:
        """What one real student measured on the lossless images, in percent."""
        return self.experiment.published.get("" if self.value is None else f"{self.value:g}")


def plan(assignment: Assignment, epochs: int | None = None) -> dict[str, Run]:
    """The runs of a term by name, each after the one that it starts from; of parts that it leaves out, only starts.

    Args:
        assignment: the rubric.
        epochs: passes in place of the rubric's, for all that train but the pre-training.

    Raises:
        GraderError: an experiment starts from one that is not there.
    """
    runs: dict[str, Run] = {}
    for name, experiment in assignment.experiments.items():
        for run in _each(name, experiment, assignment, epochs):
            if run.start is not None and run.start not in runs:
                raise GraderError(f"experiments.{name} starts from {run.start!r}, but no experiment above it is that")
            runs[run.name] = run
    wanted = [name for name, run in runs.items() if run.experiment.part in assignment.parts]
    return {run.name: run for run in chosen(runs, wanted)}


def _each(name: str, experiment: Experiment, assignment: Assignment, epochs: int | None) -> Iterator[Run]:
    values: Iterable[float | None] = (None,) if experiment.over is None else getattr(assignment.term, experiment.over)
    passes = 0
    if experiment.method == PRETRAIN:
        passes = assignment.training.pretrain.epochs
    elif experiment.trains:
        passes = epochs or assignment.term.epochs
    for value in values:
        own = name if value is None else f"{name}-{value:g}"
        yield Run(own, experiment, value, passes, experiment.start)


def chosen(runs: dict[str, Run], names: Iterable[str], *, extras: bool = False) -> list[Run]:
    """The runs of these names and all that they start from, in order; without names all, optional ones by ``extras``.

    Raises:
        GraderError: there is no such run.
    """
    wanted = list(names)
    if unknown := [name for name in wanted if name not in runs]:
        raise GraderError(f"there is no run {unknown[0]!r}; `grader runs list` names them")
    if not wanted:
        wanted = [name for name, run in runs.items() if extras or not run.experiment.optional]
    needed: set[str] = set()
    for name in wanted:
        link: str | None = name
        while link is not None:
            needed.add(link)
            link = runs[link].start
    return [run for name, run in runs.items() if name in needed]

"""A class whose grading costs nothing: submissions that are only names, and an engine that makes results up.

As a program (``python -m tests.gradebook.fakes FOLDER OUT SECONDS``) it grades such a class, for tests that kill it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.gradebook.batch import grade_class, open_store
from grader.gradebook.grades import Status
from grader.gradebook.packing import pack
from grader.gradebook.publish import publish
from grader.gradebook.run import Job
from grader.gradebook.store import Result
from grader.report import CheckReport, Curve, ManualItem, Outcome, PartReport, Report


def make_class(folder: Path, count: int) -> Path:
    """A folder with a directory for each student."""
    for number in range(count):
        student = folder / f"student{number:04}"
        student.mkdir(parents=True)
        (student / "answers.toml").write_text(f"# {number}\n")
    return folder


def made_up(digest: str, assignment: Assignment, checks: int = 2) -> Report:
    """A report that looks graded; the digest decides which checks pass."""
    dice = int(digest[:12], 16)
    parts = []
    for index, part in enumerate(assignment.parts.values()):
        names = list(part.weights)[:checks]
        passed = {name: bool(dice >> (index + 3 * i) & 1) for i, name in enumerate(names)}
        worth = part.automatic / (len(names) or 1)
        found = tuple(
            CheckReport(name=name, title=f"title of {name}", points=worth * passed[name], max_points=worth,
                        outcome=Outcome.PASSED if passed[name] else Outcome.FAILED,
                        message="" if passed[name] else "it is wrong")
            for name in names
        )  # fmt: skip
        parts.append(
            PartReport(id=part.id, title=part.title, score=sum(c.points for c in found), max_score=part.automatic,
                       manual_max=part.manual, bonus=part.bonus, checks=found)
        )  # fmt: skip
    curve = Curve(title="gradient descent", expected_weights=[[0.0] * 5] * 3, expected_losses=[3.0, 2.0, 1.0],
                  weights=[[float(dice % 7)] * 5] * 3, losses=[3.0, 2.0, 1.0])  # fmt: skip
    return Report(
        submission=digest, profile="quick", score=sum(part.score for part in parts), max_score=79, parts=tuple(parts),
        manual=(ManualItem(part="1b", prompt="Why?", text="Because." if dice & 1 else "", max_score=1),),
        curves=(curve,),
    )  # fmt: skip


class FakeEngine:
    """Makes results up, each after some seconds.

    Args:
        assignment: the rubric.
        seconds: how long each takes.
        statuses: by name of a job, statuses of the first, second, ... time in place of ``graded``.
    """

    def __init__(
        self, assignment: Assignment, seconds: float = 0.0, statuses: Mapping[str, Sequence[Status]] | None = None
    ) -> None:
        self._assignment = assignment
        self._seconds = seconds
        self._statuses = {name: list(given) for name, given in (statuses or {}).items()}
        self.graded: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def running(self) -> list[tuple[Job, float]]:
        return []

    def grade(self, jobs: Sequence[Job]) -> Iterator[Result | None]:
        for job in jobs:
            time.sleep(self._seconds)
            self.graded.append(job.name)
            statuses = self._statuses.get(job.name)
            status = statuses.pop(0) if statuses else Status.GRADED
            packed = pack(made_up(job.digest, self._assignment)) if status is Status.GRADED else None
            yield Result(job.digest, status, self._seconds, "" if packed else f"made up: {status}", packed)
            yield None


class Silence:
    """A watch that tells a function, if there is one, what has a result that is kept."""

    def __init__(self, told: Callable[[str], None] = lambda name: None) -> None:
        self._told = told

    def begin(self, total: int) -> None:
        pass

    def ended(self, job: Job, result: Result) -> None:
        self._told(job.name)

    def tick(self, running: Sequence[tuple[Job, float]]) -> None:
        pass


def main(folder: Path, out: Path, seconds: float) -> None:
    """Grade a class, and say of each result that it is kept."""
    assignment = load_assignment(locations.default_assignment())
    with open_store(out) as store:
        print("open", flush=True)
        watch = Silence(lambda name: print("kept", name, flush=True))
        batch = grade_class(folder, store, assignment, FakeEngine(assignment, seconds), watch)
        publish(store.book(assignment, batch.keys), out)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))

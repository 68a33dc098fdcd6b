"""What a whole class shows: built up from one grade after another, in memory that a large class hardly enlarges."""

from __future__ import annotations

import heapq
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from grader.assignment import Assignment
from grader.gradebook.equal_networks import EqualNetworks
from grader.gradebook.figures import CheckFigures, DiagnosisFigures, Group, PartFigures, Spread, spread_of
from grader.gradebook.grades import Grade, Status, Student, Total
from grader.render.view import counted
from grader.report import CheckReport, Outcome, PartReport

__all__ = ["Statistics", "reason_of"]

_EXAMPLES = 3
_RAN = (Outcome.PASSED, Outcome.FAILED, Outcome.TIMEOUT)


@dataclass(slots=True)
class _Moments:
    """Mean and sum of squared deviations, updated number by number (Welford, Technometrics 4, 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        before = value - self.mean
        self.mean += before / self.count
        self.squares += before * (value - self.mean)


@dataclass(slots=True)
class _CheckTally:
    first: CheckReport
    part: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    rest_if_passed: _Moments = field(default_factory=_Moments)
    rest_if_not: _Moments = field(default_factory=_Moments)

    def add(self, outcome: Outcome, rest: float) -> None:
        self.outcomes[outcome] += 1
        if outcome in _RAN:
            (self.rest_if_passed if outcome is Outcome.PASSED else self.rest_if_not).add(rest)

    def figures(self) -> CheckFigures:
        return CheckFigures(
            name=self.first.name,
            title=self.first.title,
            part=self.part,
            hidden=self.first.hidden,
            note=self.first.max_points == 0,
            ran=sum(self.outcomes[outcome] for outcome in _RAN),
            passed=self.outcomes[Outcome.PASSED],
            timeouts=self.outcomes[Outcome.TIMEOUT],
            skipped=self.outcomes[Outcome.SKIPPED],
            discrimination=_point_biserial(self.rest_if_passed, self.rest_if_not),
        )


@dataclass(slots=True)
class _PartTally:
    automatic: _Moments = field(default_factory=_Moments)
    manual: _Moments = field(default_factory=_Moments)


class Statistics:
    """Figures of a class, from grades that are added one by one in the order of the gradebook.

    Submissions with a fault of the grader are counted and listed, and are in no other figure.

    Args:
        assignment: the rubric.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self.counts: Counter[Status] = Counter()
        self.faults = Group()
        self.unusable = Group()
        self.late = Group()
        self.points_lost = 0.0
        """What being late cost everybody together."""
        self.waiting = Group()
        """Students with written answers that nobody has graded yet; what is said are the parts."""
        self.waiting_answers = 0
        self.networks = EqualNetworks()
        self._totals = array("d")
        self._automatic = array("d")
        self._seconds = array("d")
        self._slowest: list[tuple[float, int, Student]] = []
        self._checks: dict[str, _CheckTally] = {}
        self._parts = {part: _PartTally() for part in assignment.parts}
        self._diagnoses: dict[str, DiagnosisFigures] = {}

    def add(self, grade: Grade, total: Total) -> None:
        """Count one more student."""
        self.counts[grade.status] += 1
        self.networks.add(grade)
        if grade.status is Status.FAULT:
            self.faults.add(grade.student, reason_of(grade))
            return
        if grade.status is Status.UNUSABLE:
            self.unusable.add(grade.student, reason_of(grade))
        if total.points is not None:
            self._totals.append(total.points)
            self._automatic.append(total.automatic)
            self._add_open_matters(grade, total)
        if grade.seconds is not None:
            self._add_time(grade.student, grade.seconds)
        if grade.status is Status.GRADED and grade.report is not None:
            for part in grade.report.parts:
                self._add_part(part, round(total.automatic - (0 if part.bonus else part.score), 4))
            self._add_diagnoses(grade.student, grade.report.parts)

    @property
    def students(self) -> int:
        """How many were added."""
        return self.counts.total()

    def totals(self) -> Spread | None:
        """Points of everybody who has a total, be it provisional; None of nobody."""
        bonus = sum(part.automatic for part in self._assignment.parts.values() if part.bonus)
        return spread_of(self._totals, self._assignment.total + bonus)

    def automatic(self) -> Spread | None:
        """Automatic points, without bonus and before any penalty, of the same students."""
        return spread_of(self._automatic, self._assignment.automatic_total)

    def checks(self) -> list[CheckFigures]:
        """Every check that a report has, in the order of the rubric."""
        order = [name for part in self._assignment.parts.values() for name in part.weights]
        ranks = {name: rank for rank, name in enumerate(order)}
        names = sorted(self._checks, key=lambda name: (ranks.get(name, len(ranks)), name))
        return [self._checks[name].figures() for name in names]

    def hardest(self) -> list[CheckFigures]:
        """The checks that are scored and ran, the one that fewest submissions pass first."""
        scored = [check for check in self.checks() if check.ran and not check.note]
        return sorted(scored, key=lambda check: (check.passed / check.ran, -check.ran))

    def parts(self) -> list[PartFigures]:
        """Every part of the rubric."""
        return [self._part_figures(part) for part in self._assignment.parts]

    def diagnoses(self) -> list[DiagnosisFigures]:
        """The mistakes that were named, the most frequent first."""
        return sorted(self._diagnoses.values(), key=lambda diagnosis: (-diagnosis.group.count, diagnosis.mistake))

    def median_seconds(self) -> float | None:
        """How long grading one submission took; None if nothing was timed."""
        return float(np.median(np.frombuffer(self._seconds))) if self._seconds else None

    def slowest(self) -> list[tuple[Student, float]]:
        """The five submissions that took longest, and their seconds."""
        return [(student, seconds) for seconds, _, student in sorted(self._slowest, reverse=True)]

    def _add_open_matters(self, grade: Grade, total: Total) -> None:
        if total.days_late:
            self.late.add(grade.student, counted(total.days_late, "day"))
            self.points_lost += total.penalty
        if total.waiting:
            self.waiting.add(grade.student, ", ".join(total.waiting))
            self.waiting_answers += len(total.waiting)
        for part, score in grade.manual.items():
            if part in self._parts and self._assignment.parts[part].manual:
                self._parts[part].manual.add(score.points / self._assignment.parts[part].manual)

    def _add_time(self, student: Student, seconds: float) -> None:
        self._seconds.append(seconds)
        heapq.heappush(self._slowest, (seconds, -len(self._seconds), student))
        if len(self._slowest) > 5:
            heapq.heappop(self._slowest)

    def _add_part(self, part: PartReport, rest: float) -> None:
        if part.max_score and part.id in self._parts:
            self._parts[part.id].automatic.add(part.score / part.max_score)
        for check in part.checks:
            tally = self._checks.get(check.name)
            if tally is None:
                bare = check.model_copy(update={"message": "", "expected": None, "received": None})
                tally = self._checks[check.name] = _CheckTally(bare, part.id)
            tally.add(check.outcome, rest)

    def _add_diagnoses(self, student: Student, parts: Sequence[PartReport]) -> None:
        named: dict[str, str] = {}
        for part in parts:
            for check in part.checks:
                named.update(_told(check))
        for mistake, told in named.items():
            title, _, explanation = told.partition(". ")
            figures = DiagnosisFigures(mistake, title.rstrip("."), explanation, Group(_EXAMPLES))
            self._diagnoses.setdefault(mistake, figures).group.add(student)

    def _part_figures(self, part: str) -> PartFigures:
        rubric, tally = self._assignment.parts[part], self._parts[part]
        return PartFigures(
            id=part,
            title=rubric.title,
            bonus=rubric.bonus,
            possible=rubric.automatic,
            share=tally.automatic.mean if tally.automatic.count else None,
            manual_max=rubric.manual,
            manual_count=tally.manual.count,
            manual_share=tally.manual.mean if tally.manual.count else None,
        )


def reason_of(grade: Grade) -> str:
    """Why a grade is not final, in a sentence: what its message says, or which checks the grader failed on."""
    if grade.message or grade.report is None:
        return grade.message
    failed = [c.name for part in grade.report.parts for c in part.checks if c.outcome is Outcome.ERROR]
    return f"the grader failed on {', '.join(failed)}" if failed else ""


def _told(check: CheckReport) -> Iterator[tuple[str, str]]:
    """Each mistake that a check names with what is said about it; two at once are numbered in one text."""
    text = check.diagnosis or ""
    several = re.split(r"(?:^| )\(\d\) ", text)[1:] if len(check.mistakes) > 1 else [text]
    yield from zip(check.mistakes, several if len(several) == len(check.mistakes) else check.mistakes, strict=True)


def _point_biserial(passed: _Moments, others: _Moments) -> float | None:
    count = passed.count + others.count
    if not passed.count or not others.count:
        return None
    apart = passed.mean - others.mean
    pairs = passed.count * others.count
    squares = passed.squares + others.squares + apart * apart * pairs / count
    return apart * math.sqrt(pairs / count / squares) if squares > 0 else None

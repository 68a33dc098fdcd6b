"""One row of the gradebook: who, what was handed in, what it earned, and what is still missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from grader.assignment import Assignment, Late
from grader.report import Report

__all__ = ["Grade", "Gradebook", "HandIn", "ManualScore", "Status", "Student", "Total", "Unclaimed", "total_of"]

_DAY = 24 * 60 * 60


class Status(StrEnum):
    """What became of a student's submission; ``fault`` is always the grader's own, and never a zero."""

    GRADED = "graded"
    UNUSABLE = "unusable"
    FAULT = "fault"
    WAITING = "waiting"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Student:
    """A student, or a group that hands in together.

    Args:
        key: unique in the gradebook, made of letters, digits, ``.``, ``_``, ``@`` and ``-``; names files and rows.
        name, email: as far as known.
        ids: by system what it calls the student: ``canvas``, ``gradescope``, ``moodle``, ``sis``, ``login``,
            ``section``.
    """

    key: str
    name: str = ""
    email: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HandIn:
    """Where a submission lies below the folder of the class, when it was handed in, and whether it is marked late."""

    path: str
    submitted_at: datetime | None = None
    marked_late: bool = False


@dataclass(frozen=True, slots=True)
class ManualScore:
    """What a person gave for the written answer of a part."""

    points: float
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """Something in the folder of the class that is nobody's submission, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Grade:
    """Everything about one student.

    Args:
        student: who.
        status: what became of the submission.
        hand_in: None if there is none.
        report: None unless ``status`` is graded or fault; of a fault it may say what still could be graded.
        message: why there is no final report; empty if there is.
        manual: by part id, what a person gave.
        seconds: how long grading took, if it was graded.
    """

    student: Student
    status: Status
    hand_in: HandIn | None = None
    report: Report | None = None
    message: str = ""
    manual: Mapping[str, ManualScore] = field(default_factory=dict)
    seconds: float | None = None


class Gradebook(Protocol):
    """All students, sorted by key, read one by one: a course may have ten thousand."""

    @property
    def assignment(self) -> Assignment:
        """The rubric, with the rule for late submissions."""

    def __iter__(self) -> Iterator[Grade]: ...

    def unclaimed(self) -> list[Unclaimed]:
        """What was found and belongs to nobody."""


@dataclass(frozen=True, slots=True)
class Total:
    """A student's points.

    Args:
        automatic: without the bonus.
        bonus, manual: what these add.
        days_late: days begun after deadline and grace; at least 1 where the course site only says that it is late.
        penalty: points taken off for that.
        points: what remains; None for a fault of the grader, or where nothing was handed in or graded yet.
        waiting: ids of the parts whose written answers nobody has graded yet.
    """

    automatic: float = 0
    bonus: float = 0
    manual: float = 0
    days_late: int = 0
    penalty: float = 0
    points: float | None = None
    waiting: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing is missing."""
        return self.points is not None and not self.waiting


def total_of(grade: Grade, assignment: Assignment) -> Total:
    """Automatic, manual and bonus points, less what being late costs.

    An unusable submission has none of its own, but keeps what a person gave. Manual points count up to the maximum.
    """
    if grade.status not in (Status.GRADED, Status.UNUSABLE):
        return Total()
    parts = grade.report.parts if grade.report else ()
    automatic = sum(part.score for part in parts if not part.bonus)
    bonus = sum(part.score for part in parts if part.bonus)
    rubric = assignment.parts
    manual = sum(min(score.points, rubric[part].manual) for part, score in grade.manual.items() if part in rubric)
    earned = automatic + bonus + manual
    days = _days_late(grade.hand_in, assignment.late) if grade.hand_in else 0
    penalty = earned * _share_lost(days, assignment.late)
    items = grade.report.manual if grade.report else ()
    return Total(
        automatic=round(automatic, 4),
        bonus=round(bonus, 4),
        manual=round(manual, 4),
        days_late=days,
        penalty=round(penalty, 4),
        points=round(earned - penalty, 4),
        waiting=tuple(item.part for item in items if item.waiting and item.part not in grade.manual),
    )


def _days_late(hand_in: HandIn, rule: Late) -> int:
    if rule.deadline is None or hand_in.submitted_at is None:
        return int(hand_in.marked_late)
    seconds = (hand_in.submitted_at - rule.deadline).total_seconds() - 60 * rule.grace_minutes
    return max(0, math.ceil(seconds / _DAY))


def _share_lost(days: int, rule: Late) -> float:
    if rule.max_days is not None and days > rule.max_days:
        return 1.0
    return min(1.0, days * rule.percent_per_day / 100)

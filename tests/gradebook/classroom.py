"""A class in memory: hand-made grades, and those of the sample submissions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from grader.assignment import Assignment
from grader.gradebook.grades import Grade, HandIn, ManualScore, Status, Student, Unclaimed
from grader.report import CheckReport, ManualItem, Outcome, PartReport, Report

__all__ = ["HOSTILE", "Class", "check", "graded", "part", "report", "student"]

HOSTILE = (
    "</style></title><script>alert(1)</script>\"'><img src=x onerror=y> {{ 7*7 }} \x1b[31m\u202ered\x00[b]x[/b]`<b>`"
)


@dataclass
class Class:
    """A gradebook."""

    assignment: Assignment
    grades: Sequence[Grade]
    nobodys: Sequence[Unclaimed] = field(default_factory=list)

    def __iter__(self) -> Iterator[Grade]:
        return iter(self.grades)

    def unclaimed(self) -> list[Unclaimed]:
        return list(self.nobodys)


def student(key: str = "ada", name: str = "Ada Lovelace") -> Student:
    return Student(key, name, f"{key}@example.org")


def check(name: str, outcome: Outcome, worth: float = 1.0, **more: object) -> CheckReport:
    points = worth if outcome is Outcome.PASSED else 0.0
    given = {"name": name, "title": f"Title of {name}", "points": points, "max_points": worth, "outcome": outcome}
    return CheckReport.model_validate(given | more)


def part(id: str, *checks: CheckReport, **more: object) -> PartReport:
    scores = {"score": sum(c.points for c in checks), "max_score": sum(c.max_points for c in checks)}
    given = {"id": id, "title": f"Part {id}", "manual_max": 0.0, "checks": checks} | scores
    return PartReport.model_validate(given | more)


def report(*parts: PartReport, waiting: Sequence[str] = ()) -> Report:
    items = tuple(ManualItem(part=id, prompt=f"Why {id}?", text="Because.", max_score=2) for id in waiting)
    return Report(
        submission="submitted",
        profile="quick",
        score=sum(p.score for p in parts),
        max_score=sum(p.max_score for p in parts if not p.bonus),
        parts=parts,
        manual=items,
    )


def graded(
    who: str | Student,
    what: Report,
    *,
    status: Status = Status.GRADED,
    manual: Mapping[str, ManualScore] | None = None,
    seconds: float | None = 1.0,
    late: bool = False,
    message: str = "",
) -> Grade:
    return Grade(
        student=student(who) if isinstance(who, str) else who,
        status=status,
        hand_in=HandIn(f"class/{who}.zip", datetime(2026, 3, 1, 12, tzinfo=UTC), late),
        report=what,
        message=message,
        manual=manual or {},
        seconds=seconds,
    )

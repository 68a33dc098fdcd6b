"""Small gradebooks in memory, with a student for everything that can become of a submission."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from grader.assignment import Assignment, Late
from grader.gradebook.grades import Grade, HandIn, ManualScore, Status, Student, Unclaimed
from grader.report import CheckReport, ManualItem, Outcome, PartReport, Report

DEADLINE = datetime(2026, 12, 1, 12, tzinfo=UTC)


@dataclass
class Book:
    """A Gradebook: grades come from a function, so that they can be made one by one."""

    assignment: Assignment
    grades: Callable[[], Iterable[Grade]]

    def __iter__(self) -> Iterator[Grade]:
        return iter(self.grades())

    def unclaimed(self) -> list[Unclaimed]:
        return []


def with_late_rule(assignment: Assignment, percent: float = 10) -> Assignment:
    """The rubric with a deadline."""
    return assignment.model_copy(update={"late": Late(deadline=DEADLINE, percent_per_day=percent)})


def check(name: str = "loss_is_exact", points: float = 1, max_points: float = 1, **more: object) -> CheckReport:
    """A check; failed where it has not all of its points."""
    outcome = Outcome.PASSED if points == max_points else Outcome.FAILED
    given = {"title": f"`{name}` is right", "outcome": outcome, **more}
    return CheckReport.model_validate({"name": name, "points": points, "max_points": max_points, **given})


def report(*checks: CheckReport, waiting: bool = False, notes: tuple[str, ...] = ()) -> Report:
    """A report of part 1a, with a written answer that waits or is empty."""
    score = sum(check.points for check in checks)
    part = PartReport(id="1a", title="Gradient", score=score, max_score=2, manual_max=2, checks=checks)
    item = ManualItem(part="1a", prompt="Derive it.", text="d/dw" if waiting else "", max_score=2)
    return Report(submission="x", profile="quick", score=score, max_score=2, parts=(part,), manual=(item,), notes=notes)


def student(key: str, name: str = "", **ids: str) -> Student:
    """A student with an address at the university."""
    return Student(key, name or key.title(), f"{key}@uni.example", ids)


FULL = report(check("loss_is_exact"), check("gradient_is_exact"))
HALF = report(
    check("loss_is_exact", 0, message="wrong by a factor", expected="18.0", received="9.0", diagnosis="The mean.",
          advice="Add up."),
    check("gradient_is_exact"),
)  # fmt: skip

GRADES = (
    Grade(student("ada", "Ada Ö. Lovelace", canvas="11", moodle="101", sis="s1", login="ada1"), Status.GRADED,
          HandIn("ada", DEADLINE), FULL, manual={"1a": ManualScore(1.5, "Good.")}, seconds=3.25),
    Grade(student("bob", "=cmd|' /C calc'!A0", canvas="12", moodle="102", sis="s2"), Status.GRADED,
          HandIn("bob", datetime(2026, 12, 2, 13, tzinfo=UTC)), HALF),
    Grade(student("cy", "Cy, Jr.", canvas="13", moodle="103"), Status.GRADED, HandIn("cy"),
          report(check("loss_is_exact"), waiting=True)),
    Grade(student("dee", canvas="14", moodle="104"), Status.UNUSABLE, HandIn("dee"), message="it is empty"),
    Grade(student("eve", canvas="15", moodle="105"), Status.FAULT, HandIn("eve"),
          report(check("loss_is_exact", 0, outcome=Outcome.ERROR, message="KeyError: 3")), "KeyError: 3"),
    Grade(student("flo", canvas="16", moodle="106"), Status.WAITING, HandIn("flo")),
    Grade(student("gus", canvas="17", moodle="107"), Status.MISSING),
)  # fmt: skip
"""Ada: all points. Bob: two days late, half of the points, a name that is a formula. Cy: an answer waits."""


def class_book(assignment: Assignment) -> Book:
    """The seven students above, with a rule for being late."""
    return Book(with_late_rule(assignment), lambda: GRADES)


def large_book(assignment: Assignment, size: int, seen: list[int]) -> Book:
    """So many grades of 10 KB, each made when it is asked for; ``seen`` gets the number of each that is asked for."""

    def grades() -> Iterator[Grade]:
        for number in range(size):
            seen.append(number)
            heavy = FULL.model_copy(update={"submission": str(number).zfill(10_000)})
            yield Grade(student(f"s{number:05}"), Status.GRADED, HandIn("x"), heavy)

    return Book(assignment, grades)

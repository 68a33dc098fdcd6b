"""A CSV with everything in numbers: a row for each student, the points of each part, what is late and what waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from grader.assignment import Assignment
from grader.files import write_atomically
from grader.gradebook.exports.common import Exported, Tally
from grader.gradebook.grades import Grade, Gradebook, Total, total_of
from grader.gradebook.sheets import csv_lines, harmless, number

__all__ = ["write"]

_COLUMNS = ("student", "name", "email", "sis", "section", "status", "points", "automatic", "bonus_points", "manual",
            "days_late", "penalty", "waiting", "submitted_at", "message")  # fmt: skip


def write(book: Gradebook, out: Path, *, provisional: bool = False) -> Exported:
    """Write everything.

    Args:
        book: the class.
        out: the CSV.
        provisional: as ``points`` also those to which some for written answers may still be added.

    Raises:
        GraderError: ``out`` cannot be written.
    """
    tally = Tally(provisional=provisional)

    def rows() -> Iterator[Sequence[str]]:
        by_hand = [f"{part.id} by hand" for part in book.assignment.parts.values() if part.manual]
        yield (*_COLUMNS, *book.assignment.parts, *by_hand)
        for grade in book:
            total = total_of(grade, book.assignment)
            points = tally.points(grade, total)
            yield (*_about(grade, total, points), *_by_part(grade, book.assignment, graded=total.points is not None))

    write_atomically(out, csv_lines(rows()))
    return Exported(out, tally.count, tally.notes())


def _about(grade: Grade, total: Total, points: float | None) -> Iterator[str]:
    student, came = grade.student, grade.hand_in.submitted_at if grade.hand_in else None
    yield from map(
        harmless, (student.key, student.name, student.email, student.ids.get("sis", ""), student.ids.get("section", ""))
    )
    yield grade.status.value
    yield number(points)
    numbers = (total.automatic, total.bonus, total.manual, total.days_late, total.penalty)
    yield from [""] * len(numbers) if total.points is None else map(number, numbers)
    yield " ".join(total.waiting)
    yield came.isoformat(timespec="seconds") if came else ""
    yield harmless(grade.message)


def _by_part(grade: Grade, assignment: Assignment, *, graded: bool) -> Iterator[str]:
    earned = {part.id: part.score for part in grade.report.parts} if grade.report and graded else {}
    yield from (number(earned.get(part)) for part in assignment.parts)
    for part in assignment.parts.values():
        if part.manual:
            yield number(grade.manual[part.id].points) if part.id in grade.manual else ""

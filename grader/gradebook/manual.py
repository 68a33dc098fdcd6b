"""Points by hand: a CSV with every written answer that waits goes out, and comes back with points in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.files import write_atomically
from grader.gradebook.grades import Gradebook, ManualScore
from grader.gradebook.sheets import csv_lines, harmless, read_sheet

__all__ = ["read_scores", "write_template"]

_COLUMNS = ("student", "name", "part", "prompt", "text", "max", "points", "comment")
_SHOWN_PROBLEMS = 10


def write_template(book: Gradebook, path: Path) -> int:
    """Write a row for each written answer that a person grades, with what was given so far; returns how many.

    Empty answers earn nothing and are left out.
    """
    count = 0

    def rows() -> Iterator[tuple[object, ...]]:
        nonlocal count
        yield _COLUMNS
        for grade in book:
            for item in grade.report.manual if grade.report else ():
                if item.waiting:
                    count += 1
                    given = grade.manual.get(item.part)
                    yield (grade.student.key, harmless(grade.student.name), item.part, item.prompt,
                           harmless(item.text), f"{item.max_score:g}", f"{given.points:g}" if given else "",
                           given.comment if given else "")  # fmt: skip

    write_atomically(path, csv_lines(rows()))
    return count


def read_scores(
    path: Path, assignment: Assignment, students: Iterable[str]
) -> list[tuple[str, str, ManualScore | None]]:
    """Read the points from a filled template: student's key, part, score; rows without points are left out.

    Only the columns student, part, points and comment are read. ``-`` as points takes back what was given.

    Raises:
        GraderError: naming every row that is wrong; nothing of the file counts then.
    """
    rows = _rows(path)
    known = set(students)
    problems: list[str] = []
    scores: dict[tuple[str, str], ManualScore | None] = {}
    for number, row in rows:
        try:
            student, part, score = _score(row, assignment, known)
            if not row["points"].strip() and (row.get("comment") or "").strip():
                raise ValueError("a comment without points would be lost: give points too")
            if row["points"].strip() and scores.setdefault((student, part), score) != score:
                raise ValueError(f"{student} already has other points for {part} in this file")
        except ValueError as error:
            problems.append(f"row {number} ({row['student']}, {row['part']}): {error}")
    if problems:
        rest = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        raise GraderError(f"{path} was not imported: {'; '.join(problems[:_SHOWN_PROBLEMS])}{rest}")
    return [(student, part, score) for (student, part), score in scores.items()]


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    sheet = read_sheet(path)
    if lacking := {"student", "part", "points"} - set(sheet.titles):
        raise GraderError(f"{path} has no column {', '.join(sorted(lacking))}: start from `grader manual template`")
    return [
        (number, dict(zip(sheet.titles, row, strict=True)))
        for number, row in zip(sheet.numbers, sheet.rows, strict=True)
    ]


def _score(row: Mapping[str, str], assignment: Assignment, students: set[str]) -> tuple[str, str, ManualScore | None]:
    student, name, points = (row[column].strip() for column in ("student", "part", "points"))
    if student not in students:
        raise ValueError(f"there is no student {student!r}")
    part = assignment.parts.get(name)
    if part is None or not part.manual:
        graded = [part.id for part in assignment.parts.values() if part.manual]
        raise ValueError(f"{name!r} is no part that is graded by hand: {', '.join(graded)}")
    if points in ("", "-"):
        return student, name, None
    try:
        value = float(points.replace(",", "."))
    except ValueError:
        raise ValueError(f"{points!r} is no number of points") from None
    if not (math.isfinite(value) and 0 <= value <= part.manual):
        raise ValueError(f"{points} points for {name}, which has 0 to {part.manual:g}")
    return student, name, ManualScore(value, (row.get("comment") or "").strip())

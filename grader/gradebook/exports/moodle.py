"""A CSV for Moodle: for its grade import, or its own offline grading worksheet with grades and feedback filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grader.errors import GraderError
from grader.files import write_atomically
from grader.gradebook.exports.common import Exported, Tally, lost_points
from grader.gradebook.exports.matching import match
from grader.gradebook.grades import Grade, Gradebook, Student, total_of
from grader.gradebook.sheets import Sheet, csv_lines, harmless, number, parsed, read_sheet

__all__ = ["IDENTIFIERS", "write"]

IDENTIFIERS: Mapping[str, str] = {"Email address": "", "ID number": "sis", "Username": "login"}
"""What Moodle's grade import can know students by, with the name of that id in the gradebook; the address has none."""

_IDENTIFIER, _GRADE, _FEEDBACK = "Identifier", "Grade", "Feedback comments"
_MAXIMUM, _CHANGEABLE = "Maximum Grade", "Grade can be changed"
_WRITTEN_BY_STUDENTS = ("Full name", "Online text")


def write(
    book: Gradebook,
    out: Path,
    *,
    into: Path | None = None,
    identifier: str = "Email address",
    provisional: bool = False,
) -> Exported:
    """Write the points of the class, and what cost points as feedback.

    Args:
        book: the class.
        out: the CSV.
        into: the grading worksheet as Moodle exported it; everything else in it is kept.
        identifier: without ``into``, by what Moodle knows students: one of IDENTIFIERS.
        provisional: also points to which those for written answers may still be added.

    Raises:
        GraderError: ``into`` is no grading worksheet, ``identifier`` is unknown, or ``out`` cannot be written.
    """
    tally = Tally(provisional=provisional)
    if into is not None:
        return _fill(book, out, into, tally)
    if identifier not in IDENTIFIERS:
        raise GraderError(f"Moodle knows nobody by {identifier!r}: take one of {', '.join(IDENTIFIERS)}")
    strangers = 0

    def rows() -> Iterator[Sequence[str]]:
        nonlocal strangers
        yield (identifier, "Full name", book.assignment.name, f"Feedback: {book.assignment.name}")
        for grade in book:
            known_by = _known_by(grade.student, identifier)
            strangers += not known_by
            points = tally.points(grade, total_of(grade, book.assignment))
            said = "" if points is None else _said(grade)
            yield (harmless(known_by), harmless(grade.student.name), number(points), harmless(said))

    write_atomically(out, csv_lines(rows(), mark=False))
    unknown = (f"Without {identifier}, so that Moodle cannot take them: {strangers}.",)
    return Exported(out, tally.count, (*tally.notes(), *(unknown if strangers else ())))


def _known_by(student: Student, identifier: str) -> str:
    system = IDENTIFIERS[identifier]
    return student.ids.get(system, "") if system else student.email


def _said(grade: Grade) -> str:
    """What cost points, in words of the rubric only, and what people wrote."""
    lines = lost_points(grade.report) if grade.report else [grade.message]
    lines += [f"{part}  by hand: {score.comment}" for part, score in grade.manual.items() if score.comment]
    return "\n".join(lines)


def _fill(book: Gradebook, out: Path, into: Path, tally: Tally) -> Exported:
    sheet = read_sheet(into)
    if lacking := [title for title in (_IDENTIFIER, _GRADE) if title not in sheet.titles]:
        raise GraderError(
            f"{into} has no column {' and no column '.join(lacking)}: give Moodle's own grading worksheet"
        )
    found = match(book, [_person(sheet, row) for row in sheet.rows], lambda grade: _taken(book, grade, tally))
    pairs = list(zip(sheet.rows, found.taken, strict=True))
    locked = sum(taken is not None and _is_locked(sheet, row) for row, taken in pairs)

    def rows() -> Iterator[Sequence[str]]:
        yield sheet.titles
        for row, taken in pairs:
            new = {} if taken is None or _is_locked(sheet, row) else {_GRADE: number(taken[0]), _FEEDBACK: taken[1]}
            yield [_kept(title, new.get(title, cell)) for title, cell in zip(sheet.titles, row, strict=True)]

    write_atomically(out, csv_lines(rows(), delimiter=sheet.delimiter, mark=sheet.mark))
    above = sum(taken is not None and _is_above(sheet, row, taken[0]) for row, taken in pairs)
    notes = [*tally.notes(), *found.notes]
    if locked:
        notes.append(f"Rows whose grade Moodle does not let change, left as they were: {locked}.")
    if above:
        notes.append(f"Grades above Moodle's maximum, which it may refuse: {above}.")
    return Exported(out, sum(taken is not None for taken in found.taken) - locked, tuple(notes))


def _taken(book: Gradebook, grade: Grade, tally: Tally) -> tuple[float, str] | None:
    points = tally.points(grade, total_of(grade, book.assignment))
    return None if points is None else (points, _said(grade))


def _kept(title: str, cell: str) -> str:
    """A lone dash is Moodle's own, for nothing."""
    return harmless(cell) if title in (*_WRITTEN_BY_STUDENTS, _FEEDBACK) and cell != "-" else cell


def _cell(sheet: Sheet, row: Sequence[str], title: str) -> str:
    return row[sheet.titles.index(title)].strip() if title in sheet.titles else ""


def _is_locked(sheet: Sheet, row: Sequence[str]) -> bool:
    return _cell(sheet, row, _CHANGEABLE).casefold() == "no"


def _is_above(sheet: Sheet, row: Sequence[str], points: float) -> bool:
    maximum = parsed(_cell(sheet, row, _MAXIMUM))
    return maximum is not None and points > maximum


def _person(sheet: Sheet, row: Sequence[str]) -> Student:
    username = _cell(sheet, row, "Username")
    ids = {"moodle": _cell(sheet, row, _IDENTIFIER).removeprefix("Participant").strip(),
           "sis": _cell(sheet, row, "ID number"), "login": username}  # fmt: skip
    return Student(username, _cell(sheet, row, "Full name"), _cell(sheet, row, "Email address"), ids)

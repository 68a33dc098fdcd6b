"""A CSV for the gradebook of Canvas: one made anew, or Canvas's own export with the grades filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from grader.errors import GraderError
from grader.files import write_atomically
from grader.gradebook.exports.common import Exported, Tally
from grader.gradebook.exports.matching import match
from grader.gradebook.grades import Gradebook, Student, total_of
from grader.gradebook.sheets import Sheet, csv_lines, harmless, number, parsed, read_sheet

__all__ = ["write"]

_IDENTITY = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_ALSO_KEPT = (*_IDENTITY, "Integration ID", "Root Account")
_POINTS_POSSIBLE = "    Points Possible"
_WITH_ID = re.compile(r"(?P<title>.*) \(\d+\)")
_EXCUSED = "ex"


def write(
    book: Gradebook, out: Path, *, into: Path | None = None, column: str = "", provisional: bool = False
) -> Exported:
    """Write the points of the class.

    Args:
        book: the class.
        out: the CSV.
        into: the gradebook as Canvas exported it; its rows are kept, in their order, with one assignment.
        column: the title of the assignment in Canvas, with or without its number; the rubric's name if empty.
        provisional: also points to which those for written answers may still be added.

    Raises:
        GraderError: ``into`` is no export of Canvas, or has no such assignment, or ``out`` cannot be written.
    """
    tally = Tally(provisional=provisional)
    if into is not None:
        return _fill(book, out, into, column or book.assignment.name, tally)
    strangers = 0

    def rows() -> Iterator[Sequence[str]]:
        nonlocal strangers
        yield (*_IDENTITY, column or book.assignment.name)
        yield (_POINTS_POSSIBLE, "", "", "", "", number(book.assignment.total))
        for grade in book:
            ids = [harmless(grade.student.ids.get(name, "")) for name in ("canvas", "sis", "login", "section")]
            strangers += not any(ids[:3])
            points = tally.points(grade, total_of(grade, book.assignment))
            yield (harmless(grade.student.name or grade.student.key), *ids, number(points))

    write_atomically(out, csv_lines(rows()))
    unknown = (f"Without an id by which Canvas knows them: {strangers}; give a roster, or Canvas's own export.",)
    return Exported(out, tally.count, (*tally.notes(), *(unknown if strangers else ())))


def _fill(book: Gradebook, out: Path, into: Path, column: str, tally: Tally) -> Exported:
    sheet = read_sheet(into)
    if lacking := [title for title in _IDENTITY[:2] if title not in sheet.titles]:
        raise GraderError(
            f"{into} has no column {' and no column '.join(lacking)}: give a gradebook that Canvas exported"
        )
    target = _target(sheet, column, into)
    kept = [i for i, title in enumerate(sheet.titles) if title in _ALSO_KEPT]
    people = [row for row in sheet.rows if _cell(sheet, row, "ID").strip()]
    found = match(
        book,
        [_person(sheet, row) for row in people],
        lambda grade: tally.points(grade, total_of(grade, book.assignment)),
    )
    points = dict(zip(map(id, people), found.taken, strict=True))
    excused = sum(row[target].strip().casefold() == _EXCUSED and points[id(row)] is not None for row in people)
    filled = sum(value is not None for value in found.taken) - excused

    def rows() -> Iterator[Sequence[str]]:
        yield [*(sheet.titles[i] for i in kept), sheet.titles[target]]
        for row in sheet.rows:
            old, new = row[target], points.get(id(row))
            keeps = new is None or old.strip().casefold() == _EXCUSED
            yield [*(_identity(sheet.titles[i], row[i]) for i in kept), old if keeps else number(new)]

    write_atomically(out, csv_lines(rows(), delimiter=sheet.delimiter, mark=sheet.mark))
    notes = (*tally.notes(), *found.notes, *_about(sheet, target, book.assignment.total, excused))
    return Exported(out, filled, notes)


def _identity(title: str, text: str) -> str:
    """Students choose their name; ids are Canvas's, and must come back as they are."""
    return harmless(text) if title == _IDENTITY[0] and text.strip() else text


def _target(sheet: Sheet, column: str, into: Path) -> int:
    """The column of the assignment."""
    titles = {i: title for i, title in enumerate(sheet.titles) if _WITH_ID.fullmatch(title)}
    wanted = column.strip().casefold()
    found = [i for i, title in titles.items() if wanted in (title.casefold(), _bare(title).casefold())]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(repr(title) for title in titles.values()) or "none"
    many = "more than one assignment" if found else "no assignment"
    raise GraderError(f"{into} has {many} {column!r}: name one with --column; its assignments are {listed}")


def _bare(title: str) -> str:
    matched = _WITH_ID.fullmatch(title)
    return matched["title"].strip() if matched else title


def _cell(sheet: Sheet, row: Sequence[str], title: str) -> str:
    return row[sheet.titles.index(title)] if title in sheet.titles else ""


def _person(sheet: Sheet, row: Sequence[str]) -> Student:
    name, canvas, sis, login = (_cell(sheet, row, title).strip() for title in _IDENTITY[:4])
    return Student(login, name, ids={"canvas": canvas, "sis": sis, "login": login})


def _about(sheet: Sheet, target: int, total: float, excused: int) -> Iterator[str]:
    """What does not fit together."""
    titled = [row for row in sheet.rows if row[0].strip() == _POINTS_POSSIBLE.strip()]
    if titled and parsed(titled[0][target]) not in (None, total):
        yield f"The assignment has {titled[0][target].strip()} points in Canvas, but {number(total)} here."
    if excused:
        yield f"Excused in Canvas, and left so: {excused}."

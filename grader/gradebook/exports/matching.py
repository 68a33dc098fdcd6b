"""Whose row a row of a course site's own export is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from grader.gradebook.grades import Grade, Gradebook, Student
from grader.gradebook.roster import Roster

__all__ = ["Matched", "match"]

_Taken = TypeVar("_Taken")
_SHOWN = 5
_IDS = ("canvas", "moodle", "sis", "login")


@dataclass(frozen=True, slots=True)
class Matched(Generic[_Taken]):
    """For each row what was taken from its student's grade, None where there is nothing; and sentences on the rest."""

    taken: Sequence[_Taken | None]
    notes: tuple[str, ...]


def match(book: Gradebook, people: Sequence[Student], take: Callable[[Grade], _Taken | None]) -> Matched[_Taken]:
    """Find the grade of each of ``people``; a row that could be two students', or a student with two rows, has none.

    Args:
        book: read once, one grade after another.
        people: whom the rows name.
        take: what to keep of a grade; None for nothing.
    """
    students: list[Student] = []
    kept: dict[str, _Taken] = {}
    for grade in book:
        students.append(grade.student)
        value = take(grade)
        if value is not None:
            kept[grade.student.key] = value
    roster = Roster(students)
    by_key = {student.key: student for student in students}
    keys = [_key(roster, by_key, person) for person in people]
    often = Counter(keys)
    unclear = {key for key in keys if key is not None and often[key] > 1}
    taken = [None if key is None or key in unclear else kept.get(key) for key in keys]
    lost = [key for key in kept if key not in often or key in unclear]
    return Matched(taken, tuple(_notes(lost, keys.count(None))))


def _key(roster: Roster, by_key: Mapping[str, Student], person: Student) -> str | None:
    """The key of the student who is meant, unless ids contradict it: two people may have one name."""
    found = roster.find(person)
    if found is None:
        return None
    known = by_key[found.key]
    shared = [system for system in _IDS if person.ids.get(system) and known.ids.get(system)]
    if shared:
        agrees = all(_same(person.ids[system], known.ids[system]) for system in shared)
    else:
        agrees = not (person.email and known.email) or _same(person.email, known.email)
    return known.key if agrees else None


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _notes(lost: Sequence[str], unknown: int) -> list[str]:
    notes = []
    if lost:
        shown = ", ".join(lost[:_SHOWN]) + (", ..." if len(lost) > _SHOWN else "")
        notes.append(f"Students with points, but without a row that is surely theirs: {len(lost)} ({shown}).")
    if unknown:
        notes.append(f"Rows of nobody in this gradebook, left as they were: {unknown}.")
    return notes

"""Who is in the class: a CSV as Gradescope, Canvas or Moodle export it, or one made by hand."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from grader.errors import GraderError
from grader.gradebook.grades import Student
from grader.gradebook.sheets import read_sheet

__all__ = ["Roster", "identity", "read_roster", "with_unique_keys"]

_COLUMNS = {
    "name": ("name", "student", "full name", "student name"),
    "first": ("first name", "first", "given name"),
    "last": ("last name", "last", "surname", "family name"),
    "email": ("email", "email address", "e-mail"),
    "sis": ("sid", "student id", "sis user id", "id number"),
    "canvas": ("canvas id", "id"),
    "login": ("login", "username", "sis login id", "netid"),
    "moodle": ("moodle id", "identifier"),
    "gradescope": ("gradescope id",),
    "section": ("section", "sections"),
    "role": ("role", "roles"),
}
Identity = tuple[str, str, str, tuple[tuple[str, str], ...]]

_IDS = ("sis", "canvas", "login", "moodle", "gradescope", "section")
_UNIQUE = ("sis", "canvas", "login", "moodle", "gradescope")
_STUDENT_ROLES = frozenset({"", "student", "learner"})
_NO_PERSON = frozenset({"points possible", "student, test", "test student"})


class Roster:
    """The students of a class, found again by whatever a course site, or they themselves, call them."""

    def __init__(self, students: Iterable[Student]) -> None:
        self.students = tuple(students)
        self._by_word: dict[str, Student | None] = {}
        for student in self.students:
            for word in _words_of(student):
                self._by_word[word] = student if self._by_word.get(word, student) == student else None

    def find(self, student: Student) -> Student | None:
        """The one student of the roster who is meant, with the ids of both.

        None if nobody, or several could be, and if an id or an address says that it is another of the same name.
        """
        for word in _words_of(student):
            known = self._by_word.get(word)
            if known is not None and not _contradict(known, student):
                return replace(known, ids={**student.ids, **known.ids})
        return None


def _contradict(one: Student, other: Student) -> bool:
    pairs = [(one.ids.get(system, ""), other.ids.get(system, "")) for system in _UNIQUE]
    agree = [_plain(a) == _plain(b) for a, b in pairs if a and b]
    if agree:
        return not all(agree)
    return bool(one.email and other.email) and _plain(one.email) != _plain(other.email)


def _words_of(student: Student) -> Iterator[str]:
    """What can name a student, the surest first; ids carry the name of their system where others may use the same."""
    for system in ("canvas", "moodle", "gradescope"):
        if student.ids.get(system):
            yield f"{system}:{_plain(student.ids[system])}"
    words = (student.email, student.ids.get("sis", ""), student.ids.get("login", ""), student.key,
             student.email.partition("@")[0], *_names(student.name))  # fmt: skip
    yield from filter(None, map(_plain, words))


def _names(name: str) -> Iterator[str]:
    """A name as it is, and as file names have it: ``Ada Lovelace``, ``lovelaceada``."""
    last, comma, first = (part.strip() for part in name.partition(","))
    words = [first, last] if comma else name.split()
    if words:
        yield "".join(words)
        yield "".join([words[-1], *words[:-1]])


def _plain(text: str) -> str:
    """Letters and digits in lower case, without accents."""
    letters = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in letters if c.isalnum() or c in "@.+")


def read_roster(path: Path) -> Roster:
    """Read a roster; the columns are found by their titles, and only people whose role is student are taken.

    Raises:
        GraderError: the file cannot be read, has no usable column, or names nobody.
    """
    sheet = read_sheet(path, f"the roster {path}")
    columns = _columns(sheet.titles)
    if not columns.keys() & {"name", "last", "email", "sis", "canvas", "login"}:
        raise GraderError(f"the roster {path} has no column Name, Email, Student ID or Login in its first line")
    people = [_student({name: row[i].strip() for name, i in columns.items()}) for row in sheet.rows]
    students = with_unique_keys(_once_each(filter(None, people), path))
    if not students:
        raise GraderError(f"the roster {path} names no student")
    return Roster(students.values())


def _once_each(people: Iterable[Student], path: Path) -> Iterator[Student]:
    """Each student once, who may stand there for several sections; whom an id tells apart are several students."""
    known: dict[str, list[Student]] = {}
    for student in people:
        namesakes = known.setdefault((student.email or student.key).casefold(), [])
        if student.email or any(map(student.ids.get, _UNIQUE)):
            if not all(_contradict(other, student) for other in namesakes):
                continue
        elif any(other.ids.get("section") == student.ids.get("section") for other in namesakes):
            raise GraderError(
                f"the roster {path} names {student.name or student.key} twice, and nothing tells them apart: delete a "
                "row, or add a column Email or Student ID"
            )
        namesakes.append(student)
        yield student


def _columns(titles: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, title in enumerate(titles):
        for name, known in _COLUMNS.items():
            if title.strip().casefold() in known:
                found.setdefault(name, index)
    return found


def _student(row: Mapping[str, str]) -> Student | None:
    name = row.get("name") or " ".join(filter(None, (row.get("first"), row.get("last"))))
    ids = {system: row[system] for system in _IDS if row.get(system)}
    if "moodle" in ids:
        ids["moodle"] = ids["moodle"].removeprefix("Participant ")  # as the grading worksheet has it
    email = row.get("email", "") if "@" in row.get("email", "") else ""  # who has none is told by "n/a" or "-"
    if row.get("role", "").casefold() not in _STUDENT_ROLES or name.casefold().strip() in _NO_PERSON:
        return None
    label = email or ids.get("login") or ids.get("sis") or name or next(iter(ids.values()), "")
    return Student(label, name, email, ids) if label else None


def with_unique_keys(students: Iterable[Student]) -> dict[Identity, Student]:
    """Students whose keys are safe in file names and differ even where file names ignore case.

    Returns:
        By the identity of what was given, the student with the new key; exact copies are one.
    """
    found = list(dict.fromkeys(identity(student) for student in students))
    people = [Student(key, name, email, dict(ids)) for key, name, email, ids in found]
    slugs = [_slug(student.key) for student in people]
    often = Counter(slug.casefold() for slug in slugs)
    keyed = {}
    for student, slug in zip(people, slugs, strict=True):
        if often[slug.casefold()] > 1 or not slug:
            told = repr((student.key, student.name, student.email, sorted(student.ids.items())))
            slug = f"{slug or 'student'}-{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:8]}"
        keyed[identity(student)] = replace(student, key=slug)
    return keyed


def identity(student: Student) -> Identity:
    """Everything that is known of a student, as something that can be a key."""
    return student.key, student.name, student.email, tuple(sorted(student.ids.items()))


def _slug(text: str) -> str:
    """ASCII letters and digits, ``.``, ``_``, ``@`` and ``-``; a text that loses letters gets a digest of itself."""
    plain = unicodedata.normalize("NFKD", text.strip())
    kept = re.sub(r"[^A-Za-z0-9._@-]+", "-", "".join(c for c in plain if not unicodedata.combining(c))).strip("-.@")
    lost = any(c.isalnum() and not c.isascii() for c in plain)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{kept[:60]}-{digest}".lstrip("-") if lost or len(kept) > 60 else kept

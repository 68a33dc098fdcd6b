"""The page of a class: what needs attention first, then its figures, then a link to every student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from grader.assignment import Assignment
from grader.gradebook.chart import describe, draw_distribution
from grader.gradebook.figures import DiagnosisFigures, Group
from grader.gradebook.grades import Grade, Status, Student, Total, Unclaimed
from grader.gradebook.statistics import Statistics, reason_of
from grader.gradebook.student_page import gradebook_templates, page_name, short
from grader.render.view import counted, format_points

__all__ = ["Row", "class_page", "row_of"]

_MOST_MISTAKES = 12
_LONGEST_REASON = 300
_STATES = {
    Status.GRADED: ("graded", "passed"),
    Status.UNUSABLE: ("not gradable", "failed"),
    Status.FAULT: ("grader fault", "error"),
    Status.WAITING: ("not graded yet", ""),
    Status.MISSING: ("nothing handed in", ""),
}


@dataclass(frozen=True, slots=True)
class _Person:
    """A link to a student's page, with what there is to say."""

    name: str
    href: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A student in the table of the class.

    Args:
        name, sub: what the student is called, and a line below.
        href: of the page.
        status: what became of the submission; ``state`` and ``kind`` are it in words and as a colour.
        total: points.
        words: why there is no final report.
    """

    name: str
    sub: str
    href: str
    status: Status
    state: str
    kind: str
    total: Total
    words: str


@dataclass(frozen=True, slots=True)
class _Fact:
    """A number at the top of the page."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Matter:
    """Something that is still open, and whom it concerns."""

    sentence: str
    people: list[_Person]
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Mistake:
    """A frequent mistake, with some who made it."""

    title: str
    explanation: str
    count: int
    people: list[_Person]
    more: int


def row_of(grade: Grade, total: Total) -> Row:
    """What the class page keeps of a grade."""
    student = grade.student
    state, kind = _STATES[grade.status]
    if total.waiting:
        state, kind = f"{counted(len(total.waiting), 'answer')} to grade", "differs"
    return Row(
        name=short(student.name or student.key),
        sub=student.key if student.name else short(student.email),
        href=page_name(student),
        status=grade.status,
        state=state,
        kind=kind,
        total=total,
        words=short(reason_of(grade), _LONGEST_REASON),
    )


def class_page(
    assignment: Assignment, statistics: Statistics, rows: Sequence[Row], unclaimed: Sequence[Unclaimed]
) -> str:
    """The whole page, self-contained but for its links to the students' pages."""
    values = {
        "assignment": assignment,
        "facts": list(_facts(statistics, assignment)),
        "faults": [_of_row(row) for row in rows if row.status is Status.FAULT],
        "unusable": [_of_row(row) for row in rows if row.status is Status.UNUSABLE],
        "unclaimed": unclaimed,
        "equal_networks": [
            [_person(one.student, f"{one.file} ({one.part})") for one in holders]
            for holders in statistics.networks.groups().values()
        ],
        "spreads": list(_spreads(statistics)),
        "parts": statistics.parts(),
        "hardest": statistics.hardest(),
        "mistakes": [_mistake(one) for one in statistics.diagnoses()[:_MOST_MISTAKES]],
        "matters": list(_matters(statistics)),
        "rows": rows,
    }
    return gradebook_templates().get_template("class.html.j2").render(values)


def _facts(statistics: Statistics, assignment: Assignment) -> Iterator[_Fact]:
    counts, totals = statistics.counts, statistics.totals()
    others = [f"{counts[status]} {_STATES[status][0]}" for status in _STATES if status is not Status.GRADED]
    said = [words for words in others if not words.startswith("0 ")]
    yield _Fact("Students", str(statistics.students), ", ".join([f"{counts[Status.GRADED]} graded", *said]))
    if totals:
        yield _Fact("Median", format_points(totals.median), f"of {format_points(assignment.total)} points")
        final = ", not all final" if statistics.waiting.count else ""
        yield _Fact("Mean", format_points(totals.mean), f"of {counted(totals.count, 'total')}{final}")
    if statistics.waiting.count:
        yield _Fact("To grade by hand", str(statistics.waiting_answers), f"answers of {statistics.waiting.count}")
    if statistics.late.count:
        yield _Fact("Late", str(statistics.late.count), f"{format_points(statistics.points_lost)} points lost")


def _spreads(statistics: Statistics) -> Iterator[tuple[Markup, str]]:
    named = (("Totals", statistics.totals()), ("Automatic points, without bonus and penalty", statistics.automatic()))
    for label, spread in named:
        if spread is not None:
            yield draw_distribution(spread, label), describe(spread)


def _mistake(figures: DiagnosisFigures) -> _Mistake:
    people = _people(figures.group)
    count = figures.group.count
    return _Mistake(figures.title, figures.explanation, count, people, count - len(people))


def _matters(statistics: Statistics) -> Iterator[_Matter]:
    if (late := statistics.late).count:
        yield _matter(f"{counted(late.count, 'student')} handed in late:", late)
    if (waiting := statistics.waiting).count:
        answers, students = counted(statistics.waiting_answers, "answer"), counted(waiting.count, "student")
        yield _matter(f"{answers} of {students} still to be graded by hand:", waiting)
    if (median := statistics.median_seconds()) is not None:
        slowest = [_person(student, f"{seconds:.1f} s") for student, seconds in statistics.slowest()]
        yield _Matter(f"Grading one submission took {median:.1f} s in the median. The slowest:", slowest)


def _matter(sentence: str, group: Group) -> _Matter:
    people = _people(group)
    return _Matter(sentence, people, group.count - len(people))


def _people(group: Group) -> list[_Person]:
    return [_person(student, words) for student, words in group.first]


def _person(student: Student, words: str) -> _Person:
    return _Person(short(student.name or student.key), page_name(student), words)


def _of_row(row: Row) -> _Person:
    return _Person(row.name, row.href, row.words)

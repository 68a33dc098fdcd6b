"""One student's page: the report, below what all points add up to and what a person gave and wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader

from grader.assignment import Assignment, Late
from grader.errors import InternalError
from grader.gradebook.grades import Grade, HandIn, Status, Student, Total
from grader.gradebook.statistics import reason_of
from grader.render.html import page_environment, report_values
from grader.render.view import clean, counted, format_points
from grader.report import Report

__all__ = ["gradebook_templates", "page_name", "short", "student_page"]

_LONGEST = 80
_SAFE = re.compile(r"[A-Za-z0-9._@-]{1,200}")


@dataclass(frozen=True)
class _Alert:
    """What the reader must know first."""

    head: str
    words: str
    grave: bool = False


@dataclass(frozen=True)
class _HandGraded:
    """A written answer with what a person gave for it."""

    part: str
    prompt: str
    text: str
    points: float
    possible: float
    comment: str


@dataclass(frozen=True)
class _View:
    """All that a page shows besides the report."""

    assignment: str
    name: str
    about: str
    title: str
    total: Total
    possible: float
    automatic_max: float
    manual_max: float
    bonus_max: float
    waiting: str
    lateness: str
    alert: _Alert | None
    hand_graded: list[_HandGraded]

    @property
    def comments(self) -> list[_HandGraded]:
        """What the person who graded had to say."""
        return [item for item in self.hand_graded if item.comment]


def student_page(grade: Grade, total: Total, assignment: Assignment) -> str:
    """The whole page, self-contained; of a submission without a report it says why there is none."""
    view = _view(grade, total, assignment)
    if grade.report is None:
        return gradebook_templates().get_template("plain.html.j2").render(view=view)
    given = {part: score.points for part, score in grade.manual.items()}
    return gradebook_templates().get_template("student.html.j2").render(report_values(grade.report, given), view=view)


def page_name(student: Student) -> str:
    """Where the page of a student lies, seen from the page of the class.

    Raises:
        InternalError: the key cannot name a file.
    """
    if not _SAFE.fullmatch(student.key):
        raise InternalError(f"{student.key!r} cannot be the name of a page: the gradebook made an unsafe key")
    return f"students/{student.key}.html"


@cache
def gradebook_templates() -> Environment:
    """The pages of the gradebook, and those that they extend."""
    environment = page_environment(PackageLoader("grader.gradebook", "templates"))
    environment.filters.update(short=short, signed=lambda number: f"{number:.2f}".replace("-", "−"))
    return environment


def short(text: str, room: int = _LONGEST) -> str:
    """A name or path on one line, cleaned, with an ellipsis for what is too long to be read."""
    line = " ".join(clean(text).split())
    return line if len(line) <= room else line[: room - 1].rstrip() + "…"


def _view(grade: Grade, total: Total, assignment: Assignment) -> _View:
    parts = assignment.parts.values()
    name = short(grade.student.name or grade.student.key)
    points = (
        "no total" if total.points is None else f"{format_points(total.points)} / {format_points(assignment.total)}"
    )
    return _View(
        assignment=assignment.name,
        name=name,
        about=" · ".join(dict.fromkeys(piece for piece in _about(grade) if piece not in ("", name))),
        title=f"{name}: {points}",
        total=total,
        possible=assignment.total,
        automatic_max=grade.report.max_score if grade.report else assignment.automatic_total,
        manual_max=sum(part.manual for part in parts if not part.bonus),
        bonus_max=sum(part.automatic for part in parts if part.bonus),
        waiting=_waiting(grade.report, total),
        lateness=_lateness(total.days_late, assignment.late),
        alert=_alert(grade),
        hand_graded=list(_hand_graded(grade, assignment)),
    )


def _about(grade: Grade) -> Iterator[str]:
    """Who and what this is, in pieces of a line."""
    student = grade.student
    yield from (student.key, short(student.email))
    if grade.hand_in is not None:
        yield from _handed_in(grade.hand_in)
    if grade.report is not None:
        yield f"{grade.report.profile} profile"


def _handed_in(hand_in: HandIn) -> Iterator[str]:
    yield short(hand_in.path)
    if hand_in.submitted_at is not None:
        yield f"handed in {hand_in.submitted_at:%Y-%m-%d %H:%M %Z}".rstrip()


def _waiting(report: Report | None, total: Total) -> str:
    if report is None or not total.waiting:
        return ""
    points = sum(item.max_score for item in report.manual if item.part in total.waiting)
    return f"still to be graded: {', '.join(total.waiting)}, up to {counted(points, 'point')}"


def _lateness(days: int, rule: Late) -> str:
    late = f"{counted(days, 'day')} late"
    if rule.max_days is not None and days > rule.max_days:
        return f"{late}; nothing counts after {rule.max_days}"
    return f"{late}, {rule.percent_per_day:g} % for each day"


def _alert(grade: Grade) -> _Alert | None:
    told = _sentence(reason_of(grade))
    match grade.status:
        case Status.GRADED:
            return None
        case Status.FAULT:
            words = "This is the grader’s fault, not the submission’s: it costs no points."
            return _Alert("No total yet: the grader itself failed.", f"{told} {words}".strip(), grave=True)
        case Status.UNUSABLE:
            return _Alert("This submission could not be graded.", f"{told} It earns no automatic points.".strip(), True)
        case Status.WAITING:
            return _Alert("Not graded yet.", told or "This submission waits for its turn.")
        case Status.MISSING:
            return _Alert("Nothing was handed in.", told or "So there are no points and no total.")


def _sentence(words: str, room: int = 600) -> str:
    """The reason as a sentence of its own."""
    told = short(words, room)
    return f"Reason: {told}{'' if told[-1] in '.!?…' else '.'}" if told else ""


def _hand_graded(grade: Grade, assignment: Assignment) -> Iterator[_HandGraded]:
    items = {item.part: item for item in grade.report.manual} if grade.report else {}
    for part in assignment.parts.values():
        if (score := grade.manual.get(part.id)) is not None:
            item = items.get(part.id)
            yield _HandGraded(
                part=part.id,
                prompt=item.prompt if item else part.title,
                text=item.text if item else "",
                points=score.points,
                possible=part.manual,
                comment=score.comment,
            )

"""Gradescope's results.json: one test for each check, and a score that counts nothing of the grader's own faults."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from grader.assignment import Assignment
from grader.files import write_atomically
from grader.gradebook.exports.common import Exported, Tally, feedback
from grader.gradebook.grades import Grade, Gradebook, Status, Total, total_of
from grader.render.view import clip, format_points, is_note, lab_points
from grader.report import CheckReport, Outcome, PartReport, Report

__all__ = ["Failed", "Hidden", "LeaderboardEntry", "Results", "Test", "Visibility", "document", "failed", "results_of",
           "write"]  # fmt: skip

Format = Literal["text", "html", "simple_format", "md", "ansi"]


class Visibility(StrEnum):
    """When students see something."""

    HIDDEN = "hidden"
    AFTER_DUE_DATE = "after_due_date"
    AFTER_PUBLISHED = "after_published"
    VISIBLE = "visible"


class Hidden(StrEnum):
    """What students see of hidden checks: their titles now, all of it once grades are published, or nothing.

    ``hidden`` makes Gradescope hide the student's total too.
    """

    TITLE = "title"
    AFTER_PUBLISHED = "after_published"
    HIDDEN = "hidden"

    @property
    def visibility(self) -> Visibility | None:
        """What Gradescope is told; None where nothing need be said."""
        return None if self is Hidden.TITLE else Visibility(self.value)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Test(_Model):
    """One line of the list of tests."""

    __test__ = False  # pytest: this is none of its own

    score: float | None = None
    max_score: float | None = None
    status: Literal["passed", "failed"] | None = None
    name: str | None = None
    name_format: Format | None = None
    number: str | None = None
    output: str | None = None
    output_format: Format | None = None
    tags: tuple[str, ...] | None = None
    visibility: Visibility | None = None
    extra_data: dict[str, Any] | None = None


class LeaderboardEntry(_Model):
    """One column of the leaderboard."""

    name: str
    value: float | str
    order: Literal["asc", "desc"] | None = None


class Results(_Model):
    """The whole file; ``score``, where it is given, counts instead of the sum of the tests."""

    score: float | None = None
    execution_time: float | None = None
    output: str | None = None
    output_format: Format | None = None
    test_output_format: Format | None = None
    test_name_format: Format | None = None
    visibility: Visibility | None = None
    stdout_visibility: Visibility | None = None
    extra_data: dict[str, Any] | None = None
    tests: tuple[Test, ...] | None = None
    leaderboard: tuple[LeaderboardEntry, ...] | None = None

    @model_validator(mode="after")
    def _counts_something(self) -> Self:
        if self.score is None and self.tests is None:
            raise ValueError("results need a score or tests")
        return self


class Failed(_Model):
    """What is written instead of results after a fault of the grader.

    It has neither score nor tests, so that Gradescope reports a failed autograder and no score, not a zero.
    """

    output: str
    output_format: Format = "text"


def failed(reason: str) -> Failed:
    """The file that says that the grader failed, and why."""
    return Failed(
        output="The autograder itself failed. This is no fault of the submission, and no score was given: "
        f"please run the autograder again, or tell the course staff.\n\n{clip(reason)}"
    )


def document(content: Results | Failed) -> bytes:
    """The bytes of the file; the same content gives the same bytes."""
    return content.model_dump_json(exclude_none=True, indent=2).encode() + b"\n"


def results_of(
    grade: Grade,
    assignment: Assignment,
    *,
    hidden: Hidden = Hidden.TITLE,
    leaderboard: bool = False,
    notes: tuple[str, ...] = (),
) -> Results | Failed:
    """What Gradescope should show of a grade; of a fault only that there was one.

    Args:
        grade: graded, unusable, or a fault.
        assignment: the rubric.
        hidden: what students see of hidden checks.
        leaderboard: show points, in all and by lab, to the class.
        notes: sentences for the student, in front of the report's own.

    Raises:
        ValueError: nothing was handed in, or it is not graded yet.
    """
    if grade.status is Status.FAULT:
        return failed(grade.message)
    total = total_of(grade, assignment)
    if total.points is None:
        raise ValueError(f"{grade.student.key} has no grade that could be shown")
    return Results(
        score=total.points,
        execution_time=None if grade.seconds is None else round(grade.seconds, 2),
        output="\n".join(_output(grade, total, notes)) or None,
        output_format="text",
        test_output_format="text",
        test_name_format="text",
        tests=tuple(_tests(grade, assignment, hidden)),
        leaderboard=tuple(_leaderboard(grade.report, total.points)) if leaderboard else None,
    )


def _output(grade: Grade, total: Total, notes: tuple[str, ...]) -> Iterator[str]:
    """What concerns the submission as a whole."""
    if grade.status is Status.UNUSABLE:
        yield f"This submission cannot be graded: {clip(grade.message)}"
    if total.penalty:
        days = "1 day" if total.days_late == 1 else f"{total.days_late} days"
        yield f"Handed in {days} late: {format_points(total.penalty)} points are taken off."
    items = grade.report.manual if grade.report else ()
    waiting = [item for item in items if item.part in total.waiting]
    if waiting:
        points = format_points(sum(item.max_score for item in waiting))
        yield f"Waiting for a person, up to {points} points: {', '.join(item.part for item in waiting)}."
    if empty := [item.part for item in items if not item.waiting and item.part not in grade.manual]:
        yield f"Written answers that are empty, and worth nothing: {', '.join(empty)}."
    yield from notes
    if grade.report:
        yield from map(clip, grade.report.notes)


def _tests(grade: Grade, assignment: Assignment, hidden: Hidden) -> Iterator[Test]:
    for part in grade.report.parts if grade.report else ():
        for i, check in enumerate(part.checks, 1):
            yield _test(part, check, f"{part.id}.{i}", hidden)
    for part_id, manual in grade.manual.items():
        if part_id in assignment.parts:
            yield Test(
                score=manual.points,
                max_score=assignment.parts[part_id].manual,
                name=f"{part_id} written answer",
                number=f"{part_id}.w",
                output=clip(manual.comment) or None,
                tags=("by hand",),
            )


def _test(part: PartReport, check: CheckReport, number: str, hidden: Hidden) -> Test:
    silent = check.hidden and hidden is Hidden.TITLE
    note = is_note(check)
    return Test(
        score=None if note else check.points,
        max_score=None if note else check.max_points,
        status=None if note else "passed" if check.outcome is Outcome.PASSED else "failed",
        name=f"{part.id} {check.title}",
        number=number,
        output=("" if silent else feedback(check)) or None,
        tags=tuple(_tags(part, check)),
        visibility=hidden.visibility if check.hidden else None,
    )


def _tags(part: PartReport, check: CheckReport) -> Iterator[str]:
    yield part.id
    if part.bonus:
        yield "bonus"
    if check.hidden:
        yield "hidden check"
    if is_note(check):
        yield "note, never scored"
    if check.outcome in (Outcome.TIMEOUT, Outcome.SKIPPED):
        yield check.outcome.value


def _leaderboard(report: Report | None, points: float) -> Iterator[LeaderboardEntry]:
    yield LeaderboardEntry(name="Points", value=points)
    for lab, (score, _) in (lab_points(report) if report else {}).items():
        yield LeaderboardEntry(name=lab, value=round(score, 4))


def write(
    book: Gradebook,
    out: Path,
    *,
    hidden: Hidden = Hidden.TITLE,
    leaderboard: bool = False,
) -> Exported:
    """A folder with ``KEY.json``, a results.json, for every student whose submission was looked at."""
    tally = Tally(provisional=True)
    for grade in book:
        tally.points(grade, total_of(grade, book.assignment))
        if grade.status in (Status.GRADED, Status.UNUSABLE, Status.FAULT):
            content = results_of(grade, book.assignment, hidden=hidden, leaderboard=leaderboard)
            write_atomically(out / f"{grade.student.key}.json", [document(content)])
    return Exported(out, tally.count, tally.notes())

"""What grading a subject should give, and in which cell of the matrix it did not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from grader.assignment import Assignment
from grader.report import Outcome, Report
from grader.verify.subjects import Role, Subject

__all__ = ["Cell", "Problem", "Result", "Tally", "idle_checks", "judge", "result_of", "tally"]

_FAILED = (Outcome.FAILED, Outcome.TIMEOUT)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(_Model):
    """How one check of one subject ended, and the mistakes that its diagnosis names."""

    outcome: Outcome
    mistakes: tuple[str, ...] = ()
    message: str = ""


class Result(_Model):
    """One row of the matrix: cells by check, scores by part."""

    subject: str
    role: Role
    cells: Mapping[str, Cell]
    scores: Mapping[str, float]

    @property
    def failed(self) -> frozenset[str]:
        """The checks that failed."""
        return frozenset(name for name, cell in self.cells.items() if cell.outcome in _FAILED)

    @property
    def named(self) -> frozenset[tuple[str, ...]]:
        """Every diagnosis that was made."""
        return frozenset(cell.mistakes for cell in self.cells.values() if cell.mistakes)


class Problem(_Model):
    """What is wrong, and in which cell."""

    subject: str
    check: str
    text: str


def result_of(subject: Subject, report: Report) -> Result:
    """The row of a graded subject."""
    checks = [check for part in report.parts for check in part.checks]
    return Result(
        subject=subject.id,
        role=subject.role,
        cells={c.name: Cell(outcome=c.outcome, mistakes=c.mistakes, message=c.message[:200]) for c in checks},
        scores={part.id: part.score for part in report.parts},
    )


def judge(subject: Subject, result: Result, assignment: Assignment) -> list[Problem]:
    """Everything about a row that is not as it should be."""
    found = [*_faults(result), *_JUDGES[subject.role](subject, result, assignment)]
    return [Problem(subject=subject.id, check=check, text=text) for check, text in found]


_Found = Iterator[tuple[str, str]]


def _faults(result: Result) -> _Found:
    for check, cell in result.cells.items():
        if cell.outcome is Outcome.ERROR:
            yield check, f"the grader itself failed: {cell.message}"


def _judge_reference(subject: Subject, result: Result, assignment: Assignment) -> _Found:
    bonus = {name for part in assignment.parts.values() if part.bonus for name in part.weights}
    waived = bonus if subject.fails else frozenset()
    for check in sorted(frozenset(result.cells) - waived):
        if result.cells[check].outcome is not Outcome.PASSED:
            yield check, f"right code was refused: {result.cells[check].message}"
    for part in assignment.parts.values():
        if not (part.bonus and waived) and result.scores[part.id] != part.automatic:
            yield "", f"part {part.id} has {result.scores[part.id]:g} of {part.automatic:g} points"


def _judge_template(subject: Subject, result: Result, assignment: Assignment) -> _Found:
    for part, score in result.scores.items():
        if score:
            yield "", f"part {part} has {score:g} points without a line of the student's"


def _judge_checks(subject: Subject, result: Result) -> _Found:
    for check in sorted(subject.fails - result.failed):
        yield check, "the mistake was not noticed"
    for check in sorted(result.failed - subject.fails - subject.may_fail):
        yield check, f"a point was lost that should not be: {result.cells[check].message}"


def _judge_misconception(subject: Subject, result: Result, assignment: Assignment) -> _Found:
    yield from _judge_checks(subject, result)
    yield from _misnamed(result, {(subject.id,)})
    if (subject.id,) not in result.named:
        yield "", "the mistake was not named"


def _misnamed(result: Result, right: set[tuple[str, ...]]) -> _Found:
    for check, cell in result.cells.items():
        if cell.mistakes and cell.mistakes not in right:
            yield check, f"a wrong name was given: {' + '.join(cell.mistakes)}"


def _judge_near_miss(subject: Subject, result: Result, assignment: Assignment) -> _Found:
    yield from _judge_checks(subject, result)
    yield from _misnamed(result, set())


def _judge_pair(subject: Subject, result: Result, assignment: Assignment) -> _Found:
    """A mistake can hide behind another one in a function of the same module that builds on it, but never both."""
    first, second = subject.entries
    hideable = first.module == second.module and result.failed
    yield from _misnamed(result, {(first.id,), (second.id,), (first.id, second.id), (second.id, first.id)})
    for check in sorted(result.failed - subject.fails - subject.may_fail):
        yield check, f"a point was lost that should not be: {result.cells[check].message}"
    for entry in subject.entries:
        if not (entry.fails & result.failed or hideable):
            yield "", f"{entry.id} was not noticed beside the other mistake"


_JUDGES = {
    Role.REFERENCE: _judge_reference,
    Role.EQUIVALENT: _judge_reference,
    Role.TEMPLATE: _judge_template,
    Role.MISCONCEPTION: _judge_misconception,
    Role.NEAR_MISS: _judge_near_miss,
    Role.PAIR: _judge_pair,
}


def idle_checks(found: Iterable[Subject], assignment: Assignment) -> list[str]:
    """The checks that no misconception fails: nothing shows that they can fail at all."""
    used = frozenset().union(*(s.fails for s in found if s.role is Role.MISCONCEPTION))
    return [name for part in assignment.parts.values() for name in part.weights if name not in used]


class Tally(_Model):
    """How many subjects of a role there are, how many came out as they should, and how many were named rightly."""

    role: Role
    right: int
    total: int
    named: int


def tally(results: Sequence[Result], problems: Sequence[Problem]) -> list[Tally]:
    """One tally for every role that occurs, in the order of the roles."""
    wrong = {problem.subject for problem in problems}
    found = []
    for role in Role:
        rows = [result for result in results if result.role is role]
        named = sum((row.subject,) in row.named for row in rows)
        right = sum(row.subject not in wrong for row in rows)
        if rows:
            found.append(Tally(role=role, right=right, total=len(rows), named=named))
    return found

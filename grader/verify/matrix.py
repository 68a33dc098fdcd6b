"""The matrix of ``grader verify``, checks across and entries down: for a terminal, as a page, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console
from rich.text import Text

from grader.assignment import Assignment, Part
from grader.render.pen import Pen
from grader.report import Outcome
from grader.verify.judging import Problem, Result, Tally, tally
from grader.verify.subjects import Role, Subject

__all__ = ["Verification", "print_matrix", "print_summary", "render_html", "to_json"]

_LABS = {"Problem 1": ("p",), "Lab 1": ("1",), "Lab 2": ("2",), "Lab 3 and bonus": ("3", "b")}
"""First letters of the ids of the parts that stand in one table."""
_NAME_WIDTH = 46


@dataclass(frozen=True)
class Verification:
    """All that a run found out.

    Attributes:
        assignment: the rubric.
        subjects: what was graded.
        results: one for each subject, in the same order.
        problems: every cell that is not as it should be.
        idle: the checks that no misconception fails.
        complete: whether the whole catalogue was graded, not a choice of it.
    """

    assignment: Assignment
    subjects: Sequence[Subject]
    results: Sequence[Result]
    problems: Sequence[Problem]
    idle: Sequence[str]
    complete: bool = True

    @property
    def proven(self) -> bool:
        """Whether there is nothing to complain about."""
        return not self.problems and not (self.idle and self.complete)


@dataclass(frozen=True)
class _Mark:
    """A cell: one character, a word and a colour, which never says it alone."""

    glyph: str
    word: str
    style: str


_PASSED = _Mark("·", "passed", "dim")
_CAUGHT = _Mark("x", "failed, as it must", "green")
_FREE = _Mark("o", "free to fail, and did", "yellow")
_SKIPPED = _Mark("-", "skipped, since it builds on a failed check", "dim")
_WRONG = _Mark("!", "not as it should be", "bold red")
_LEGEND = (_PASSED, _CAUGHT, _FREE, _SKIPPED, _WRONG)


def _mark(check: str, subject: Subject, result: Result, wrong: Mapping[str, Sequence[Problem]]) -> _Mark:
    cell = result.cells[check]
    if any(problem.check == check for problem in wrong.get(subject.id, ())):
        return _WRONG
    if cell.outcome is Outcome.SKIPPED:
        return _SKIPPED
    if check in result.failed:
        return _FREE if check in subject.may_fail - subject.fails else _CAUGHT
    return _PASSED


def _by_subject(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    found: dict[str, list[Problem]] = {}
    for problem in problems:
        found.setdefault(problem.subject, []).append(problem)
    return found


def _tables(assignment: Assignment) -> Iterator[tuple[str, list[Part]]]:
    for title, first in _LABS.items():
        if parts := [part for part in assignment.parts.values() if part.id.startswith(first)]:
            yield title, parts


def _rows(found: Verification, checks: Sequence[str]) -> Iterator[tuple[Subject, Result]]:
    """The subjects that concern a table: those that must, may or did fail one of its checks, and the wrong ones."""
    named = set(checks)
    wrong = {problem.subject for problem in found.problems if problem.check in named}
    for subject, result in zip(found.subjects, found.results, strict=True):
        always = subject.role in (Role.REFERENCE, Role.TEMPLATE) or subject.id in wrong
        touched = (subject.fails | subject.may_fail | result.failed) & named
        if always or touched or _is_at_home(subject, checks, found):
            yield subject, result


def _is_at_home(subject: Subject, checks: Sequence[str], found: Verification) -> bool:
    """Whether an equivalent, which fails nothing, belongs to the lab of these checks."""
    home = {"lab1_sparse_optimization": "1", "lab2_pruning": "2", "answers": "p"}
    first = next(part.id for part in found.assignment.parts.values() if set(part.weights) & set(checks))[0]
    return any(home.get(entry.module, "3") == first for entry in subject.entries if entry.right)


def print_matrix(found: Verification, console: Console) -> None:
    """One table for each lab; its checks are numbered and listed below it."""
    pen, wrong = Pen(console), _by_subject(found.problems)
    for title, parts in _tables(found.assignment):
        checks = [name for part in parts for name in part.weights]
        pen.heading(title)
        for subject, result in _rows(found, checks):
            marks = [_mark(check, subject, result, wrong) for check in checks]
            cells = [pen.text(mark.glyph, mark.style) for mark in marks]
            name = pen.shortened(subject.id, _NAME_WIDTH)
            name.pad_right(_NAME_WIDTH - name.cell_len)
            pen.print(name, Text(" "), *cells)
        for number, check in enumerate(checks, 1):
            pen.line(f"{number:3}  {check}", "dim")
    pen.heading("Marks")
    for mark in _LEGEND:
        pen.line(f"{mark.glyph}  {mark.word}", mark.style)


def print_summary(found: Verification, console: Console, seconds: float) -> None:
    """What was proven, and every cell that was not."""
    pen = Pen(console)
    for problem in found.problems:
        where = f"{problem.subject} / {problem.check}" if problem.check else problem.subject
        pen.line(f"{where}: {problem.text}", "red")
    pen.heading("Proven" if found.proven else "Not proven", "bold green" if found.proven else "bold red")
    for line in _summary(found):
        pen.line(line)
    count = len(found.results)
    pen.line(f"{count} submissions in {seconds:.0f} s, {count / max(seconds, 1e-9):.1f} a second", "dim")


def _summary(found: Verification) -> Iterator[str]:
    for one in tally(found.results, found.problems):
        yield _sentence(one)
    if found.complete:
        idle = f": {', '.join(found.idle)}" if found.idle else ""
        yield f"checks failed by no entry: {len(found.idle)}{idle}"


def _sentence(one: Tally) -> str:
    share = f"{one.right}/{one.total}"
    return {
        Role.REFERENCE: f"reference: full marks {share}",
        Role.TEMPLATE: f"template: no points {share}",
        Role.MISCONCEPTION: f"misconceptions: caught {share} with exactly the intended checks, "
        f"named right {one.named}/{one.total}",
        Role.EQUIVALENT: f"equivalents: accepted {share} with full marks",
        Role.NEAR_MISS: f"near misses: noticed {share}",
        Role.PAIR: f"pairs: {share}",
    }[one.role]


def to_json(found: Verification, seconds: float) -> str:
    """The whole matrix, with what was expected of each row."""
    rows = [
        result.model_dump(mode="json") | {"fails": sorted(subject.fails), "may_fail": sorted(subject.may_fail)}
        for subject, result in zip(found.subjects, found.results, strict=True)
    ]
    data: dict[str, Any] = {
        "proven": found.proven,
        "tallies": [one.model_dump(mode="json") for one in tally(found.results, found.problems)],
        "idle_checks": list(found.idle),
        "problems": [problem.model_dump(mode="json") for problem in found.problems],
        "checks": [name for part in found.assignment.parts.values() for name in part.weights],
        "rows": rows,
        "seconds": round(seconds, 1),
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def render_html(found: Verification) -> str:
    """A self-contained page; the same bytes for the same results."""
    wrong = _by_subject(found.problems)
    tables = []
    for title, parts in _tables(found.assignment):
        checks = [name for part in parts for name in part.weights]
        rows = [
            (subject, [_mark(check, subject, result, wrong) for check in checks])
            for subject, result in _rows(found, checks)
        ]
        tables.append({"title": title, "parts": parts, "checks": checks, "rows": rows})
    environment = Environment(
        loader=PackageLoader("grader.verify", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("matrix.html.j2").render(
        found=found, summary=list(_summary(found)), tables=tables, legend=_LEGEND, wrong=_WRONG
    )

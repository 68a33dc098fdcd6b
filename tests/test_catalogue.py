"""Every mistake of the catalogue costs the checks that it says and no others, and no check is idle.

Every version that is right in another way has full marks.
"""

from __future__ import annotations

import dataclasses
import re

import pytest

from grader.assignment import Assignment
from grader.catalogue import Entry, all_entries, with_entries
from grader.catalogue.lab1 import mean_instead_of_sum
from grader.catalogue.validation import validate
from grader.checks import tolerances
from grader.grade import Grader
from grader.report import Outcome, Report
from grader.submission import Submission

LABS = {
    "lab1_sparse_optimization.py": "1",
    "lab2_pruning.py": "2",
    "lab3_quantization.py": "3",
    "FP_layers.py": "3b",
    "answers.toml": "p",
}
"""First letters of the parts that a file is graded by."""

MISCONCEPTIONS = [entry for entry in all_entries() if not entry.right]
EQUIVALENTS = [entry for entry in all_entries() if entry.right]
VERDICTS = {f"p1.{i}": f"verdict_{i}" for i in range(1, 6)}


def parts_of(entry: Entry, assignment: Assignment) -> list[str]:
    """The parts that the entry's module can touch."""
    return [part for part in assignment.parts if part[0] in LABS[entry.file]]


def applied(entry: Entry, reference: Submission) -> Submission:
    """The reference with the entry in place of its own function."""
    return Submission(entry.id, with_entries(dict(reference.files), [entry]), ())


def names(report: Report, *outcomes: Outcome) -> set[str]:
    """The checks that ended so."""
    return {check.name for part in report.parts for check in part.checks if check.outcome in outcomes}


@pytest.mark.parametrize("entry", MISCONCEPTIONS, ids=lambda entry: entry.id)
def test_mistake_fails_its_checks_and_no_others(
    entry: Entry, grader: Grader, reference: Submission, assignment: Assignment
) -> None:
    report = grader.grade(applied(entry, reference), parts_of(entry, assignment))
    failed = names(report, Outcome.FAILED, Outcome.TIMEOUT)
    assert not names(report, Outcome.ERROR)
    assert entry.fails - failed == set(), "the mistake was not noticed by these"
    assert failed - entry.fails - entry.may_fail == set(), "the mistake cost these as well"


@pytest.mark.parametrize("entry", EQUIVALENTS, ids=lambda entry: entry.id)
def test_equivalent_has_full_marks(entry: Entry, grader: Grader, reference: Submission, assignment: Assignment) -> None:
    report = grader.grade(applied(entry, reference), parts_of(entry, assignment))
    due = [part for part in report.parts if not (part.bonus and entry.fails)]
    refused = {c.name: c.message for part in due for c in part.checks if c.outcome is not Outcome.PASSED}
    assert refused == {}
    assert [part.score for part in due] == [assignment.parts[part.id].automatic for part in due]


@pytest.mark.parametrize("part", VERDICTS)
def test_wrong_verdict_fails_its_check_only(part: str, grader: Grader, reference: Submission) -> None:
    answers = reference.files["answers.toml"].decode()
    swapped = re.sub(
        rf'(\["?{re.escape(part)}"?\].*?verdict = )"(\w+)"',
        lambda found: f'{found[1]}"{"false" if found[2] == "true" else "true"}"',
        answers,
        count=1,
        flags=re.DOTALL,
    )
    submission = Submission("wrong verdict", {**reference.files, "answers.toml": swapped.encode()}, ())
    assert names(grader.grade(submission, VERDICTS), Outcome.FAILED) == {VERDICTS[part]}


def test_every_check_is_failed_by_some_mistake(assignment: Assignment) -> None:
    seen = set(VERDICTS.values()).union(*(entry.fails for entry in MISCONCEPTIONS))
    every = {name for part in assignment.parts.values() for name in part.weights}
    assert sorted(every - seen) == []
    assert sorted(seen - every) == [], "the catalogue names checks that do not exist"


def test_an_equivalent_lacks_nothing_but_the_bonus(assignment: Assignment) -> None:
    bonus = {name for part in assignment.parts.values() if part.bonus for name in part.weights}
    assert all(entry.fails <= bonus for entry in EQUIVALENTS)


def test_every_entry_is_complete(reference: Submission, assignment: Assignment) -> None:
    every = {name for part in assignment.parts.values() for name in part.weights}
    known = {name for name in vars(tolerances) if name.isupper()}
    validate(list(all_entries()), reference.files, every, known)


def test_untouched_reference_has_full_marks(grader: Grader, reference: Submission) -> None:
    report = grader.grade(reference)
    assert names(report, *set(Outcome) - {Outcome.PASSED}) == set()


def test_a_mistake_that_is_not_one_is_noticed(grader: Grader, reference: Submission) -> None:
    """The comparison of this file itself: an entry without its code fails nothing."""
    harmless = dataclasses.replace(mean_instead_of_sum, code="")
    report = grader.grade(applied(harmless, reference), ["1a"])
    assert names(report, Outcome.FAILED) == set() != harmless.fails

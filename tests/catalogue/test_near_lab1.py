"""Each near miss of Lab 1 fails its checks, and would pass one of them if its tolerance were ten times weaker."""

from __future__ import annotations

import pytest

from grader.assignment import Assignment
from grader.catalogue import Entry, near_lab1, with_entries
from grader.checks import tolerances
from grader.grade import Grader
from grader.report import Outcome
from grader.submission import Submission

NEAR_MISSES = [value for value in vars(near_lab1).values() if isinstance(value, Entry)]
GUARDED = [(entry, name) for entry in NEAR_MISSES for name in sorted(entry.guards)]


def failed_checks(entry: Entry, grader: Grader, reference: Submission, assignment: Assignment) -> set[str]:
    """The checks of Lab 1 that the reference with the entry in it does not pass."""
    submission = Submission(entry.id, with_entries(reference.files, [entry]), ())
    report = grader.grade(submission, [part for part in assignment.parts if part.startswith("1")])
    return {check.name for part in report.parts for check in part.checks if check.outcome is not Outcome.PASSED}


@pytest.mark.parametrize("entry", NEAR_MISSES, ids=lambda entry: entry.id)
def test_near_miss_fails_its_checks_and_no_others(
    entry: Entry, grader: Grader, reference: Submission, assignment: Assignment
) -> None:
    failed = failed_checks(entry, grader, reference, assignment)
    assert entry.fails - failed == set()
    assert failed - entry.fails - entry.may_fail == set()


@pytest.mark.parametrize(("entry", "name"), GUARDED, ids=lambda value: getattr(value, "id", value))
def test_a_tenfold_weaker_tolerance_is_noticed(
    entry: Entry,
    name: str,
    grader: Grader,
    reference: Submission,
    assignment: Assignment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    factor = 0.1 if name.startswith("LEAST") else 10
    monkeypatch.setattr(tolerances, name, getattr(tolerances, name) * factor)
    assert entry.fails - failed_checks(entry, grader, reference, assignment) != set()


def test_both_tolerances_are_guarded() -> None:
    assert {name for _, name in GUARDED} == {"RTOL", "CONVERGED"}

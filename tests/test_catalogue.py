"""The catalogue as data; that every entry does what it says is proven by ``grader verify``, which the gate runs."""

from __future__ import annotations

import pytest

from grader.assignment import Assignment
from grader.catalogue import Entry, Kind, all_entries, entry, with_entries
from grader.catalogue.pairs import COMMON_PAIRS
from grader.errors import CatalogueError
from grader.grade import Grader
from grader.report import Outcome
from grader.submission import Submission
from grader.verify.subjects import checked_entries
from tests.conftest import checks_of

ENTRIES = list(all_entries())


def of(kind: Kind) -> list[Entry]:
    """The entries of one kind."""
    return [item for item in ENTRIES if item.kind is kind]


def test_there_are_as_many_as_promised() -> None:
    assert len(of(Kind.MISCONCEPTION)) >= 90
    assert len(of(Kind.EQUIVALENT)) >= 60


def test_every_entry_is_complete(assignment: Assignment) -> None:
    assert checked_entries(assignment) == ENTRIES


def test_an_equivalent_lacks_nothing_but_the_bonus(assignment: Assignment) -> None:
    bonus = {name for part in assignment.parts.values() if part.bonus for name in part.weights}
    assert all(item.fails <= bonus for item in of(Kind.EQUIVALENT))


def test_few_outcomes_are_left_open(assignment: Assignment) -> None:
    """Only checks that hang on the outcome of a training may be free to fail."""
    free = {check for item in ENTRIES for check in item.may_fail}
    assert len([item for item in ENTRIES if item.may_fail]) <= len(ENTRIES) / 10, sorted(free)


def test_common_pairs_are_misconceptions_of_different_functions() -> None:
    for first, second in COMMON_PAIRS:
        assert entry(first).kind is entry(second).kind is Kind.MISCONCEPTION
        assert entry(first).target != entry(second).target
    assert len(set(COMMON_PAIRS)) == len(COMMON_PAIRS)


def test_an_unknown_entry_is_an_error() -> None:
    with pytest.raises(CatalogueError, match=r"no entry 'lab9\.nothing'"):
        entry("lab9.nothing")


def test_a_wrong_verdict_changes_nothing_else(grader: Grader, reference: Submission) -> None:
    wrong = next(item for item in ENTRIES if item.target == "answers.p1.4")
    files = with_entries(reference.files, [wrong])
    assert {name for name in files if files[name] != reference.files[name]} == {"answers.toml"}
    checks = checks_of(grader.grade(Submission("wrong", files, ()), [f"p1.{i}" for i in range(1, 6)]))
    assert {name for name, check in checks.items() if check.outcome is Outcome.FAILED} == {"verdict_4"}


def test_untouched_reference_has_full_marks(grader: Grader, reference: Submission) -> None:
    checks = checks_of(grader.grade(reference))
    assert {check.outcome for check in checks.values()} == {Outcome.PASSED}

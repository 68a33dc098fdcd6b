"""Each near miss of Lab 2 fails its checks, and would pass one of them if its tolerance were ten times weaker."""

from __future__ import annotations

import pytest

from grader.assignment import Assignment
from grader.catalogue import Entry, lab2, near_lab2, with_entries
from grader.checks import tolerances
from grader.grade import Grader
from grader.report import Outcome
from grader.submission import Submission

NEAR_MISSES = [value for value in vars(near_lab2).values() if isinstance(value, Entry)]
GUARDED = [(entry, name) for entry in NEAR_MISSES for name in sorted(entry.guards)]

BEYOND_THE_DROP = [
    ("finetuned_max_drop", lab2.forgets_to_clear_the_gradients, "finetune_heals"),
    ("iterative_max_drop", lab2.prunes_the_largest, "iterative_keeps_accuracy"),
    ("global_max_drop", lab2.prunes_the_largest_globally, "global_iterative_keeps_accuracy"),
]
"""By largest accepted drop of accuracy, a mistake that fails a check because of nothing else."""


def failed_checks(entry: Entry, grader: Grader, reference: Submission, assignment: Assignment) -> set[str]:
    """The checks of Lab 2 that the reference with the entry in it fails."""
    submission = Submission(entry.id, with_entries(reference.files, [entry]), ())
    report = grader.grade(submission, [part for part in assignment.parts if part.startswith("2")])
    checks = [check for part in report.parts for check in part.checks]
    assert not [check for check in checks if check.outcome is Outcome.ERROR]
    return {check.name for check in checks if check.outcome in (Outcome.FAILED, Outcome.TIMEOUT)}


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


@pytest.mark.parametrize(("drop", "entry", "check"), BEYOND_THE_DROP, ids=lambda value: getattr(value, "id", value))
def test_a_weaker_threshold_of_accuracy_is_noticed(
    drop: str, entry: Entry, check: str, grader: Grader, reference: Submission, assignment: Assignment
) -> None:
    weaker = assignment.quick.model_copy(update={drop: 10 * getattr(assignment.quick, drop)})
    assert check in failed_checks(entry, grader, reference, assignment)
    with Grader(assignment.model_copy(update={"quick": weaker})) as lenient:
        assert check not in failed_checks(entry, lenient, reference, assignment)


def test_every_tolerance_of_the_lab_is_guarded() -> None:
    guarded = {name for _, name in GUARDED}
    assert guarded == {
        "IMAGES",
        "ZEROS_PER_LAYER",
        "SPARSITY",
        "LEAST_TRAINED",
        "LEAST_RECOVERED",
        "RTOL",
        "LEAST_SPREAD",
    }

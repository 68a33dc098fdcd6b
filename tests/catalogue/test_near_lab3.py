"""Each near miss of Lab 3 fails its checks, and would pass one of them if its tolerance were ten times weaker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.assignment import Assignment
from grader.catalogue import Entry, entry, near_lab3, with_entries
from grader.checks import lab3, quantized, tolerances
from grader.grade import Grader
from grader.report import Outcome
from grader.session import Answer
from grader.submission import Submission

NEAR_MISSES = [value for value in vars(near_lab3).values() if isinstance(value, Entry)]
GUARDED = [(item, name) for item in NEAR_MISSES for name in sorted(item.guards)]
GUARDED_BY_LAB_3 = {
    "CONFIDENCE",
    "GRADIENT",
    "LEAST_TRAINED",
    "MERGED",
    "NEAREST",
    "OUTERMOST",
    "PRODUCT",
    "QUANTIZED_ACCURACY",
    "RANGE",
    "SHARED",
    "SPACING",
    "SYMMETRY",
}
DROPS = {
    "quantized_max_drop": "qat_regains_accuracy",
    "sparse_quantized_max_drop": "qat_of_a_sparse_network_regains_accuracy",
}
"""By largest accepted drop of accuracy, the check that it is for."""


def ended(grader: Grader, files: dict[str, bytes], assignment: Assignment, *outcomes: Outcome) -> set[str]:
    """The checks of Lab 3 and the bonus that ended so."""
    parts = [part for part in assignment.parts if part[0] in "3b"]
    report = grader.grade(Submission("changed", files, ()), parts)
    return {check.name for part in report.parts for check in part.checks if check.outcome in outcomes}


def failed_checks(item: Entry, grader: Grader, reference: Submission, assignment: Assignment) -> set[str]:
    """The checks that the reference with the entry in it fails."""
    files = with_entries(dict(reference.files), [item])
    return ended(grader, files, assignment, Outcome.FAILED, Outcome.TIMEOUT, Outcome.ERROR)


def passed_checks(item: Entry, grader: Grader, reference: Submission, assignment: Assignment) -> set[str]:
    """The checks that the reference with the entry in it passes."""
    return ended(grader, with_entries(dict(reference.files), [item]), assignment, Outcome.PASSED)


@pytest.mark.parametrize("item", NEAR_MISSES, ids=lambda item: item.id)
def test_near_miss_fails_its_checks_and_no_others(
    item: Entry, grader: Grader, reference: Submission, assignment: Assignment
) -> None:
    failed = failed_checks(item, grader, reference, assignment)
    assert item.fails - failed == set()
    assert failed - item.fails - item.may_fail == set()


@pytest.mark.parametrize(("item", "name"), GUARDED, ids=lambda value: getattr(value, "id", value))
def test_a_tenfold_weaker_tolerance_is_noticed(
    item: Entry,
    name: str,
    grader: Grader,
    reference: Submission,
    assignment: Assignment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    factor = 0.1 if name.startswith("LEAST") else 10
    monkeypatch.setattr(tolerances, name, getattr(tolerances, name) * factor)
    assert item.fails & passed_checks(item, grader, reference, assignment) != set()


def test_every_tolerance_of_lab_3_is_guarded() -> None:
    assert {name for _, name in GUARDED} == GUARDED_BY_LAB_3


@pytest.fixture(params=DROPS)
def weaker(request: pytest.FixtureRequest, assignment: Assignment) -> Iterator[tuple[Grader, str]]:
    """A grader that accepts twice a drop of accuracy, and the check that the drop is for."""
    name = request.param
    quick = assignment.quick.model_copy(update={name: 2 * getattr(assignment.quick, name)})
    with Grader(assignment.model_copy(update={"quick": quick})) as grader:
        yield grader, DROPS[name]


def test_an_accepted_drop_twice_as_large_is_noticed(
    weaker: tuple[Grader, str], reference: Submission, assignment: Assignment
) -> None:
    grader, check = weaker
    mistake = entry("lab3.gradients_accumulate")
    assert check in mistake.fails
    assert check in passed_checks(mistake, grader, reference, assignment)


def test_a_range_that_counts_zeros_in_the_checks_refuses_what_is_right(
    grader: Grader, reference: Submission, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def require_extremes(answer: Answer) -> None:
        w, (_, wq, what) = answer.inputs["w"], lab3.nonzero(answer)
        quantized.require_range(wq, float(w.min()), float(w.max()), what)

    monkeypatch.setattr(lab3, "require_extremes", require_extremes)
    refused = ended(grader, dict(reference.files), assignment, Outcome.FAILED)
    assert refused == {"ste_range_of_nonzeros", "ste_on_other_tensors"}


def test_checks_that_count_zeros_on_both_sides_accept_the_mistake(
    grader: Grader, reference: Submission, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def require_extremes(answer: Answer) -> None:
        w, wq, (_, _, what) = answer.inputs["w"], answer.array("wq"), lab3.nonzero(answer)
        quantized.require_range(wq, float(w.min()), float(w.max()), what)

    monkeypatch.setattr(lab3, "require_extremes", require_extremes)
    mistake = entry("lab3.range_with_zeros")
    assert "ste_range_of_nonzeros" in mistake.fails & passed_checks(mistake, grader, reference, assignment)

"""A check that becomes weaker is noticed by ``grader verify``: every tolerance, every threshold, the non-zero rule."""

from __future__ import annotations

import pytest

from grader.assignment import Assignment
from grader.catalogue import Entry, Kind, all_entries, entry
from grader.checks import lab3, quantized, tolerances
from grader.grade import Grader
from grader.session import Answer
from grader.verify.judging import Problem, judge, result_of
from grader.verify.subjects import Role, Subject

NEAR_MISSES = [item for item in all_entries() if item.kind is Kind.NEAR_MISS]
GUARDED = [pytest.param(item, name, id=f"{name}-{item.id}") for item in NEAR_MISSES for name in sorted(item.guards)]
LETTERS = {"lab1_sparse_optimization": "1", "lab2_pruning": "2", "lab3_quantization": "3", "FP_layers": "3b"}
"""First letters of the parts that see a module."""

BEYOND_THE_DROP = {
    "finetuned_max_drop": "lab2.forgets_to_clear_the_gradients",
    "iterative_max_drop": "lab2.prunes_the_largest",
    "global_max_drop": "lab2.prunes_the_largest_globally",
    "quantized_max_drop": "lab3.gradients_accumulate",
    "sparse_quantized_max_drop": "lab3.gradients_accumulate",
}
"""By largest accepted drop of accuracy, a mistake that fails some check because of nothing else."""


def problems(item: Entry, grader: Grader, assignment: Assignment) -> list[Problem]:
    """What ``grader verify`` complains of, in its own lab if it is wrong, but for the naming of mistakes."""
    subject = Subject(item.id, Role(item.kind.value), (item,))
    parts = [part for part in assignment.parts if item.right or part[0] in LETTERS[item.module]]
    found = judge(subject, result_of(subject, grader.grade(subject.submission(), parts)), assignment)
    return [problem for problem in found if "name" not in problem.text]


def test_every_tolerance_is_guarded() -> None:
    known = {name for name in vars(tolerances) if name.isupper()}
    assert {name for item in NEAR_MISSES for name in item.guards} == known


@pytest.mark.parametrize(("item", "name"), GUARDED)
def test_a_tenfold_weaker_tolerance_is_noticed(
    item: Entry, name: str, grader: Grader, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert problems(item, grader, assignment) == []
    factor = 0.1 if name.startswith("LEAST") else 10
    monkeypatch.setattr(tolerances, name, getattr(tolerances, name) * factor)
    assert "the mistake was not noticed" in {problem.text for problem in problems(item, grader, assignment)}


def test_every_threshold_is_tried_below(assignment: Assignment) -> None:
    assert set(BEYOND_THE_DROP) == set(type(assignment.quick).model_fields)


@pytest.mark.parametrize("drop", BEYOND_THE_DROP)
def test_a_weaker_threshold_of_accuracy_is_noticed(drop: str, grader: Grader, assignment: Assignment) -> None:
    mistake = entry(BEYOND_THE_DROP[drop])
    assert problems(mistake, grader, assignment) == []
    quick = assignment.quick.model_copy(update={drop: 10 * getattr(assignment.quick, drop)})
    with Grader(assignment.model_copy(update={"quick": quick})) as lenient:
        assert problems(mistake, lenient, assignment)


def _range_with_zeros(answer: Answer) -> None:
    w, wq, (_, _, what) = answer.inputs["w"], answer.array("wq"), lab3.nonzero(answer)
    quantized.require_range(wq, float(w.min()), float(w.max()), what)


def _range_with_the_inputs_zeros(answer: Answer) -> None:
    w, (_, wq, what) = answer.inputs["w"], lab3.nonzero(answer)
    quantized.require_range(wq, float(w.min()), float(w.max()), what)


@pytest.mark.parametrize("weaker", [_range_with_zeros, _range_with_the_inputs_zeros])
def test_a_range_without_the_non_zero_rule_is_noticed(
    weaker: object, grader: Grader, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the mistake passes, or right code is refused."""
    monkeypatch.setattr(lab3, "require_extremes", weaker)
    right = entry("equivalents_lab3.by_nearest_in_a_table")
    assert problems(entry("lab3.range_with_zeros"), grader, assignment) or problems(right, grader, assignment)

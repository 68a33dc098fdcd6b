"""Mutants of the reference: where they are, that they are different programs, and that the checks notice them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.grade import Grader
from grader.report import Outcome
from grader.submission import Submission
from grader.verify.mutants import (
    GRADED_BY,
    Mutant,
    grade,
    impatient,
    load_survivors,
    mutants,
    stale,
    unexplained,
)

NOTICED = {
    ("lab1_sparse_optimization.gradient", "return (X.T) @ (X @ w - y)"): "gradient_is_exact",
    ("lab1_sparse_optimization.soft_threshold", "np.abs(w) + threshold"): "soft_threshold_shrinks",
    ("lab1_sparse_optimization.l1_gradient_descent", "lr / lam * np.sign(w)"): "l1_trajectory",
    ("lab2_pruning.evaluate", "return correct * total"): "evaluate_is_exact",
    ("lab2_pruning.prune_by_percentage", "magnitude < threshold"): "layer_keeps_the_largest",
    ("lab2_pruning.iterative_prune", "prune=epoch > ramp_epochs"): "iterative_freezes_after_the_ramp",
    ("FP_layers.STE.forward", "steps = 2**bit + 1"): "ste_levels",
    ("FP_layers.STE.forward", "return (wq)"): "ste_keeps_zeros",
    ("FP_layers.FP_Conv.forward", "weight = (conv.weight)"): "fp_conv_forward",
    ("lab3_quantization.finetune_quantized", "if weight.dim() < 1"): "qat_keeps_sparsity",
}
"""Function and changed text of mistakes that everyone would want noticed, and a check that notices."""


@pytest.fixture(scope="module")
def found(reference: Submission) -> list[Mutant]:
    """Every mutant of the reference."""
    return list(mutants(reference.files))


def outside(source: str) -> str:
    """What a file says outside its solutions."""
    return re.sub(r"# BEGIN SOLUTION.*?# END SOLUTION", "", source, flags=re.DOTALL)


def one(found: list[Mutant], function: str, text: str) -> Mutant:
    """The mutant of a function whose changed line contains ``text``."""
    (mutant,) = (m for m in found if m.id.startswith(f"{function}:") and text in m.after and text not in m.before)
    return mutant


def test_there_are_mutants_in_every_file(found: list[Mutant]) -> None:
    assert {mutant.file for mutant in found} == set(GRADED_BY)
    assert len(found) > 500


def test_only_solutions_are_changed(found: list[Mutant], reference: Submission) -> None:
    kept = {name: outside(reference.files[name].decode()) for name in GRADED_BY}
    assert [mutant.id for mutant in found if outside(mutant.source) != kept[mutant.file]] == []


def test_each_compiles_and_is_another_program(found: list[Mutant], reference: Submission) -> None:
    plain = {name: ast.dump(ast.parse(reference.files[name])) for name in GRADED_BY}
    for mutant in found[::5]:
        assert ast.dump(ast.parse(mutant.source)) != plain[mutant.file], mutant.id
        assert mutant.before != mutant.after, mutant.id
    assert len({mutant.source for mutant in found}) == len(found)


def test_each_names_its_line(found: list[Mutant], reference: Submission) -> None:
    lines = {name: reference.files[name].decode().splitlines() for name in GRADED_BY}
    for mutant in found:
        changed = lines[mutant.file][mutant.line - 1 :]
        assert mutant.before.startswith(changed[0].strip()) or mutant.before in " ".join(map(str.strip, changed))


SMALL = '''"""Module."""

import numpy as np


def f(x: list[int | None], n: int = 2) -> int | None:
    """Add 1 + 1."""
    # BEGIN SOLUTION 1(a)
    # x + 1 is no code
    y: int | None = np.sum(x) + 1
    with np.errstate(all="ignore"):
        return y
    # END SOLUTION
'''


def made_of(source: str) -> dict[str, str]:
    """Mutants of one file, the others empty: the changed text by id."""
    files = dict.fromkeys(GRADED_BY, b"") | {"lab2_pruning.py": source.encode()}
    return {mutant.id: mutant.after for mutant in mutants(files)}


def test_operators_of_its_own() -> None:
    found = made_of(SMALL)
    assert found["lab2_pruning.f:DeleteStatement:0"] == "pass"
    assert found["lab2_pruning.f:DeleteArgument:0"] == "y: int | None = np.sum() + 1"
    parts = {after for mutant, after in found.items() if ":KeepPart:" in mutant}
    assert parts == {f"y: int | None = {part}" for part in ("(1)", "(np.sum(x))", "(x) + 1")}
    assert found["lab2_pruning.f:UndoWith:0"] == "if True:"
    assert found["lab2_pruning.f:EmptyString:0"] == 'with np.errstate(all=""):'


def test_comments_annotations_and_docstrings_stay() -> None:
    for after in made_of(SMALL).values():
        assert "is no code" not in after and "Add" not in after
        assert "y:" not in after or "y: int | None =" in after


def test_ids_are_unique(found: list[Mutant]) -> None:
    assert len({mutant.id for mutant in found}) == len(found)


def test_ids_survive_edits_elsewhere() -> None:
    other = SMALL[SMALL.index("def f") :].replace("def f", "def g").replace("+ 1\n", "+ 1 + 1\n")
    alone, beside = made_of(SMALL), made_of(f"# another line\n{SMALL.replace('def f', other + chr(10) + 'def f', 1)}")
    assert {mutant for mutant in beside if mutant.startswith("lab2_pruning.f:")} == set(alone)
    assert len(beside) > 2 * len(alone)


@pytest.mark.parametrize(("function", "text"), NOTICED)
def test_a_plain_mistake_is_noticed(
    function: str, text: str, found: list[Mutant], grader: Grader, reference: Submission, assignment: Assignment
) -> None:
    verdict = grade(one(found, function, text), reference.files, grader, assignment)
    assert not verdict.survived
    assert verdict.failed.get(NOTICED[function, text]) is Outcome.FAILED
    assert Outcome.ERROR not in verdict.failed.values()


def test_another_right_threshold_survives(
    found: list[Mutant], grader: Grader, reference: Submission, assignment: Assignment
) -> None:
    mutant = one(found, "lab2_pruning.prune_by_percentage", "magnitude >= threshold")
    assert grade(mutant, reference.files, grader, assignment).survived


def test_impatience_changes_no_goldens(assignment: Assignment) -> None:
    hurried = impatient(assignment)
    assert hurried.limits.probe_seconds < assignment.limits.probe_seconds
    assert hurried.term == assignment.term and hurried.parts == assignment.parts


def test_survivors_are_explained_in_a_sentence_and_exist(found: list[Mutant]) -> None:
    reasons = load_survivors()
    assert stale({mutant.id for mutant in found}, reasons) == []
    assert [mutant for mutant, reason in reasons.items() if not reason.endswith(".")] == []
    order = [mutant.id.partition(":")[0] for mutant in found]
    functions = list(dict.fromkeys(mutant.partition(":")[0] for mutant in reasons))
    assert functions == sorted(functions, key=order.index), "the tables are in the order of the reference"


def test_holes_and_stale_reasons_are_told_apart() -> None:
    assert unexplained(["a:X:0", "b:X:0"], {"a:X:0": "right"}) == ["b:X:0"]
    assert stale(["a:X:0"], {"a:X:0": "right", "c:X:0": "gone"}) == ["c:X:0"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('["a.f"]\n"X:0" = " "\n', "a.f:X:0 has no reason"),
        ('["a.f"]\n"X:0" = 3\n', "a.f:X:0 has no reason"),
        ('"a.f:X:0" = "right"\n', "is not a table"),
        ("[a.f", "cannot be read"),
    ],
)
def test_a_damaged_list_of_survivors_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "survivors.toml"
    path.write_text(text)
    with pytest.raises(GraderError, match=problem):
        load_survivors(path)

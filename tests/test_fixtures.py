"""The fixtures: reproducible, public and hidden apart, and hard enough to show a mistake."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grader import locations
from grader.assignment import Assignment
from grader.authoring import fixtures, samples
from grader.authoring.mistakes import difference
from grader.cases import Case, CaseSet, load_cases, save_cases
from grader.diagnosis.hypotheses import Hypotheses, load_hypotheses
from grader.errors import InternalError, StaleOutput
from grader.evaluator import Evaluator
from tests.conftest import ROOT

FIXTURES = ROOT / "fixtures"


@pytest.fixture(scope="module")
def public() -> CaseSet:
    return load_cases(FIXTURES / "public")


@pytest.fixture(scope="module")
def hidden() -> CaseSet:
    return load_cases(FIXTURES / "hidden")


def test_the_committed_fixtures_are_reproduced(assignment: Assignment) -> None:
    assert "up to date" in fixtures.check(assignment)
    samples.check(FIXTURES)


def test_a_build_gives_the_same_bytes_twice(assignment: Assignment, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fixtures.build_cases(assignment, tmp_path / name)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path.name


@pytest.mark.parametrize("change", ["golden", "param", "case"])
def test_a_changed_fixture_is_noticed(
    assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    shutil.copytree(FIXTURES, tmp_path / "fixtures")
    cases = load_cases(tmp_path / "fixtures" / "public")
    case = cases.cases["lab1/loss/course"]
    if change == "golden":
        cases.cases[case.id] = case.model_copy(update={"expected": {"value": case.expected["value"] * 1.001}})
    elif change == "param":
        cases.cases[case.id] = case.model_copy(update={"params": {**case.params, "name": "gradient"}})
    else:
        del cases.cases[case.id]
    save_cases(tmp_path / "fixtures" / "public", cases)
    monkeypatch.setattr(locations, "fixtures", lambda: tmp_path / "fixtures")
    with pytest.raises(StaleOutput, match="grader fixtures build"):
        fixtures.check(assignment)


def test_a_changed_sample_is_noticed(tmp_path: Path) -> None:
    samples.build(tmp_path)
    samples.check(tmp_path)
    (samples.folder_of(tmp_path) / "mean_loss" / "answers.toml").write_text("")
    with pytest.raises(StaleOutput, match="mean_loss"):
        samples.check(tmp_path)


def test_damaged_goldens_are_the_graders_fault(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "public", tmp_path / "public")
    (tmp_path / "public" / "arrays.safetensors").write_bytes(b"short")
    with pytest.raises(InternalError, match="run `grader fixtures build`"):
        load_cases(tmp_path / "public")


def test_a_prefix_without_cases_is_an_error(public: CaseSet) -> None:
    with pytest.raises(InternalError, match="there is no case lab9"):
        public.matching("lab9")


def test_hidden_inputs_are_not_public(public: CaseSet, hidden: CaseSet) -> None:
    seen = {array.tobytes() for case in public.cases.values() for array in case.inputs.values() if array.size > 8}
    for case in hidden.cases.values():
        if case.id.startswith(("lab1", "lab2/prune_layer", "lab3/ste")):
            fresh = {name for name, array in case.inputs.items() if array.size > 3 and array.tobytes() not in seen}
            assert fresh, f"{case.id} asks what a public case asks"


def test_verdicts_are_hidden_only(public: CaseSet) -> None:
    assert not [case for case in public.cases if case.startswith("problem1")]
    assert "verdict" not in json.dumps(
        [case.model_dump(exclude={"inputs", "expected"}) for case in public.cases.values()]
    )


def test_a_set_survives_writing_and_reading(tmp_path: Path) -> None:
    case = Case(id="a/b", probe="p.q", module="m", params={"x": 1}, inputs={"w": np.zeros(2)},
                expected={"v": np.array(1.5)}, facts={"n": [1, 2]})  # fmt: skip
    save_cases(tmp_path, CaseSet({"a/b": case}, {"net.w": np.ones(3)}, "key"))
    found = load_cases(tmp_path)
    assert found.key == "key"
    assert found.cases["a/b"].expected["v"].shape == ()
    assert found.cases["a/b"].model_dump(exclude={"inputs", "expected"}) == case.model_dump(
        exclude={"inputs", "expected"}
    )
    np.testing.assert_array_equal(found.shared["net.w"], np.ones(3))


@pytest.fixture(scope="module")
def evaluator(assignment: Assignment, public: CaseSet):
    evaluator = Evaluator(locations.pristine(), assignment.limits, public)
    yield evaluator
    evaluator.close()


def test_the_small_network_is_accurate(evaluator: Evaluator) -> None:
    assert evaluator.baseline > 0.95


def test_pruning_visibly_hurts(evaluator: Evaluator, public: CaseSet) -> None:
    assert evaluator.accuracy(public.group("sparse.")) < evaluator.baseline - 0.2


def test_two_bits_visibly_hurt(evaluator: Evaluator, public: CaseSet) -> None:
    facts = public.cases["lab3/accuracy_by_bits/own"].facts
    accuracies = dict(zip(facts["bits"], facts["accuracies"], strict=True))
    assert accuracies[2] < evaluator.baseline - 0.2
    assert accuracies[6] > evaluator.baseline - 0.02


def test_unhealed_networks_are_below_every_threshold(
    assignment: Assignment, evaluator: Evaluator, public: CaseSet
) -> None:
    """An accuracy check that pruning or quantizing alone passes would show nothing."""
    pruned = evaluator.accuracy(public.group("sparse."))
    facts = public.cases["lab3/accuracy_by_bits/own"].facts
    quantized = dict(zip(facts["bits"], facts["accuracies"], strict=True))[2]
    quick = assignment.quick
    for unhealed, drop in (
        (pruned, quick.finetuned_max_drop),
        (pruned, quick.iterative_max_drop),
        (pruned, quick.sparse_quantized_max_drop),
        (quantized, quick.quantized_max_drop),
    ):
        assert unhealed < evaluator.baseline - drop / 100


def test_changed_goldens_of_mistakes_are_noticed() -> None:
    known = load_hypotheses(FIXTURES / "public")
    first, *rest = known.alternatives
    assert difference(known, known) is None
    assert "is not in both" in str(difference(known, Hypotheses(known.right, tuple(rest))))
    renamed = replace(first, mistakes=(replace(first.mistakes[0], title="Another title"),))
    assert "the words of" in str(difference(known, Hypotheses(known.right, (renamed, *rest))))
    harmless = replace(first, footprint={})
    assert "the answer of" in str(difference(known, Hypotheses(known.right, (harmless, *rest))))

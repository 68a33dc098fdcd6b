"""Sketches: what agrees, what does not, and that everything visible shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader.cases import Case
from grader.diagnosis.hypotheses import (
    Hypotheses,
    Hypothesis,
    Mistake,
    differs,
    footprint,
    load_hypotheses,
    save_hypotheses,
)
from grader.diagnosis.sketch import ABSENT, FAILURE, Sketch, agree, sketch_answer
from grader.errors import CheckFailed, InternalError
from grader.session import Answer

TOLERANCE = 1e-6


def sketches(facts: dict[str, Any] | None = None, **arrays: Any) -> dict[str, Sketch]:
    """The sketches of an answer with these facts and arrays."""
    case = Case(id="lab2/case", probe="", module="", params={})
    named = {name.replace("__", "."): np.asarray(array) for name, array in arrays.items()}
    return sketch_answer(Answer(case, {}, facts or {}, named))


@pytest.fixture
def array() -> np.ndarray:
    """Weights with zeros, as a layer has them."""
    random = np.random.default_rng(1)
    values = random.normal(size=(12, 8, 3, 3))
    values[random.random(values.shape) < 0.3] = 0
    return values.astype(np.float32)


def test_rounding_does_not_show(array: np.ndarray) -> None:
    rounded = np.nextafter(array, np.float32(9), where=array != 0, out=array.copy())
    assert (rounded != array).any()
    assert agree(sketches(w=array)["w"], sketches(w=rounded)["w"], TOLERANCE)


@pytest.mark.parametrize("index", [0, 17, 400, 863])
def test_one_changed_element_shows(array: np.ndarray, index: int) -> None:
    changed = array.copy()
    changed.flat[index] += 0.01
    assert not agree(sketches(w=array)["w"], sketches(w=changed)["w"], TOLERANCE)


def test_two_elements_that_changed_places_show(array: np.ndarray) -> None:
    changed = array.copy()
    kept = np.flatnonzero(array)
    changed.flat[kept[[3, 90]]] = array.flat[kept[[90, 3]]]
    assert not agree(sketches(w=array)["w"], sketches(w=changed)["w"], TOLERANCE)


def test_a_small_array_shows_beside_a_large_one(array: np.ndarray) -> None:
    before, after = (sketches(net__a=1e6 * array, net__b=b)["net"] for b in ([1.0, 2.0], [1.0, 2.1]))
    assert not agree(before, after, TOLERANCE)


def test_a_factor_shows(array: np.ndarray) -> None:
    assert not agree(sketches(w=array)["w"], sketches(w=2 * array)["w"], TOLERANCE)


def test_shape_and_dtype_show(array: np.ndarray) -> None:
    plain = sketches(w=array)["w"]
    assert not agree(plain, sketches(w=array.ravel())["w"], TOLERANCE)
    assert not agree(plain, sketches(w=array.astype(np.float64))["w"], TOLERANCE)


def test_nan_and_infinity_show(array: np.ndarray) -> None:
    broken = array.copy()
    broken[0, 0, 0, 0] = np.nan
    assert not agree(sketches(w=array)["w"], sketches(w=broken)["w"], TOLERANCE)
    assert agree(sketches(w=broken)["w"], sketches(w=broken)["w"], TOLERANCE)


def test_numbers_that_diverge_have_a_finite_sketch() -> None:
    huge = sketches(w=np.array([1e300, -1e305, np.inf]))["w"]
    assert np.isfinite(huge.values).all()


def test_facts_are_exact_but_for_fractions() -> None:
    known = sketches({"a": {"x": 0.5, "y": [1, True, "z"]}})["fact:a"]
    assert agree(known, sketches({"a": {"y": [1, True, "z"], "x": 0.5 + 1e-9}})["fact:a"], TOLERANCE)
    for other in ({"x": 0.6, "y": [1, True, "z"]}, {"x": 0.5, "y": [1, False, "z"]}, {"x": 0.5}, None):
        assert not agree(known, sketches({"a": other})["fact:a"], TOLERANCE)


def test_a_failure_is_what_it_says() -> None:
    said = sketch_answer(CheckFailed("bad object at 0x7f01"))
    assert agree(said[FAILURE], sketch_answer(CheckFailed("bad object at 0x7fff"))[FAILURE], TOLERANCE)
    assert not agree(said[FAILURE], sketch_answer(CheckFailed("good object"))[FAILURE], TOLERANCE)


def test_what_is_absent_belongs_to_a_footprint(array: np.ndarray) -> None:
    right, found = {"lab2/case": sketches(w=array, v=array)}, {"lab2/case": sketches(w=array)}
    assert footprint(right, found) == {"lab2/case": {"v": ABSENT}}
    assert differs(ABSENT, right["lab2/case"]["v"], "lab2/case")


def test_hypotheses_survive_being_saved(tmp_path: Path, array: np.ndarray) -> None:
    right = {"lab2/case": sketches({"n": 3, "names": ["α"]}, w=array, v=[np.nan, 1.0])}
    wrong = footprint(right, {"lab2/case": sketches({"n": 4, "names": ["α"]}, w=-array)})
    mistake = Mistake("lab2.sign", "The sign", "It is the other one.", "Look at the sign.", ("lab2/",))
    hypotheses = Hypotheses(right, (Hypothesis((mistake,), wrong),))
    save_hypotheses(tmp_path, hypotheses)
    assert load_hypotheses(tmp_path) == hypotheses


def test_a_folder_without_hypotheses_has_none(tmp_path: Path) -> None:
    assert load_hypotheses(tmp_path) == Hypotheses()


def test_damaged_hypotheses_are_the_graders_fault(tmp_path: Path) -> None:
    save_hypotheses(tmp_path, Hypotheses())
    (tmp_path / "mistakes.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InternalError, match="grader fixtures build"):
        load_hypotheses(tmp_path)


def test_the_size_of_a_small_array_shows_beside_a_large_one(array: np.ndarray) -> None:
    before, after = (sketches(net__a=1e6 * array, net__b=factor * array)["net"] for factor in (1, 1.01))
    assert not agree(before, after, 1e-4)


def test_facts_of_a_hostile_submission_have_a_sketch() -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    facts = {"deep": deep, "long": "x" * 10**6, "many": [0.5] * 10**5, "large": 10**300, "nan": float("nan")}
    for sketch in sketches(facts).values():
        assert len(sketch.words) <= 2000
        assert agree(sketch, sketch, TOLERANCE)


def test_more_than_any_answer_is_not_looked_at() -> None:
    large = sketches(w=np.zeros(3_000_000, dtype=np.uint8))
    many = sketches(**{f"{i}__x": np.ones(1) for i in range(1500)})
    assert large.keys() == many.keys() == sketches(dict.fromkeys(map(str, range(1500)), 1)).keys() == {FAILURE}

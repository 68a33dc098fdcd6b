"""The rubric: what is in it, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.errors import AssignmentError, GraderError
from grader.grade import Grader
from grader.oracle import term_key
from grader.submission import Submission
from tests.conftest import ROOT

EXAMPLE = ROOT / "grader" / "terms" / "sparser.toml"


def _changed(tmp_path: Path, old: str, new: str) -> Path:
    text = locations.default_assignment().read_text()
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_the_rubric_is_the_assignments(assignment: Assignment) -> None:
    expected = {
        **{f"p1.{i}": (1, 2) for i in range(1, 6)},
        "1a": (2, 2), "1b": (2, 1), "1c": (5, 1), "1d": (4, 1), "1e": (5, 1), "1f": (5, 1),
        "2a": (2, 0), "2b": (6, 0), "2c": (6, 0), "2d": (4, 1), "2e": (6, 0),
        "3a": (15, 0), "3b": (4, 1), "3c": (4, 1), "3d": (4, 1), "bonus": (5, 0),
    }  # fmt: skip
    assert {part.id: (part.automatic, part.manual) for part in assignment.parts.values()} == expected
    assert [part.id for part in assignment.parts.values() if part.bonus] == ["bonus"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("automatic_total = 79", "automatic_total = 80", "the parts have 79 automatic points, automatic_total says 80"),
        ("total = 100", "total = 99", "the parts have 100 points, total says 99"),
        ("top_k = 2", "top_k = 2\ntopk = 2", "term.topk: unknown key"),
        ("top_k = 2", "", "term.top_k: is missing"),
        ("target_sparsity = 70", "target_sparsity = 0.0", "term.target_sparsity"),
        ("steps = 200", 'steps = "many"', "term.steps"),
        ("hidden = { verdict_1 = 1 }", "", "part p1.1: 1 automatic points, but no check has a weight"),
        ("hidden = { verdict_2 = 1 }", "hidden = { verdict_1 = 1 }", "verdict_1 is a check of more than one part"),
        ("l1_losses = 1,", "l1_on_other_problems = 1,", "is both public and hidden"),
        ("ramp_epochs = 10", "ramp_epochs = 30", "ramp would not reach its target"),
        ("quantized_max_drop = { 4 = 1.5, 3 = 4,", "quantized_max_drop = { 4 = 1.5,", "no drop for 3 bits"),
        ("[quick]", "[quick", "is not valid TOML"),
        ("name =", "extends = 'nowhere.toml'\nname =", "nowhere.toml cannot be read"),
        ("name =", "extends = 'changed.toml'\nname =", "goes round in circles"),
        ("name =", "without_parts = ['9z']\nname =", "'9z', which is no part"),
    ],
)
def test_a_wrong_rubric_says_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(AssignmentError) as caught:
        load_assignment(_changed(tmp_path, old, new))
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("loss_is_exact = 1", "loss_is_right = 1", "checks that do not exist: loss_is_right"),
        (", l1_oscillates = 1", "", "checks without a part in the rubric: l1_oscillates"),
    ],
)
def test_rubric_and_checks_must_fit(tmp_path: Path, reference: Submission, old: str, new: str, message: str) -> None:
    with Grader(load_assignment(_changed(tmp_path, old, new))) as grader, pytest.raises(AssignmentError) as caught:
        grader.grade(reference, ["1d"])
    assert message in str(caught.value)


def test_an_unknown_part_is_named(grader: Grader, reference: Submission) -> None:
    with pytest.raises(GraderError, match=r"no part '4a' in the rubric; the parts are p1\.1"):
        grader.grade(reference, ["4a"])


def test_the_example_term_changes_numbers_only(assignment: Assignment) -> None:
    term = load_assignment(EXAMPLE)
    assert term.term.target_sparsity == 80
    assert term.term.learning_rate == assignment.term.learning_rate
    assert set(assignment.parts) - set(term.parts) == {"bonus"}
    assert "symmetric_levels" in term.left_out
    assert term_key(term) != term_key(assignment)


def test_the_reference_gets_full_marks_in_the_example_term(
    reference: Submission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "cache_folder", lambda: tmp_path)
    with Grader(load_assignment(EXAMPLE), show_hidden=True) as grader:
        report = grader.grade(reference)
    failed = {c.name: c.message for part in report.parts for c in part.checks if c.outcome != "passed"}
    assert failed == {}
    assert (report.score, report.max_score) == (79, 79)
    assert list(tmp_path.glob("*/public/cases.json"))

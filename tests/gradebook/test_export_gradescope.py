"""results.json: what the contract allows, what a student reads, and that no fault is a zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from grader.assignment import Assignment
from grader.gradebook.exports.gradescope import Failed, Hidden, Results, document, failed, results_of, write
from grader.gradebook.grades import Grade, HandIn, Status
from grader.report import Outcome, Report
from tests.conftest import Graded
from tests.gradebook.books import FULL, GRADES, HALF, check, class_book, report, student, with_late_rule

ADA, BOB, CY, DEE, EVE, FLO, GUS = GRADES


@pytest.fixture
def rubric(assignment: Assignment) -> Assignment:
    return with_late_rule(assignment)


def _graded(given: Report) -> Grade:
    return Grade(student("ada"), Status.GRADED, HandIn("ada"), given)


def _shown(grade: Grade, assignment: Assignment, **options: Any) -> dict[str, Any]:
    """The file as Gradescope reads it, after the models have accepted it again."""
    content = document(results_of(grade, assignment, **options))
    Results.model_validate_json(content)
    shown: dict[str, Any] = json.loads(content)
    return shown


# --- The contract


@pytest.mark.parametrize(
    "data",
    [
        {"score": 1},
        {"tests": []},
        {"score": 1.5, "execution_time": 2, "output": "x", "output_format": "md", "test_output_format": "ansi",
         "test_name_format": "html", "visibility": "after_due_date", "stdout_visibility": "visible",
         "extra_data": {"a": [1]}, "leaderboard": [{"name": "Points", "value": "many", "order": "asc"}],
         "tests": [{"score": 1, "max_score": 2, "status": "failed", "name": "a", "name_format": "text",
                    "number": "1.1", "output": "b", "output_format": "simple_format", "tags": ["c"],
                    "visibility": "hidden", "extra_data": {}}]},
    ],
)  # fmt: skip
def test_what_the_contract_allows_is_allowed(data: dict[str, Any]) -> None:
    assert json.loads(document(Results.model_validate(data))) == data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "score or tests"),
        ({"output": "x"}, "score or tests"),
        ({"score": float("nan")}, "finite"),
        ({"score": 1, "visibility": "sometimes"}, "hidden"),
        ({"score": 1, "output_format": "latex"}, "simple_format"),
        ({"score": 1, "grade": 1}, "Extra inputs"),
        ({"tests": [{"status": "skipped"}]}, "passed"),
        ({"tests": [{"title": "a"}]}, "Extra inputs"),
        ({"tests": [], "leaderboard": [{"name": "a"}]}, "value"),
        ({"tests": [], "leaderboard": [{"name": "a", "value": 1, "order": "up"}]}, "asc"),
    ],
)
def test_what_the_contract_forbids_is_refused(data: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Results.model_validate(data)


# --- Points


def test_the_score_counts_what_a_person_gave_and_what_being_late_costs(rubric: Assignment) -> None:
    assert _shown(ADA, rubric)["score"] == 3.5
    assert _shown(BOB, rubric)["score"] == 0.8
    assert "Handed in 2 days late: 0.2 points are taken off." in _shown(BOB, rubric)["output"]


def test_the_tests_add_up_to_the_score_before_the_penalty(rubric: Assignment) -> None:
    for grade, points in ((ADA, 3.5), (BOB, 1), (CY, 1)):
        assert sum(test.get("score", 0) for test in _shown(grade, rubric)["tests"]) == points


def test_an_unusable_submission_has_no_points_and_says_why(rubric: Assignment) -> None:
    shown = _shown(DEE, rubric)
    assert (shown["score"], shown["tests"]) == (0, [])
    assert shown["output"] == "This submission cannot be graded: it is empty"


def test_a_fault_has_neither_score_nor_tests(rubric: Assignment) -> None:
    """What Gradescope takes for a failed autograder; a score, or tests that add up to nothing, would be a zero."""
    content = results_of(EVE, rubric)
    assert isinstance(content, Failed)
    assert content == failed("KeyError: 3")
    shown = json.loads(document(content))
    assert shown.keys() == {"output", "output_format"}
    assert "no fault of the submission" in shown["output"] and "run the autograder again" in shown["output"]
    with pytest.raises(ValidationError, match="score or tests"):
        Results.model_validate(shown)


@pytest.mark.parametrize("grade", [FLO, GUS], ids=["waiting", "missing"])
def test_what_is_not_graded_has_no_results(grade: Grade, rubric: Assignment) -> None:
    with pytest.raises(ValueError, match="no grade that could be shown"):
        results_of(grade, rubric)


# --- Words


def test_a_test_says_what_the_terminal_says(rubric: Assignment) -> None:
    test = _shown(BOB, rubric)["tests"][0]
    assert test == {
        "score": 0.0,
        "max_score": 1.0,
        "status": "failed",
        "name": "1a `loss_is_exact` is right",
        "number": "1a.1",
        "output": "wrong by a factor\nExpected: 18.0\nReceived: 9.0\nWhy: The mean.\nAdvice: Add up.",
        "tags": ["1a"],
    }


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_what_passed_is_called_passed(outcome: Outcome, rubric: Assignment) -> None:
    (test,) = _shown(_graded(report(check(outcome=outcome))), rubric)["tests"]
    assert test["status"] == ("passed" if outcome is Outcome.PASSED else "failed")


def test_a_note_is_neither_passed_nor_failed_and_has_no_points(rubric: Assignment) -> None:
    note = check(points=0, max_points=0, outcome=Outcome.FAILED, message="mind this")
    (test,) = _shown(_graded(report(note)), rubric)["tests"]
    assert not test.keys() & {"status", "score", "max_score"}
    assert test["output"] == "mind this" and "note, never scored" in test["tags"]


def test_what_a_person_gave_is_a_test_of_its_own(rubric: Assignment) -> None:
    by_hand = _shown(ADA, rubric)["tests"][-1]
    assert by_hand == {"score": 1.5, "max_score": 2.0, "name": "1a written answer", "number": "1a.w",
                       "output": "Good.", "tags": ["by hand"]}  # fmt: skip


def test_written_answers_that_wait_or_are_empty_are_listed(rubric: Assignment) -> None:
    assert "Waiting for a person, up to 2 points: 1a." in _shown(CY, rubric)["output"]
    assert "empty, and worth nothing: 1a." in _shown(BOB, rubric)["output"]
    assert "output" not in _shown(ADA, rubric)


def test_notes_are_shown_and_nothing_steers_a_terminal(rubric: Assignment) -> None:
    noisy = report(check(points=0, message="\x1b[31mred\x00 \ud800"), notes=("It asks for a GPU.\x07",))
    shown = _shown(_graded(noisy), rubric, notes=("First.",))
    assert shown["output"].splitlines()[-2:] == ["First.", "It asks for a GPU."]
    assert shown["tests"][0]["output"] == "red "


def test_a_message_without_end_is_cut(rubric: Assignment) -> None:
    endless = report(check(points=0, message="x\n" * 10**5, received="y" * 10**6))
    assert len(document(results_of(_graded(endless), rubric))) < 4000


# --- Hidden checks


@pytest.mark.parametrize(
    ("hidden", "visibility", "tells"),
    [(Hidden.TITLE, None, False), (Hidden.AFTER_PUBLISHED, "after_published", True), (Hidden.HIDDEN, "hidden", True)],
)
def test_hidden_checks_show_what_was_chosen(
    hidden: Hidden, visibility: str | None, tells: bool, rubric: Assignment
) -> None:
    secret = check("seed_17", 0, hidden=True, message="at seed 17", expected="42", received="41", advice="Read.")
    public = check("open", 0, message="said")
    first, second = _shown(_graded(report(secret, public)), rubric, hidden=hidden)["tests"]
    assert first["name"] == "1a `seed_17` is right" and "hidden check" in first["tags"]
    assert first.get("visibility") == visibility
    assert ("at seed 17" in first.get("output", "")) is tells
    assert "visibility" not in second and second["output"] == "said"


def test_by_default_nothing_is_hidden_from_students_so_that_they_see_their_total(rubric: Assignment) -> None:
    secret = report(check(hidden=True, points=0, message="42"))
    content = document(results_of(_graded(secret), rubric))
    assert b"visibility" not in content and b"42" not in content


# --- The rest of the file


def test_the_leaderboard_is_off_by_default(rubric: Assignment) -> None:
    assert "leaderboard" not in _shown(ADA, rubric)
    board = _shown(ADA, rubric, leaderboard=True)["leaderboard"]
    assert board == [{"name": "Points", "value": 3.5}, {"name": "Lab 1", "value": 2.0}]


def test_the_time_is_told_where_it_is_known(rubric: Assignment) -> None:
    assert _shown(ADA, rubric)["execution_time"] == 3.25
    assert "execution_time" not in _shown(BOB, rubric)


def test_a_real_report_fits_the_contract(graded: Graded, assignment: Assignment) -> None:
    broken = graded("1a", "p1.1", lab1_sparse_optimization="def loss(X, y, w):\n    return 0.0")
    shown = _shown(_graded(broken), assignment)
    assert shown["score"] == broken.score
    assert len(shown["tests"]) == sum(len(part.checks) for part in broken.parts)
    assert len({test["number"] for test in shown["tests"]}) == len(shown["tests"])


# --- The folder


def test_every_student_has_a_file_and_the_gaps_are_counted(assignment: Assignment, tmp_path: Path) -> None:
    exported = write(class_book(assignment), tmp_path / "out")
    names = {path.stem for path in (tmp_path / "out").iterdir()}
    assert names == {"ada", "bob", "cy", "dee", "eve"}
    assert exported.count == 4
    assert exported.notes == (
        "Without points, never a zero: 3 (a fault of the grader (1), not graded yet (1), nothing handed in (1)).",
    )
    assert json.loads((tmp_path / "out" / "eve.json").read_bytes()).keys() == {"output", "output_format"}


def test_the_same_grades_give_the_same_bytes(rubric: Assignment) -> None:
    again = Report.model_validate_json(HALF.model_dump_json())
    assert document(results_of(_graded(HALF), rubric)) == document(results_of(_graded(again), rubric))
    assert document(results_of(_graded(FULL), rubric)).endswith(b"}\n")

"""A broken function costs the checks that need it, with one clear sentence, and nothing else."""

from __future__ import annotations

import pytest

from grader.grade import Grader
from grader.report import Outcome, Report
from grader.submission import Submission
from tests.conftest import Graded, checks_of

LAB1 = "lab1_sparse_optimization"


def _lost(report: Report) -> set[str]:
    return {name for name, check in checks_of(report).items() if check.outcome is not Outcome.PASSED}


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("def gradient(X, y): return X.T @ y", "TypeError"),
        ("def gradient(X, y, w): pass", "the result of `gradient` is None (is a `return` missing?)"),
        ("def gradient(X, y, w): return 'abc'", "does not hold real numbers"),
        ("def gradient(X, y, w): return {}", "does not hold real numbers"),
        ("def gradient(X, y, w): return X", "has shape (3, 5), but should have shape (5,)"),
        ("def gradient(X, y, w): return w * float('nan')", "`gradient` differs"),
        ("def gradient(X, y, w): return np.zeros(2**24)", "has 16777216 elements"),
        ("def gradient(X, y, w): raise SystemExit", "SystemExit"),
        ("def gradient(X, y, w): raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def gradient(X, y, w): return gradient(X, y, w)", "RecursionError"),
        ("gradient = 3", "'int' object is not callable"),
        ("del gradient", "`gradient` is not defined in lab1_sparse_optimization.py"),
        ("def gradient(X, y, w): return 1j * w", "does not hold real numbers"),
        ("def gradient(X, y, w): return w[:0]", "has shape (0,), but should have shape (5,)"),
    ],
)
def test_a_broken_function_gets_one_sentence(graded: Graded, definition: str, message: str) -> None:
    report = graded("1a", **{LAB1: definition})
    checks = checks_of(report)
    assert message in checks["gradient_is_exact"].message
    assert checks["gradient_is_exact"].outcome is Outcome.FAILED
    assert checks["loss_is_exact"].outcome is Outcome.PASSED
    assert not report.has_error()


def test_two_gigabytes_get_one_sentence(graded: Graded) -> None:
    report = graded("1a", **{LAB1: "def loss(X, y, w): return np.zeros(2**28)"})
    assert "the result of `loss` has 268435456 elements" in checks_of(report)["loss_is_exact"].message
    assert checks_of(report)["gradient_is_exact"].outcome is Outcome.PASSED


def test_the_traceback_shows_the_students_frames_only(graded: Graded) -> None:
    report = graded(
        "1a", **{LAB1: "def gradient(X, y, w):\n    return helper(w)\n\ndef helper(w):\n    return w / undefined"}
    )
    failed = checks_of(report)["gradient_is_exact"]
    assert "NameError: name 'undefined' is not defined" in failed.message
    assert failed.received is not None
    assert "in helper" in failed.received
    assert "grader/" not in failed.received


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("lab1_sparse_optimization.py", b"def loss(:\n", "syntax error in lab1_sparse_optimization.py line 1"),
        ("lab1_sparse_optimization.py", b"raise ValueError('no data')", "cannot be imported: ValueError: no data"),
        ("lab1_sparse_optimization.py", b"import sys; sys.exit(0)", "cannot be imported: SystemExit"),
        ("lab1_sparse_optimization.py", b"import nowhere", "No module named 'nowhere'"),
        ("lab1_sparse_optimization.py", b"\x00\xff", "cannot be imported"),
        ("lab1_sparse_optimization.py", None, "lab1_sparse_optimization.py is not in the submission"),
    ],
)
def test_a_broken_file_costs_its_own_lab(
    grader: Grader, reference: Submission, name: str, content: bytes | None, message: str
) -> None:
    files = {**reference.files, name: content} if content is not None else dict(reference.files)
    if content is None:
        del files[name]
    report = grader.grade(Submission("broken", files, ()), ["1a", "1e", "2a", "3a"])
    by_part = {part.id: part for part in report.parts}
    assert message in by_part["1a"].checks[0].message
    assert by_part["1a"].score == by_part["1e"].score == 0
    assert by_part["2a"].score == by_part["2a"].max_score
    assert by_part["3a"].score == by_part["3a"].max_score
    assert not report.has_error()


def test_a_missing_lab2_does_not_cost_lab3(grader: Grader, reference: Submission) -> None:
    files = {name: data for name, data in reference.files.items() if name != "lab2_pruning.py"}
    report = grader.grade(Submission("no lab 2", files, ()), ["2a", "3b", "3d"])
    assert [part.score for part in report.parts] == [0, 4, 4]


def test_lab3_training_is_graded_without_the_layers(grader: Grader, reference: Submission) -> None:
    """3(b) to 3(d) keep what does not depend on 3(a)."""
    files = {name: data for name, data in reference.files.items() if name != "FP_layers.py"}
    report = grader.grade(Submission("no layers", files, ()), ["3a", "3b", "3c", "3d"])
    passed = {name for name, check in checks_of(report).items() if check.outcome is Outcome.PASSED}
    assert {"accuracy_by_bits_is_measured", "qat_trains_the_float_weights", "qat_keeps_sparsity"} <= passed
    assert report.parts[0].score == 0


def test_a_hanging_import_costs_its_deadline_once(assignment, reference: Submission) -> None:
    limits = assignment.limits.model_copy(update={"probe_seconds": 1.0})
    with Grader(assignment.model_copy(update={"limits": limits})) as impatient:
        files = {**reference.files, "lab2_pruning.py": b"while True: pass"}
        report = impatient.grade(Submission("hangs", files, ()), ["2a", "2b", "1a"])
    outcomes = {check.outcome for part in report.parts[:2] for check in part.checks}
    assert outcomes == {Outcome.TIMEOUT}
    assert report.parts[2].score == report.parts[2].max_score


def test_what_crashes_again_and_again_costs_no_other_part(graded: Graded) -> None:
    report = graded(lab1_sparse_optimization="import os\ndef loss(X, y, w): os._exit(0)")
    assert {part.id for part in report.parts if part.score < part.max_score} == {"1a", "1b", "1c", "1d", "1e", "1f"}
    assert "trimmed_threshold_is_exact" not in _lost(report)


def test_a_broken_answers_file_is_named(grader: Grader, reference: Submission) -> None:
    files = {**reference.files, "answers.toml": b'["p1.1"]\nverdict = false false\n'}
    report = grader.grade(Submission("bad toml", files, ()), ["p1.1", "1a"])
    assert "answers.toml is not valid TOML" in report.parts[0].checks[0].message
    assert report.parts[1].score == 2
    assert _lost(report) == {"verdict_1"}

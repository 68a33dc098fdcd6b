"""How long pages take: a class writes one for every student. Run with ``make benchmark``.

Ratios are taken within one run, since machines are noisy: the two sides alternate and their medians are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from grader import locations
from grader.assignment import Assignment
from grader.grade import Grader
from grader.gradebook.class_page import class_page, row_of
from grader.gradebook.grades import Grade, Status, Student, total_of
from grader.gradebook.statistics import Statistics
from grader.gradebook.student_page import student_page
from grader.report import Curve, Report
from grader.submission import load_submission

ROUNDS = 15
STUDENTS = 1000


@pytest.fixture(scope="module")
def graded(grader: Grader) -> Report:
    """A sample submission, with 16 curves."""
    sample = locations.fixtures() / "sample_submissions" / "trimmed_by_gradient"
    report = grader.grade(load_submission(sample, locations.pristine()))
    return report.model_copy(update={"curves": (*report.curves, *report.curves)[:16]})


def _page(report: Report, assignment: Assignment) -> str:
    grade = Grade(Student("ada", "Ada Lovelace"), Status.GRADED, report=report)
    return student_page(grade, total_of(grade, assignment), assignment)


def _ratio(benchmark: BenchmarkFixture, measured: Callable[[], object], against: Callable[[], object]) -> float:
    """How many times as long as ``against`` it takes."""
    baseline = []

    def alternate() -> None:
        started = time.perf_counter()
        against()
        baseline.append(time.perf_counter() - started)

    benchmark.pedantic(measured, setup=alternate, rounds=ROUNDS, iterations=1, warmup_rounds=1)
    return float(benchmark.stats.stats.median / statistics.median(baseline))


def _nudged(curve: Curve, factor: float) -> Curve:
    """A run with other numbers, which are in no cache."""
    weights = [[factor * number for number in row] for row in curve.weights or []]
    return curve.model_copy(update={"weights": weights, "losses": [factor * loss for loss in curve.losses or []]})


def test_curves_that_others_share_cost_little(
    benchmark: BenchmarkFixture, graded: Report, assignment: Assignment
) -> None:
    """A page with 16 curves against one without any: 3 times as long when this was written, 12 against 4 ms."""
    bare = graded.model_copy(update={"curves": ()})
    ratio = _ratio(benchmark, lambda: _page(graded, assignment), lambda: _page(bare, assignment))
    print(f"\na page of curves: {1000 * benchmark.stats.stats.median:.1f} ms, {ratio:.1f} times one without")
    assert ratio <= 5


def test_curves_of_its_own_cost_no_more_than_three_times_as_much(
    benchmark: BenchmarkFixture, graded: Report, assignment: Assignment
) -> None:
    """A page whose every number is new against one whose curves others share: 20 against 12 ms."""
    factors = iter(range(1, 1000))

    def own() -> Report:
        factor = 1 + 1e-4 * next(factors)
        return graded.model_copy(update={"curves": tuple(_nudged(curve, factor) for curve in graded.curves)})

    reports = iter([own() for _ in range(ROUNDS + 1)])
    ratio = _ratio(benchmark, lambda: _page(next(reports), assignment), lambda: _page(graded, assignment))
    print(f"\na page of its own: {1000 * benchmark.stats.stats.median:.1f} ms, {ratio:.1f} times one of shared curves")
    assert ratio <= 3


def test_the_page_of_a_large_class(benchmark: BenchmarkFixture, graded: Report, assignment: Assignment) -> None:
    """1,000 students against one student's page: 27 against 12 ms."""
    figures, rows = Statistics(assignment), []
    for i in range(STUDENTS):
        grade = Grade(Student(f"s{i:04}", f"Student {i}"), Status.GRADED, report=graded, seconds=1.0 + i % 7)
        total = total_of(grade, assignment)
        figures.add(grade, total)
        rows.append(row_of(grade, total))
    ratio = _ratio(benchmark, lambda: class_page(assignment, figures, rows, []), lambda: _page(graded, assignment))
    print(f"\na class of {STUDENTS}: {1000 * benchmark.stats.stats.median:.1f} ms, {ratio:.1f} times one student")
    assert ratio <= 8

"""Figures of a class, against numbers that were worked out in another way."""

from __future__ import annotations

import random
import statistics as standard
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from grader.assignment import Assignment, Late
from grader.gradebook.figures import CheckFigures
from grader.gradebook.grades import Grade, ManualScore, Status, Student, total_of
from grader.gradebook.statistics import Statistics, reason_of
from grader.report import Outcome
from tests.gradebook.classroom import check, graded, part, report, student

PASSED, FAILED, TIMEOUT, SKIPPED, ERROR = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.TIMEOUT,
    Outcome.SKIPPED,
    Outcome.ERROR,
)


def figures_of(assignment: Assignment, grades: Iterable[Grade]) -> Statistics:
    statistics = Statistics(assignment)
    for grade in grades:
        statistics.add(grade, total_of(grade, assignment))
    return statistics


def scores(*points: float) -> list[Grade]:
    """Students who earned these points with one check of 2(a)."""
    return [graded(f"s{i}", report(part("2a", check("c", PASSED, worth)))) for i, worth in enumerate(points)]


def named(statistics: Statistics) -> dict[str, CheckFigures]:
    return {check.name: check for check in statistics.checks()}


def test_a_spread_is_what_other_libraries_say(assignment: Assignment) -> None:
    points = [3.0, 88.5, 12.25, 12.25, 79.0, 41.0, 66.6, 100.0]
    spread = figures_of(assignment, scores(*points)).totals()
    assert spread is not None
    lower, median, upper = standard.quantiles(points, method="inclusive")
    assert (spread.count, spread.lowest, spread.highest) == (8, 3.0, 100.0)
    assert spread.mean == pytest.approx(standard.mean(points), rel=1e-12)
    assert (spread.lower_quartile, spread.median, spread.upper_quartile) == pytest.approx((lower, median, upper))


def test_bins_are_half_open_and_the_last_one_is_closed(assignment: Assignment) -> None:
    spread = figures_of(assignment, scores(0, 4.99, 5, 99.99, 100, 104.9, 105)).totals()
    assert spread is not None
    assert (spread.bins[0].low, spread.bins[-1].high, len(spread.bins)) == (0.0, 105.0, 21)
    filled = {bin.low: bin.count for bin in spread.bins if bin.count}
    assert filled == {0.0: 2, 5.0: 1, 95.0: 1, 100.0: 3}


def test_points_beyond_what_is_possible_are_still_counted(assignment: Assignment) -> None:
    spread = figures_of(assignment, scores(300)).automatic()
    assert spread is not None and sum(bin.count for bin in spread.bins) == spread.bins[-1].count == 1


def test_totals_have_bonus_hand_and_penalty_and_automatic_points_have_none(assignment: Assignment) -> None:
    rubric = assignment.model_copy(update={"late": Late(percent_per_day=50)})
    parts = part("2a", check("c", PASSED, 2)), part("bonus", check("b", PASSED, 4), bonus=True)
    late = graded("ada", report(*parts), manual={"1a": ManualScore(2)}, late=True)
    statistics = figures_of(rubric, [late])
    totals, automatic = statistics.totals(), statistics.automatic()
    assert totals is not None and totals.mean == 4.0
    assert automatic is not None and automatic.mean == 2.0
    assert (statistics.late.count, statistics.points_lost) == (1, 4.0)


def test_nobody_has_no_figures(assignment: Assignment) -> None:
    statistics = figures_of(assignment, [])
    assert statistics.students == 0
    assert statistics.totals() is statistics.automatic() is statistics.median_seconds() is None
    assert statistics.checks() == statistics.hardest() == statistics.diagnoses() == statistics.slowest() == []
    assert {figures.share for figures in statistics.parts()} == {None}


def test_reading_in_between_does_not_hinder_adding(assignment: Assignment) -> None:
    statistics = figures_of(assignment, scores(1))
    assert statistics.totals() is not None and statistics.median_seconds() == 1.0
    statistics.add(scores(3)[0], total_of(scores(3)[0], assignment))
    spread = statistics.totals()
    assert spread is not None and spread.mean == 2.0


def test_checks_count_what_ran(assignment: Assignment) -> None:
    outcomes = (PASSED, PASSED, FAILED, TIMEOUT, SKIPPED)
    grades = [graded(f"s{i}", report(part("2a", check("c", outcome)))) for i, outcome in enumerate(outcomes)]
    found = named(figures_of(assignment, grades))["c"]
    assert (found.ran, found.passed, found.timeouts, found.skipped, found.part) == (4, 2, 1, 1, "2a")
    assert found.pass_rate == 0.5


def test_faults_are_counted_and_in_no_other_figure(assignment: Assignment) -> None:
    broken = graded("bob", report(part("2a", check("c", ERROR), check("d", FAILED))), status=Status.FAULT, seconds=90)
    statistics = figures_of(assignment, [*scores(2), broken])
    assert statistics.counts == {Status.GRADED: 1, Status.FAULT: 1}
    assert [who.key for who, _ in statistics.faults.first] == ["bob"]
    assert reason_of(broken) == "the grader failed on c"
    totals = statistics.totals()
    assert totals is not None and totals.count == 1
    assert "d" not in named(statistics) and statistics.median_seconds() == 1.0


def test_unusable_submissions_have_a_total_and_missing_ones_have_none(assignment: Assignment) -> None:
    unusable = Grade(student("u"), Status.UNUSABLE, message="not a zip")
    rest = [Grade(student("m"), Status.MISSING), Grade(student("w"), Status.WAITING)]
    statistics = figures_of(assignment, [*scores(2), unusable, *rest])
    totals = statistics.totals()
    assert totals is not None and (totals.count, totals.lowest) == (2, 0.0)
    assert statistics.unusable.first == [(unusable.student, "not a zip")]
    assert statistics.students == 4


def _correlated(assignment: Assignment, rows: Sequence[tuple[bool, float]]) -> float | None:
    """Discrimination of a check of 2(a) that passes or fails beside other points in 2(b)."""
    grades = [
        graded(
            f"s{i}",
            report(
                part("2a", check("c", PASSED if passes else FAILED, 2), check("d", PASSED, i / 7)),
                part("2b", check("e", PASSED, rest)),
                part("bonus", check("b", PASSED, 5 * (i % 2)), bonus=True),
            ),
        )
        for i, (passes, rest) in enumerate(rows)
    ]
    return named(figures_of(assignment, grades))["c"].discrimination


def test_discrimination_is_pearsons_r_with_the_points_of_other_parts(assignment: Assignment) -> None:
    generator = random.Random(4)
    rows = [(generator.random() < 0.6, round(generator.uniform(0, 70), 3)) for _ in range(40)]
    passes, rest = zip(*rows, strict=True)
    wanted = np.corrcoef(np.array(passes, float), np.array(rest))[0, 1]
    assert _correlated(assignment, rows) == pytest.approx(wanted, rel=1e-9)


def test_discrimination_of_a_bonus_is_with_all_other_points(assignment: Assignment) -> None:
    outcomes, points = (PASSED, FAILED, PASSED, FAILED), (10.0, 20.0, 30.0, 10.0)
    grades = [
        graded(f"s{i}", report(part("2a", check("c", PASSED, p)), part("bonus", check("b", o, 5), bonus=True)))
        for i, (o, p) in enumerate(zip(outcomes, points, strict=True))
    ]
    wanted = standard.correlation([1.0, 0.0, 1.0, 0.0], points)
    assert named(figures_of(assignment, grades))["b"].discrimination == pytest.approx(wanted, rel=1e-12)


def test_discrimination_by_hand(assignment: Assignment) -> None:
    """Means 3.5 and 1.5, standard deviation sqrt(5) / 2, half of them pass: r = 2 / (sqrt(5) / 2) * 1 / 2."""
    rows = [(False, 1.0), (False, 2.0), (True, 3.0), (True, 4.0)]
    assert _correlated(assignment, rows) == pytest.approx(2 / np.sqrt(5), rel=1e-12)
    assert _correlated(assignment, [(not passes, rest) for passes, rest in rows]) == pytest.approx(-2 / np.sqrt(5))


@pytest.mark.parametrize(
    "rows",
    [
        [(True, 1.0), (True, 2.0)],
        [(False, 1.0), (False, 2.0)],
        [(True, 0.1), (False, 0.1), (True, 0.1)],
        [],
    ],
    ids=["all pass", "all fail", "all alike elsewhere", "only one"],
)
def test_discrimination_is_undefined_without_a_difference(
    assignment: Assignment, rows: list[tuple[bool, float]]
) -> None:
    assert _correlated(assignment, [*rows, rows[0]] if rows else [(True, 1.0)]) is None


def test_hardest_first_without_notes_and_what_never_ran(assignment: Assignment) -> None:
    def one(i: int) -> Grade:
        checks = (
            check("easy", PASSED),
            check("hard", FAILED),
            check("half", PASSED if i else FAILED),
            check("note", FAILED, 0),
            check("idle", SKIPPED),
        )
        return graded(f"s{i}", report(part("2a", *checks)))

    statistics = figures_of(assignment, [one(0), one(1)])
    assert [found.name for found in statistics.hardest()] == ["hard", "half", "easy"]
    assert named(statistics)["idle"].pass_rate is None


def test_checks_come_in_the_order_of_the_rubric(assignment: Assignment) -> None:
    order = [*assignment.parts["2b"].weights]
    backwards = [check(name, PASSED) for name in ("zz_unknown", "aa_unknown", *reversed(order))]
    found = figures_of(assignment, [graded("ada", report(part("2b", *backwards)))]).checks()
    assert [one.name for one in found] == [*order, "aa_unknown", "zz_unknown"]


def test_mean_share_of_parts(assignment: Assignment) -> None:
    given = [{"1a": ManualScore(2)}, {"1a": ManualScore(1)}, {}]
    grades = [
        graded(f"s{i}", report(part("1a", check("c", PASSED if i else FAILED), check("d", PASSED, 3))), manual=hand)
        for i, hand in enumerate(given)
    ]
    found = {figures.id: figures for figures in figures_of(assignment, grades).parts()}
    assert list(found) == list(assignment.parts)
    assert found["1a"].share == pytest.approx(standard.mean([0.75, 1, 1]), rel=1e-12)
    assert (found["1a"].manual_count, found["1a"].manual_share) == (2, 0.75)
    assert found["2b"].share is None and found["bonus"].bonus


def test_a_mistake_is_counted_once_a_student_and_has_three_examples(assignment: Assignment) -> None:
    single = {"diagnosis": "Mean, not sum. The loss is too small.", "mistakes": ("lab1.mean",)}
    both = {"diagnosis": "(1) Mean, not sum. The loss is too small. (2) `STE.f` called. It is not.",
            "mistakes": ("lab1.mean", "lab3.ste")}  # fmt: skip
    grades = [
        graded(f"s{i}", report(part("1a", check("c", FAILED, **single), check("d", FAILED, **single))))
        for i in range(4)
    ]
    grades.append(graded("s9", report(part("1a", check("c", FAILED, **both)))))
    mean, ste = figures_of(assignment, grades).diagnoses()
    assert (mean.mistake, mean.title, mean.explanation) == ("lab1.mean", "Mean, not sum", "The loss is too small.")
    assert mean.group.count == 5 and [who.key for who, _ in mean.group.first] == ["s0", "s1", "s2"]
    assert (ste.title, ste.explanation, ste.group.count) == ("`STE.f` called", "It is not.", 1)


def test_a_text_that_does_not_fit_its_mistakes_loses_none(assignment: Assignment) -> None:
    odd = check("c", FAILED, diagnosis="One text.", mistakes=("a", "b"))
    found = figures_of(assignment, [graded("ada", report(part("1a", odd)))]).diagnoses()
    assert [(one.mistake, one.title) for one in found] == [("a", "a"), ("b", "b")]


def test_median_and_slowest_five(assignment: Assignment) -> None:
    seconds = [4.0, 1.0, 9.0, 2.0, 9.0, 3.0, 7.0]
    grades = [graded(f"s{i}", report(), seconds=each) for i, each in enumerate(seconds)]
    statistics = figures_of(assignment, grades)
    assert statistics.median_seconds() == standard.median(seconds)
    assert [(who.key, each) for who, each in statistics.slowest()] == [
        ("s2", 9.0),
        ("s4", 9.0),
        ("s6", 7.0),
        ("s0", 4.0),
        ("s5", 3.0),
    ]


def test_written_answers_that_wait(assignment: Assignment) -> None:
    waits = report(part("1a", check("c", PASSED)), waiting=("1a", "1b"))
    grades = [graded("ada", waits, manual={"1a": ManualScore(2)}), graded("bob", waits), *scores(1)]
    statistics = figures_of(assignment, grades)
    assert (statistics.waiting.count, statistics.waiting_answers) == (2, 3)
    assert [(who.key, words) for who, words in statistics.waiting.first] == [("ada", "1b"), ("bob", "1a, 1b")]


def test_memory_does_not_grow_with_the_class(assignment: Assignment) -> None:
    """Of each student three numbers are kept; objects of no more than some are."""
    statistics = Statistics(assignment)
    what = report(part("1a", check("c", FAILED, diagnosis="T. E.", mistakes=("m",))), waiting=("1a",))
    for i in range(300):
        grade = graded(Student(f"s{i}"), what, late=True, seconds=float(i))
        statistics.add(grade, total_of(grade, assignment))
    kept = {who.key for group in (statistics.late, statistics.waiting) for who, _ in group.first}
    kept |= {who.key for who, _ in statistics.slowest()}
    kept |= {who.key for one in statistics.diagnoses() for who, _ in one.group.first}
    assert statistics.late.count == statistics.waiting.count == 300
    assert len(kept) <= 15

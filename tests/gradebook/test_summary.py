"""What a terminal says of a class, on terminals of every kind."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.cells import cell_len
from rich.console import Console

from grader.assignment import Assignment
from grader.gradebook.grades import Grade, HandIn, Status, Student, Unclaimed, total_of
from grader.gradebook.statistics import Statistics
from grader.gradebook.summary import print_class
from grader.report import Outcome
from tests.gradebook.classroom import HOSTILE, check, graded, part, report, student


def mixed() -> list[Grade]:
    """Every status once, six who were graded, and two diagnoses."""
    grades = [
        Grade(student("w", "Wanda"), Status.WAITING),
        Grade(student("m", "Max"), Status.MISSING),
        Grade(student("u", "Una"), Status.UNUSABLE, HandIn("u.zip"), message="u.zip is no zip file"),
        Grade(student("f", "Finn"), Status.FAULT, HandIn("f.zip"), message="a worker was lost"),
    ]
    for i in range(6):
        hard = check("hard", Outcome.FAILED, diagnosis="Mean, not `sum`. It is.", mistakes=("lab1.mean",))
        easy = check("easy", Outcome.PASSED, worth=1.0 + i)
        grades.append(graded(f"s{i}", report(part("2a", hard, easy), waiting=("1a",)), seconds=10.0 + i, late=i == 0))
    return grades


def shown(
    assignment: Assignment,
    grades: Sequence[Grade],
    unclaimed: Sequence[Unclaimed] = (),
    width: int = 80,
    **more: object,
) -> str:
    statistics = Statistics(assignment)
    for grade in grades:
        statistics.add(grade, total_of(grade, assignment))
    file = io.TextIOWrapper(io.BytesIO(), encoding=str(more.pop("encoding", "utf-8")), newline="")
    print_class(statistics, unclaimed, Console(file=file, width=width, **more))  # type: ignore[arg-type]
    file.seek(0)
    return file.read()


def test_what_needs_attention_comes_first(assignment: Assignment) -> None:
    text = shown(assignment, mixed(), [Unclaimed("README.txt", "no submission")])
    first = ("a worker was lost", "u.zip is no zip file", "README.txt: no submission")
    marks = (*first, "10 students", "Totals", "Hardest", "Most frequent", "slowest")
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "f Finn" in text and "never a zero" in text


def test_counts_and_open_matters(assignment: Assignment) -> None:
    text = shown(assignment, mixed(), width=120)
    assert "6 graded, 1 not gradable, 1 with a fault of the grader, 1 not graded yet, 1 without a submission" in text
    assert "6 written answers of 6 students still to be graded by hand" in text
    assert "1 late, which cost 0 points in all" in text


def test_bars_are_as_long_as_bins_are_full(assignment: Assignment) -> None:
    totals = [1.0] * 4 + [12.0] * 2 + [23.0]
    grades = [graded(f"s{i}", report(part("2a", check("c", Outcome.PASSED, t)))) for i, t in enumerate(totals)]
    lines = [line for line in shown(assignment, grades, encoding="utf-8").splitlines() if "–" in line]
    assert [line.count("━") for line in lines] == [40, 0, 20, 0, 10]
    assert [line.split()[-1] for line in lines if "━" in line] == ["4", "2", "1"]
    assert "0–5" in lines[0] and "20–25" in lines[-1]


def test_hardest_checks_and_mistakes(assignment: Assignment) -> None:
    text = shown(assignment, mixed())
    assert text.index("0% 2a    Title of hard") < text.index("100% 2a    Title of easy")
    assert "6 Mean, not sum" in text
    assert "12.5 s a submission" in text and text.index("15.0 s  s5") < text.index("14.0 s  s4")
    assert "s0 Ada" not in text.partition("slowest")[2]


def test_nobody_is_no_trouble(assignment: Assignment) -> None:
    text = shown(assignment, [])
    assert "0 students" in text
    assert not any(word in text for word in ("Totals", "Hardest", "Faults", "Most frequent", "slowest", "Nobody"))


def test_long_lists_are_cut_and_counted(assignment: Assignment) -> None:
    faults = [Grade(student(f"s{i:03}", ""), Status.FAULT, message="lost") for i in range(25)]
    text = shown(assignment, faults, [Unclaimed(f"file{i}", "") for i in range(12)])
    assert "(25)" in text and "s009: lost" in text and "s010" not in text and "and 15 more" in text
    assert "file9" in text and "file10" not in text and "and 2 more" in text


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_steers_the_terminal_or_leaves_its_width(assignment: Assignment, width: int, encoding: str) -> None:
    evil = Student("evil", HOSTILE + "x" * 10_000, HOSTILE)
    bad = check("c", Outcome.FAILED, title=HOSTILE, diagnosis=HOSTILE, mistakes=("m",))
    grades = [
        Grade(evil, Status.FAULT, message=HOSTILE + "y" * 10_000),
        Grade(evil, Status.UNUSABLE, message=HOSTILE),
        graded(evil, report(part("1a", bad))),
    ]
    text = shown(assignment, grades, [Unclaimed(HOSTILE, HOSTILE)], width, encoding=encoding)
    assert not set(text) & set("\x1b\u202e\x00")
    assert "[b]x[/b]" in text
    assert max(map(cell_len, text.splitlines())) <= width
    assert len(text.splitlines()) < 60


def test_without_colours_it_says_the_same(assignment: Assignment) -> None:
    plain, coloured = (
        shown(assignment, mixed(), no_color=no_color, force_terminal=True, color_system="standard")
        for no_color in (True, False)
    )
    assert "\x1b[3" in coloured and "\x1b[3" not in plain
    assert [word for word in ("fault", "not gradable", "Hardest") if word in plain] == [
        "fault",
        "not gradable",
        "Hardest",
    ]

"""Networks that students of a class handed in alike: who is listed, who is not, and where."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from grader.assignment import Assignment
from grader.gradebook.class_page import class_page, row_of
from grader.gradebook.equal_networks import EqualNetworks, write_equal_networks
from grader.gradebook.grades import Grade, HandIn, Status, total_of
from grader.gradebook.statistics import Statistics
from grader.gradebook.summary import print_class
from grader.report import Measurement
from tests.gradebook.classroom import HOSTILE, report, student

Row = tuple[str, str, str]


def handed_in(key: str, *networks: Row, path: str = "", untrained: bool = False) -> Grade:
    """A grade with networks: part, file and digest of each."""
    rows = tuple(
        Measurement(part=part, network=file, accuracy=90, drop=1, digest=digest, untrained=untrained)
        for part, file, digest in networks
    )
    told = report().model_copy(update={"measurements": rows})
    return Grade(student(key, key.title()), Status.GRADED, HandIn(path or key), told)


def found(*grades: Grade) -> list[list[tuple[str, str, str]]]:
    networks = EqualNetworks()
    for grade in grades:
        networks.add(grade)
    return [[(one.student.key, one.part, one.file) for one in group] for group in networks.groups().values()]


def test_equal_weights_of_two_students_are_listed_with_files_and_parts() -> None:
    ann = handed_in("ann", ("2c", "a.pt", "x"), ("2d", "b.pt", "y"))
    ben = handed_in("ben", ("2e", "stolen.pt", "x"), ("3c", "own.pt", "z"))
    cy = handed_in("cy", ("2c", "c.pt", "w"))
    assert found(ann, ben, cy) == [[("ann", "2c", "a.pt"), ("ben", "2e", "stolen.pt")]]


@pytest.mark.parametrize(
    "grades",
    [
        [handed_in("ann", ("2c", "a.pt", "x"), ("2d", "b.pt", "x"))],
        [handed_in(key, ("2c", "a.pt", "x"), untrained=True) for key in ("ann", "ben")],
        [handed_in(key, ("2c", "a.pt", "x"), path="group") for key in ("ann", "ben")],
        [handed_in(key, ("2a", "pre-trained", "")) for key in ("ann", "ben")],
    ],
    ids=["one student's own two files", "not trained at all", "handed in together", "measured for everybody"],
)
def test_what_is_no_sign_of_copying_is_not_listed(grades: list[Grade]) -> None:
    assert found(*grades) == []


def test_a_copy_of_a_groups_network_names_all_of_them_and_each_file_once() -> None:
    together = [handed_in(key, ("3c", "q.pt", "x"), ("3c", "q.pt", "x"), path="group") for key in ("ann", "ben")]
    copied = handed_in("cy", ("3c", "c.pt", "x"))
    assert [who for who, _, _ in found(*together, copied)[0]] == ["ann", "ben", "cy"]


def test_terminal_page_and_csv_list_them_and_no_point_moves(assignment: Assignment, tmp_path: Path) -> None:
    grades = [handed_in("ann", ("2c", "a.pt", "x")), handed_in("ben", ("2d", f"=cmd{HOSTILE}.pt", "x"))]
    statistics, rows = Statistics(assignment), []
    for grade in grades:
        total = total_of(grade, assignment)
        statistics.add(grade, total)
        rows.append(row_of(grade, total))
        assert total.points == 0
    console = Console(file=io.StringIO(), width=200)
    print_class(statistics, [], console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Equal networks of different students (1): no points depend on it" in printed
    assert "ann Ann: a.pt (2c); ben Ben: =cmd" in printed and "\x1b" not in printed

    page = class_page(assignment, statistics, rows, [])
    assert "Equal networks of different students" in page and "a.pt (2c)" in page
    assert "<script>alert" not in page

    out = tmp_path / "equal_networks.csv"
    write_equal_networks(statistics.networks, out)
    sheet = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8-sig"), newline="")))
    assert [(row["group"], row["student"], row["part"], row["digest"]) for row in sheet] == [
        ("1", "ann", "2c", "x"), ("1", "ben", "2d", "x"),
    ]  # fmt: skip
    assert sheet[1]["file"].startswith("'=cmd")
    write_equal_networks(EqualNetworks(), out)
    assert not out.exists()


def test_without_equal_networks_nothing_is_said(assignment: Assignment) -> None:
    statistics, grade = Statistics(assignment), handed_in("ann", ("2c", "a.pt", "x"))
    total = total_of(grade, assignment)
    statistics.add(grade, total)
    console = Console(file=io.StringIO(), width=200)
    print_class(statistics, [], console)
    page = class_page(assignment, statistics, [row_of(grade, total)], [])
    assert "Equal networks" not in console.file.getvalue() + page  # type: ignore[attr-defined]

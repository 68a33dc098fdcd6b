"""CSV for Canvas, Moodle and spreadsheets: the importers' columns, no zero for what is missing, no formula."""

from __future__ import annotations

import csv
import gc
import io
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.errors import GraderError
from grader.gradebook.exports import EXPORTERS, canvas, moodle, plain
from grader.gradebook.grades import Grade, HandIn, Status, Student
from grader.gradebook.sheets import csv_lines, harmless, number, parsed, read_sheet
from tests.conftest import ROOT
from tests.gradebook.books import FULL, Book, check, class_book, large_book, report, student

GAPS = "a fault of the grader (1), not graded yet (1), nothing handed in (1)"
NOT_FINAL = (
    "Without points, never a zero: 4 (a fault of the grader (1), not graded yet (1), nothing handed in (1),"
    " written answers wait for a person (1)).",
)
MARK = b"\xef\xbb\xbf"


@pytest.fixture
def book(assignment: Assignment) -> Book:
    return class_book(assignment)


def _rows(path: Path, delimiter: str = ",") -> list[list[str]]:
    text = path.read_bytes().decode("utf-8-sig")
    assert text.endswith("\r\n") and not text.replace("\r\n", "").count("\r")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def _column(rows: list[list[str]], title: str) -> dict[str, str]:
    index = rows[0].index(title)
    return {row[0].strip(): row[index] for row in rows[1:]}


# --- Cells


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\x00=1", "\u200b=1", "＝1", "=cmd|' /C calc'!A0"]
)
def test_what_looks_like_a_formula_is_text(text: str) -> None:
    assert harmless(text).startswith("'")


@pytest.mark.parametrize("text", ["", "Ada", "a-b", "1+1=2", "ada@uni.example", "Ö"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_a_cell_cannot_become_two_where_semicolons_separate() -> None:
    (line,) = csv_lines([["Ada;=1+1", "x"]], mark=False)
    assert next(csv.reader([line.decode()], delimiter=";"))[0].startswith("Ada;=1+1")


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0, "0"), (84, "84"), (76.2153, "76.2153"), (0.1 + 0.2, "0.3"), (100.0, "100")]
)
def test_points_as_they_are_written(value: float | None, text: str) -> None:
    assert number(value) == text
    assert parsed(text) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize("text", ["", "EX", "(read only)", "nan", "inf", "1,234.5"])
def test_what_is_no_number(text: str) -> None:
    assert parsed(text) is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [True, False])
def test_a_sheet_is_read_as_it_was_written(delimiter: str, mark: bool, tmp_path: Path) -> None:
    rows = [["Name", "ID", "Note"], ['Ö, "x"', "1", "two\nlines; a\ttab"], ["only", "", ""]]
    (tmp_path / "a.csv").write_bytes(b"".join(csv_lines(rows, delimiter=delimiter, mark=mark)))
    sheet = read_sheet(tmp_path / "a.csv")
    assert [sheet.titles, *sheet.rows] == rows
    assert (sheet.delimiter, sheet.mark) == (delimiter, mark)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read: No such file"), (b"\xff\xfe", "is not UTF-8"), (b"", "is not a CSV"),
     (b'a,b\n"c,d', "is not a CSV")],
)  # fmt: skip
def test_a_file_that_is_no_sheet_is_said(content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(GraderError, match=says):
        read_sheet(tmp_path / "a.csv")


# --- Canvas


def test_a_new_gradebook_for_canvas(book: Book, tmp_path: Path) -> None:
    exported = canvas.write(book, tmp_path / "c.csv")
    rows = _rows(tmp_path / "c.csv")
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", book.assignment.name]
    assert rows[1] == ["    Points Possible", "", "", "", "", "100"]
    assert rows[2] == ["Ada Ö. Lovelace", "11", "s1", "ada1", "", "3.5"]
    assert _column(rows, book.assignment.name) == {
        "Points Possible": "100", "Ada Ö. Lovelace": "3.5", "'=cmd|' /C calc'!A0": "0.8", "Cy, Jr.": "", "Dee": "0",
        "Eve": "", "Flo": "", "Gus": "",
    }  # fmt: skip
    assert (exported.count, exported.notes) == (3, NOT_FINAL)
    assert (tmp_path / "c.csv").read_bytes().startswith(MARK)


def test_points_that_are_not_final_are_exported_if_asked_for(book: Book, tmp_path: Path) -> None:
    for name in ("canvas", "moodle", "csv"):
        exported = EXPORTERS[name](book, tmp_path / name, provisional=True)
        assert exported.count == 4
        assert exported.notes == (f"Without points, never a zero: 3 ({GAPS}).",)


def test_students_whom_canvas_cannot_know_are_counted(assignment: Assignment, tmp_path: Path) -> None:
    grades = [Grade(student("ada"), Status.GRADED, HandIn("x"), FULL)]
    exported = canvas.write(Book(assignment, lambda: grades), tmp_path / "c.csv")
    assert exported.notes[0].startswith("Without an id by which Canvas knows them: 1;")


EXPORT = [
    ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Quiz (7)", "HW 4 (8)", "Current Score"],
    ["", "", "", "", "", "Manual Posting", "Manual Posting", "(read only)"],
    ["    Points Possible", "", "", "", "", "10.0", "100.0", "(read only)"],
    ["Nobody, Known", "99", "s99", "n99", "A", "1", "2", "3"],
    ["Jr., Cy", "13", "", "", "A", "1", "", "3"],
    ["=cmd|' /C calc'!A0", "12", "s2", "", "A", "", "", ""],
    ["Lovelace, Ada Ö.", "11", "s1", "ada1", "B", "5", "77", "3"],
    ["Eve", "15", "", "", "B", "5", "33", "3"],
    ["Dee", "14", "", "", "B", "5", "EX", "3"],
    ["Student, Test", "98", "", "", "B", "", "", ""],
]


@pytest.fixture
def gradebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a gradebook as Canvas exports it."""

    def written(rows: list[list[str]] = EXPORT, delimiter: str = ",", mark: bool = False) -> Path:
        path = tmp_path / "export.csv"
        path.write_bytes(b"".join(csv_lines(rows, delimiter=delimiter, mark=mark)))
        return path

    return written


@pytest.mark.parametrize("column", ["HW 4", "hw 4 (8)"])
@pytest.mark.parametrize(("delimiter", "mark"), [(",", True), (";", False)])
def test_the_gradebook_of_canvas_is_filled_in(
    column: str, delimiter: str, mark: bool, book: Book, gradebook: Callable[..., Path], tmp_path: Path
) -> None:
    into = gradebook(delimiter=delimiter, mark=mark)
    exported = canvas.write(book, tmp_path / "c.csv", into=into, column=column)
    rows = _rows(tmp_path / "c.csv", delimiter)
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "HW 4 (8)"]
    assert [row[1:5] for row in rows] == [row[1:5] for row in EXPORT]
    assert rows[1:3] == [["", "", "", "", "", "Manual Posting"], ["    Points Possible", "", "", "", "", "100.0"]]
    assert [row[5] for row in rows[3:]] == ["2", "", "0.8", "3.5", "33", "EX", ""]
    assert rows[5][0] == "'=cmd|' /C calc'!A0" and rows[6][0] == "Lovelace, Ada Ö."
    assert (tmp_path / "c.csv").read_bytes().startswith(MARK) is mark
    assert exported.count == 2
    assert exported.notes == (
        *NOT_FINAL, "Rows of nobody in this gradebook, left as they were: 2.", "Excused in Canvas, and left so: 1."
    )  # fmt: skip


def test_without_a_column_the_assignment_has_the_rubrics_name(
    book: Book, gradebook: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [[cell.replace("HW 4", book.assignment.name) for cell in row] for row in EXPORT]
    canvas.write(book, tmp_path / "c.csv", into=gradebook(rows))
    assert _rows(tmp_path / "c.csv")[0][5] == f"{book.assignment.name} (8)"


def test_other_points_in_canvas_are_noted(book: Book, gradebook: Callable[..., Path], tmp_path: Path) -> None:
    exported = canvas.write(book, tmp_path / "c.csv", into=gradebook(), column="Quiz")
    assert "The assignment has 10.0 points in Canvas, but 100 here." in exported.notes


@pytest.mark.parametrize(
    ("rows", "column", "says"),
    [
        (
            EXPORT,
            "HW",
            r"has no assignment 'HW': name one with --column; its assignments are 'Quiz \(7\)', 'HW 4 \(8\)'",
        ),
        (EXPORT, "Current Score", "has no assignment 'Current Score'"),
        ([[*row, row[6]] for row in EXPORT], "HW 4", "has more than one assignment 'HW 4'"),
        ([row[1:] for row in EXPORT], "HW 4", "has no column Student: give a gradebook that Canvas exported"),
    ],
)
def test_a_gradebook_that_cannot_be_filled_in_is_said(
    rows: list[list[str]], column: str, says: str, book: Book, gradebook: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(GraderError, match=says):
        canvas.write(book, tmp_path / "c.csv", into=gradebook(rows), column=column)
    assert not (tmp_path / "c.csv").exists()


# --- Whose row


def _ada(**known: Any) -> Grade:
    ids = {name: known.pop(name) for name in ("canvas", "sis", "login") if name in known}
    key = known.pop("key", "ada")
    return Grade(Student(key, ids=ids, **known), Status.GRADED, HandIn("x"), FULL, manual={})


@pytest.mark.parametrize(
    ("grades", "rows", "points"),
    [
        ([_ada(canvas="1")], [["Else, X", "1", "", ""]], ["2"]),
        ([_ada(sis="S1")], [["Else, X", "1", "s1", ""]], ["2"]),
        ([_ada(key="q7")], [["Else, X", "1", "", "q7"]], ["2"]),
        ([_ada(key="z", email="A@uni.example")], [["Else, X", "1", "", "a@uni.example"]], ["2"]),
        ([_ada(key="z", name="Ada Lovelace")], [["Lovelace, Ada", "1", "", ""]], ["2"]),
        ([_ada(key="z", name="Ada Lovelace", canvas="2")], [["Lovelace, Ada", "1", "", ""]], [""]),
        ([_ada(key="z", name="Ada L")], [["L, Ada", "1", "", ""], ["L, Ada", "2", "", ""]], ["", ""]),
        ([_ada(key="y", name="Ada L"), _ada(key="z", name="Ada L")], [["L, Ada", "1", "", ""]], [""]),
        ([_ada(canvas="1"), _ada(key="z", canvas="2")], [["A", "2", "", ""], ["A", "1", "", ""]], ["2", "2"]),
    ],
    ids=["by Canvas's id", "by the university's id", "by login", "by address", "by name", "a namesake",
         "two rows of one name", "two students of one name", "order of the rows"],
)  # fmt: skip
def test_whose_row_it_is(
    grades: list[Grade], rows: list[list[str]], points: list[str], assignment: Assignment,
    gradebook: Callable[..., Path], tmp_path: Path,
) -> None:  # fmt: skip
    titles = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "HW 4 (8)"]
    into = gradebook([titles, *([*row, "A", ""] for row in rows)])
    exported = canvas.write(Book(assignment, lambda: grades), tmp_path / "c.csv", into=into, column="HW 4")
    assert [row[5] for row in _rows(tmp_path / "c.csv")[1:]] == points
    assert exported.count == len([text for text in points if text])
    lost = len(grades) - exported.count
    assert any(f"without a row that is surely theirs: {lost} " in note for note in exported.notes) is bool(lost)


# --- Moodle


def test_a_new_sheet_for_moodle(book: Book, tmp_path: Path) -> None:
    exported = moodle.write(book, tmp_path / "m.csv")
    rows = _rows(tmp_path / "m.csv")
    name = book.assignment.name
    assert rows[0] == ["Email address", "Full name", name, f"Feedback: {name}"]
    assert _column(rows, name) == {
        f"{key}@uni.example": points
        for key, points in (("ada", "3.5"), ("bob", "0.8"), ("cy", ""), ("dee", "0"), ("eve", ""), ("flo", ""),
                            ("gus", ""))
    }  # fmt: skip
    feedback = _column(rows, f"Feedback: {name}")
    assert feedback["ada@uni.example"] == "1a  by hand: Good."
    assert feedback["bob@uni.example"] == "1a  1/2: `loss_is_exact` is right"
    assert feedback["dee@uni.example"] == "it is empty" and feedback["cy@uni.example"] == ""
    assert (exported.count, exported.notes) == (3, NOT_FINAL)
    assert not (tmp_path / "m.csv").read_bytes().startswith(MARK)


def test_feedback_holds_nothing_that_a_student_wrote(assignment: Assignment, tmp_path: Path) -> None:
    """Moodle shows feedback as a page."""
    script = report(check(points=0, message="<script>", received="<script>", diagnosis="<b>"), check("b"))
    grades = [Grade(student("ada"), Status.GRADED, HandIn("x"), script)]
    moodle.write(Book(assignment, lambda: grades), tmp_path / "m.csv")
    assert b"<" not in (tmp_path / "m.csv").read_bytes()


@pytest.mark.parametrize(("identifier", "cell", "unknown"), [("ID number", "s1", 5), ("Username", "ada1", 6)])
def test_moodle_may_know_students_by_other_names(
    identifier: str, cell: str, unknown: int, book: Book, tmp_path: Path
) -> None:
    exported = moodle.write(book, tmp_path / "m.csv", identifier=identifier)
    rows = _rows(tmp_path / "m.csv")
    assert (rows[0][0], rows[1][0]) == (identifier, cell)
    assert f"Without {identifier}, so that Moodle cannot take them: {unknown}." in exported.notes


def test_an_unknown_identifier_is_refused(book: Book, tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="by 'Shoe size': take one of Email address, ID number, Username"):
        moodle.write(book, tmp_path / "m.csv", identifier="Shoe size")


WORKSHEET = [
    ["Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed",
     "Last modified (submission)", "Online text", "Last modified (grade)", "Feedback comments"],
    ["Participant 103", "Cy, Jr.", "", "Submitted", "", "3.00", "Yes", "-", "-", "-", ""],
    ["Participant 102", "=cmd", "", "Submitted", "", "3.00", "Yes", "-", "=1+1", "-", ""],
    ["Participant 101", "Ada", "", "Submitted", "1,00", "3.00", "Yes", "-", "", "-", "old"],
    ["Participant 104", "Dee", "", "Submitted", "9", "3.00", "No", "-", "", "-", "old"],
    ["Participant 107", "Gus", "", "No submission", "", "3.00", "Yes", "-", "", "-", ""],
    ["Participant 555", "Else", "", "No submission", "7", "3.00", "Yes", "-", "", "-", "old"],
]  # fmt: skip


def test_the_worksheet_of_moodle_is_filled_in(book: Book, gradebook: Callable[..., Path], tmp_path: Path) -> None:
    exported = moodle.write(book, tmp_path / "m.csv", into=gradebook(WORKSHEET))
    rows = _rows(tmp_path / "m.csv")
    assert rows[0] == WORKSHEET[0]
    assert [row[4] for row in rows[1:]] == ["", "0.8", "3.5", "9", "", "7"]
    assert [row[10] for row in rows[1:]] == [
        "",
        "1a  1/2: `loss_is_exact` is right",
        "1a  by hand: Good.",
        "old",
        "",
        "old",
    ]
    changed = {1, 4, 8, 10}  # name, grade, online text, feedback
    assert [[c for i, c in enumerate(row) if i not in changed] for row in rows] == [
        [c for i, c in enumerate(row) if i not in changed] for row in WORKSHEET
    ]
    assert rows[2][1] == "'=cmd" and rows[2][8] == "'=1+1"
    assert exported.count == 2
    assert exported.notes == (
        *NOT_FINAL,
        "Rows of nobody in this gradebook, left as they were: 1.",
        "Rows whose grade Moodle does not let change, left as they were: 1.",
        "Grades above Moodle's maximum, which it may refuse: 1.",
    )


def test_a_file_that_is_no_worksheet_is_said(book: Book, gradebook: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="has no column Identifier and no column Grade: give Moodle's own"):
        moodle.write(book, tmp_path / "m.csv", into=gradebook(EXPORT))


# --- Plain


def test_the_plain_sheet_has_everything_in_numbers(book: Book, tmp_path: Path) -> None:
    exported = plain.write(book, tmp_path / "p.csv")
    titles, *rows = _rows(tmp_path / "p.csv")
    by_key = {row[0]: dict(zip(titles, row, strict=True)) for row in rows}
    assert list(by_key) == ["ada", "bob", "cy", "dee", "eve", "flo", "gus"]
    ada, bob, cy, eve, gus = (by_key[key] for key in ("ada", "bob", "cy", "eve", "gus"))
    assert (ada["points"], ada["automatic"], ada["manual"], ada["1a"], ada["1a by hand"]) == (
        "3.5",
        "2",
        "1.5",
        "2",
        "1.5",
    )
    assert (ada["submitted_at"], ada["days_late"], ada["penalty"]) == ("2026-12-01T12:00:00+00:00", "0", "0")
    assert (bob["days_late"], bob["penalty"], bob["points"]) == ("2", "0.2", "0.8")
    assert (cy["points"], cy["automatic"], cy["waiting"], cy["status"]) == ("", "1", "1a", "graded")
    assert (by_key["dee"]["points"], by_key["dee"]["message"]) == ("0", "it is empty")
    assert (eve["status"], eve["message"]) == ("fault", "KeyError: 3")
    for row in (eve, gus):
        assert {row[title] for title in ("points", "automatic", "bonus_points", "manual", "penalty", "1a")} == {""}
    assert titles[-1] == "3d by hand" and "bonus" in titles
    assert (exported.count, exported.notes) == (3, NOT_FINAL)
    assert (tmp_path / "p.csv").read_bytes().startswith(MARK)


# --- All of them


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_the_same_book_gives_the_same_bytes(name: str, book: Book, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for out in (first, second):
        EXPORTERS[name](book, out)
    files = [first] if first.is_file() else sorted(first.iterdir())
    assert files
    assert all(path.read_bytes() == (second / path.relative_to(first)).read_bytes() for path in files)


class _Tidy(list[int]):
    """Collects garbage now and then: what is let go counts, not when the collector comes round."""

    def append(self, number: int) -> None:
        super().append(number)
        if number % 100 == 0:
            gc.collect()


def print_peak(name: str, size: int, out: str) -> None:
    """In a process of its own: the most memory in use while so many grades are exported, in bytes."""
    os.fsync = lambda _: None  # thousands of files, and none of them matters
    seen = _Tidy()
    book = large_book(load_assignment(locations.default_assignment()), size, seen)
    tracemalloc.start()
    exported = EXPORTERS[name](book, Path(out))
    print(tracemalloc.get_traced_memory()[1])
    assert exported.count == size
    assert seen == list(range(size))


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_each_grade_is_asked_for_once_and_let_go(name: str, tmp_path: Path) -> None:
    """Ten times the grades take no more memory at once, and each is made exactly once."""
    peaks = []
    for size in (200, 2000):
        code = f"from tests.gradebook.test_export_tables import print_peak; print_peak({name!r}, {size}, 'out{size}')"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                              check=True, capture_output=True)  # fmt: skip
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + (2 << 20)


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_an_old_export_stays_where_the_new_one_fails(name: str, assignment: Assignment, tmp_path: Path) -> None:
    def grades() -> Any:
        yield Grade(student("ada"), Status.GRADED, HandIn("x"), FULL)
        raise GraderError("the store cannot be read")

    old = tmp_path / "out"
    if name != "gradescope":  # a folder: what was complete stays
        old.write_bytes(b"old")
    with pytest.raises(GraderError, match="the store"):
        EXPORTERS[name](Book(assignment, grades), old)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert old.is_dir() or old.read_bytes() == b"old"

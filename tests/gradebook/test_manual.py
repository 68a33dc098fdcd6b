"""Points by hand go out and come back, and a wrong row changes nothing."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grader.assignment import Assignment, Late
from grader.errors import GraderError
from grader.gradebook.grades import Grade, HandIn, ManualScore, Status, Student, total_of
from grader.gradebook.manual import read_scores, write_template
from tests.gradebook.books import Book
from tests.gradebook.fakes import made_up

DEADLINE = datetime(2026, 12, 1, tzinfo=UTC)


def _grade(assignment: Assignment, key: str, **changes: object) -> Grade:
    report = made_up("f" * 64, assignment)
    given: dict[str, object] = {"hand_in": HandIn(key), "report": report, **changes}
    return Grade(Student(key, "=HYPERLINK(1)"), Status.GRADED, **given)  # type: ignore[arg-type]


@pytest.fixture
def filled(assignment: Assignment, tmp_path: Path) -> Path:
    path = tmp_path / "manual.csv"
    grades = [_grade(assignment, "ada"), _grade(assignment, "bob", manual={"1b": ManualScore(0.5, "so")})]
    book = Book(assignment, lambda: grades)
    assert write_template(book, path) == 2
    return path


def _rewrite(path: Path, *changes: dict[str, str], delimiter: str = ",") -> None:
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    for row, change in zip(rows, changes, strict=False):
        row.update(change)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def test_the_template_has_what_a_person_needs(filled: Path) -> None:
    ada, bob = csv.DictReader(io.StringIO(filled.read_text(encoding="utf-8-sig"), newline=""))
    assert ada == {"student": "ada", "name": "'=HYPERLINK(1)", "part": "1b", "prompt": "Why?", "text": "Because.",
                   "max": "1", "points": "", "comment": ""}  # fmt: skip
    assert (bob["points"], bob["comment"]) == ("0.5", "so")


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_points_come_back_as_spreadsheets_save_them(filled: Path, assignment: Assignment, delimiter: str) -> None:
    _rewrite(filled, {"points": " 0,75 ", "comment": " good "}, {"points": "-"}, delimiter=delimiter)
    scores = read_scores(filled, assignment, ["ada", "bob"])
    assert scores == [("ada", "1b", ManualScore(0.75, "good")), ("bob", "1b", None)]


def test_rows_without_points_wait(filled: Path, assignment: Assignment) -> None:
    assert read_scores(filled, assignment, ["ada", "bob"]) == [("bob", "1b", ManualScore(0.5, "so"))]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": "2"}, "2 points for 1b, which has 0 to 1"),
        ({"points": "-1"}, "-1 points"),
        ({"points": "nan"}, "nan points"),
        ({"points": "many"}, "'many' is no number"),
        ({"points": "1", "student": "eve"}, "no student 'eve'"),
        ({"points": "1", "part": "2b"}, "'2b' is no part that is graded by hand"),
        ({"comment": "see me"}, "a comment without points would be lost"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_counts(
    filled: Path, assignment: Assignment, change: dict[str, str], said: str
) -> None:
    _rewrite(filled, change, {"points": "0.5"})
    with pytest.raises(GraderError, match=f"was not imported: row 2 .*{said}"):
        read_scores(filled, assignment, ["ada", "bob"])


def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path, assignment: Assignment) -> None:
    (tmp_path / "x.csv").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(GraderError, match="has no column part, points, student"):
        read_scores(tmp_path / "x.csv", assignment, [])
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(GraderError, match="not UTF-8"):
        read_scores(tmp_path / "x.csv", assignment, [])


@pytest.mark.parametrize(
    ("late", "came", "marked", "days", "share"),
    [
        (Late(deadline=DEADLINE, grace_minutes=15, percent_per_day=10), timedelta(minutes=15), False, 0, 0.0),
        (Late(deadline=DEADLINE, grace_minutes=15, percent_per_day=10), timedelta(minutes=16), False, 1, 0.1),
        (Late(deadline=DEADLINE, percent_per_day=10), timedelta(days=2), True, 2, 0.2),
        (Late(deadline=DEADLINE, percent_per_day=10), -timedelta(days=2), True, 0, 0.0),
        (Late(deadline=DEADLINE, percent_per_day=40), timedelta(days=9), False, 9, 1.0),
        (Late(deadline=DEADLINE, percent_per_day=10, max_days=3), timedelta(days=3.5), False, 4, 1.0),
        (Late(percent_per_day=10), timedelta(days=3), False, 0, 0.0),
        (Late(percent_per_day=10), timedelta(days=3), True, 1, 0.1),
    ],
)
def test_what_being_late_costs(
    assignment: Assignment, late: Late, came: timedelta, marked: bool, days: int, share: float
) -> None:
    rubric = assignment.model_copy(update={"late": late})
    hand_in = HandIn("x", DEADLINE + came, marked)
    total = total_of(_grade(assignment, "ada", hand_in=hand_in, manual={"1b": ManualScore(1.0)}), rubric)
    earned = total.automatic + total.bonus + 1.0
    assert total.days_late == days
    assert total.penalty == pytest.approx(share * earned) and total.points == pytest.approx((1 - share) * earned)


def test_what_is_missing_is_said(assignment: Assignment) -> None:
    total = total_of(_grade(assignment, "ada"), assignment)
    assert total.waiting == ("1b",) and not total.is_final
    assert total_of(_grade(assignment, "ada", manual={"1b": ManualScore(0)}), assignment).is_final
    for status in (Status.FAULT, Status.WAITING, Status.MISSING):
        assert total_of(Grade(Student("x"), status), assignment).points is None
    assert total_of(Grade(Student("x"), Status.UNUSABLE, HandIn("x")), assignment).points == 0


def test_more_than_a_part_is_worth_counts_as_its_worth(assignment: Assignment) -> None:
    """A changed rubric may make a part worth less than what a person gave."""
    total = total_of(_grade(assignment, "ada", manual={"1b": ManualScore(99)}), assignment)
    assert total.manual == assignment.parts["1b"].manual

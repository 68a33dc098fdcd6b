"""`grader batch` for real: every honest student has the score that the submission has alone, and no attack pays.

The gate grades a class of 20; ``pytest tests/gradebook/test_class.py --class-size 200`` grades one of 200, of whom ten
attack.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from grader import locations
from grader.assignment import Assignment
from grader.grade import Grader
from grader.gradebook.batch import open_store
from grader.gradebook.grades import Grade, Status, total_of
from grader.submission import Submission, load_submission
from tests.conftest import ROOT
from tests.gradebook.classes import HOSTILE, Intent, Member, make_real_class


@dataclass(frozen=True)
class Class:
    """A class that the command has graded: what was handed in, what came of it, and what the terminal said."""

    handed_in: Path
    out: Path
    members: list[Member]
    grades: dict[str, Grade]
    status: int
    said: str

    def of(self, *intents: Intent) -> Iterator[Member]:
        return (member for member in self.members if member.intent in intents)

    def points(self, member: Member) -> float:
        report = self.grades[member.key].report
        assert report is not None, self.grades[member.key].message
        return report.score


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, assignment: Assignment) -> Class:
    folder = tmp_path_factory.mktemp("class")
    handed_in, out, size = folder / "handed-in", folder / "out", pytestconfig.getoption("class_size")
    members = make_real_class(handed_in, size, min(len(HOSTILE), size * 3 // 10))
    done = subprocess.run(
        [sys.executable, "-c", "from grader.cli import main; main()", "batch", str(handed_in), "--out", str(out)],
        cwd=ROOT, env={**os.environ, "COLUMNS": "200"}, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    with open_store(out) as store:
        keys = store.last_keys()
        assert keys is not None, done.stderr
        grades = {grade.student.key: grade for grade in store.book(assignment, keys)}
    return Class(handed_in, out, members, grades, done.returncode, done.stdout + done.stderr)


def test_nobody_is_lost_and_the_command_says_so(graded: Class) -> None:
    assert graded.status == 0, graded.said
    assert set(graded.grades) == {member.key for member in graded.members}
    assert {grade.status for grade in graded.grades.values()} == {Status.GRADED}
    count = len(graded.members)
    assert f"{count} students" in graded.said and f"{count} graded now, 0 as before" in graded.said
    assert "Faults of the grader" not in graded.said


def test_honest_students_have_the_score_that_they_have_alone(graded: Class, assignment: Assignment) -> None:
    with Grader(assignment) as grader:
        for member in graded.of(Intent.RIGHT, Intent.FLAWED):
            path = graded.handed_in / member.key
            path = path if path.exists() else path.with_suffix(".zip")
            alone = grader.grade(load_submission(path, locations.pristine()))
            report = graded.grades[member.key].report
            assert report is not None and report.parts == alone.parts, member.key


def test_no_attack_pays(graded: Class, assignment: Assignment) -> None:
    attackers = list(graded.of(Intent.HOSTILE))
    assert attackers
    with Grader(assignment) as grader:
        for member in attackers:
            honest = grader.grade(Submission(member.key, member.honest, ()))
            assert graded.points(member) <= honest.score, member.key


def test_the_right_half_has_full_marks(graded: Class) -> None:
    right, flawed = (list(graded.of(intent)) for intent in (Intent.RIGHT, Intent.FLAWED))
    assert {graded.points(member) for member in right} == {84.0}
    assert max(graded.points(member) for member in flawed) < 84.0
    assert len(right) == len(flawed)


def test_pages_and_exports_hold_every_student(graded: Class, assignment: Assignment) -> None:
    keys = {member.key for member in graded.members}
    totals = {key: total_of(grade, assignment).points for key, grade in graded.grades.items()}
    with (graded.out / "gradebook.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    earned = {key: float(row["automatic"]) + float(row["bonus_points"]) for key, row in rows.items()}
    assert earned == pytest.approx(totals, abs=0.01)  # nobody has points by hand or is late
    exports = graded.out / "exports"
    for name in ("canvas.csv", "moodle.csv"):
        text = (exports / name).read_text(encoding="utf-8-sig")
        assert all(text.count(key) for key in keys), name
    pages = {path.stem for path in (graded.out / "pages" / "students").glob("*.html")}
    assert pages == keys == {path.stem for path in (exports / "gradescope").glob("*.json")}
    for key in keys:
        result = json.loads((exports / "gradescope" / f"{key}.json").read_text(encoding="utf-8"))
        assert result["score"] == pytest.approx(totals[key], abs=0.01)
    suites = ElementTree.parse(exports / "junit.xml").getroot().iter("testsuite")
    assert Counter(suite.get("name") for suite in suites) == Counter(keys)
    assert all(key in (graded.out / "pages" / "index.html").read_text(encoding="utf-8") for key in keys)

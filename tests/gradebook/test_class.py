"""A class graded for real: every honest student has the score that the submission has alone, and no attack pays."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import locations
from grader.assignment import Assignment
from grader.grade import Grader
from grader.gradebook.batch import Batch, grade_class, open_store
from grader.gradebook.grades import Grade, Status
from grader.gradebook.run import LocalEngine
from grader.submission import Submission, load_submission
from tests.gradebook.classes import Intent, Member, make_real_class
from tests.gradebook.fakes import Silence

STUDENTS, HOSTILE = 20, 6


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, assignment: Assignment) -> tuple[Path, list[Member], list[Grade]]:
    folder = tmp_path_factory.mktemp("class")
    found = make_real_class(folder / "handed-in", STUDENTS, HOSTILE)
    with open_store(folder / "out") as store:
        batch = grade_class(folder / "handed-in", store, assignment, LocalEngine(assignment, 2), Silence())
        assert batch == Batch(batch.keys, STUDENTS, 0)
        return folder, found, list(store.book(assignment, batch.keys))


def test_honest_students_have_the_score_that_they_have_alone(
    graded: tuple[Path, list[Member], list[Grade]], assignment: Assignment
) -> None:
    folder, found, grades = graded
    by_key = {grade.student.key: grade for grade in grades}
    with Grader(assignment) as grader:
        for member in found:
            report = by_key[member.key].report
            assert report is not None and by_key[member.key].status is Status.GRADED, by_key[member.key].message
            if member.intent is Intent.HOSTILE:
                assert report.score <= grader.grade(Submission(member.key, member.honest, ())).score, member.key
            else:
                path = folder / "handed-in" / member.key
                alone = load_submission(path if path.exists() else path.with_suffix(".zip"), locations.pristine())
                assert report.parts == grader.grade(alone).parts, member.key
    assert sum(member.intent is Intent.HOSTILE for member in found) == HOSTILE


def test_the_right_half_has_full_marks(graded: tuple[Path, list[Member], list[Grade]]) -> None:
    _, found, grades = graded
    scores = {grade.student.key: grade.report.score for grade in grades if grade.report}
    right = [scores[member.key] for member in found if member.intent is Intent.RIGHT]
    flawed = [scores[member.key] for member in found if member.intent is Intent.FLAWED]
    assert set(right) == {84.0} and len(right) == len(flawed) == (STUDENTS - HOSTILE) // 2
    assert max(flawed) < 84.0

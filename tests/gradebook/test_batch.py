"""A batch as a whole: what is graded again, what is tried twice, and that killing it at any moment loses nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.gradebook.batch import Batch, grade_class, open_store
from grader.gradebook.grades import Grade, Status
from grader.gradebook.intake import STORE
from grader.gradebook.store import Store
from tests.conftest import ROOT
from tests.gradebook.fakes import FakeEngine, Silence, make_class

KILLS = 50
STUDENTS = 40


def _run(folder: Path, out: Path, engine: FakeEngine, assignment: Assignment) -> Batch:
    with open_store(out) as store:
        return grade_class(folder, store, assignment, engine, Silence())


def _book(out: Path, assignment: Assignment, batch: Batch) -> list[Grade]:
    with Store(out / STORE) as store:
        return list(store.book(assignment, batch.keys, curves=True))


def test_a_second_run_grades_only_what_changed(tmp_path: Path, assignment: Assignment) -> None:
    folder, out = make_class(tmp_path / "class", 5), tmp_path / "out"
    engine = FakeEngine(assignment)
    assert _run(folder, out, engine, assignment).graded == 5
    (folder / "student0003" / "answers.toml").write_text("# new\n")
    again = FakeEngine(assignment)
    batch = _run(folder, out, again, assignment)
    assert (batch.graded, batch.kept, again.graded) == (1, 4, ["student0003"])


def test_a_changed_rubric_grades_all_anew(tmp_path: Path, assignment: Assignment) -> None:
    folder, out = make_class(tmp_path / "class", 3), tmp_path / "out"
    _run(folder, out, FakeEngine(assignment), assignment)
    limits = assignment.limits.model_copy(update={"restarts": 3})
    changed = assignment.model_copy(update={"limits": limits})
    assert _run(folder, out, FakeEngine(changed), changed).graded == 3
    assert _run(folder, out, FakeEngine(assignment), assignment).graded == 0  # history is kept


def test_equal_submissions_are_graded_once(tmp_path: Path, assignment: Assignment) -> None:
    folder, out = make_class(tmp_path / "class", 3), tmp_path / "out"
    (folder / "student0002" / "answers.toml").write_bytes((folder / "student0001" / "answers.toml").read_bytes())
    batch = _run(folder, out, FakeEngine(assignment), assignment)
    assert batch.graded == 2
    assert [grade.status for grade in _book(out, assignment, batch)] == [Status.GRADED] * 3


def test_a_fault_of_the_grader_is_tried_once_more(tmp_path: Path, assignment: Assignment) -> None:
    folder, out = make_class(tmp_path / "class", 3), tmp_path / "out"
    statuses = {"student0000": [Status.FAULT, Status.GRADED], "student0001": [Status.FAULT, Status.FAULT]}
    engine = FakeEngine(assignment, statuses=statuses)
    batch = _run(folder, out, engine, assignment)
    assert engine.graded == ["student0000", "student0001", "student0002", "student0000", "student0001"]
    grades = _book(out, assignment, batch)
    assert [grade.status for grade in grades] == [Status.GRADED, Status.FAULT, Status.GRADED]
    assert grades[1].message == "made up: fault"
    assert _run(folder, out, FakeEngine(assignment), assignment).graded == 1  # and in the next run


def test_one_batch_at_a_time(tmp_path: Path) -> None:
    with open_store(tmp_path), pytest.raises(GraderError, match="in use by another grader"), open_store(tmp_path):
        pass


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(GraderError, match="cannot be written"), open_store(tmp_path / "out"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killing_it_at_any_moment_loses_nothing(tmp_path: Path, assignment: Assignment) -> None:
    """Fifty kills, spread over a whole run; every result that was said to be kept is there, and the end is the same."""
    folder = make_class(tmp_path / "class", STUDENTS)
    started = time.monotonic()
    _grade_in_a_process(folder, tmp_path / "calm").communicate()
    whole = time.monotonic() - started
    dice = random.Random(7)
    out, kept = tmp_path / "killed", set[str]()
    for number in range(KILLS):
        if number % 10 == 0:
            out, kept = tmp_path / f"killed{number}", set()
        process = _grade_in_a_process(folder, out)
        time.sleep(whole * (0.3 + 0.7 * dice.random()))
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
        kept |= {line.split()[1] for line in said.splitlines() if line.startswith("kept ") and line.count(" ") == 1}
        assert kept <= _kept(out, assignment)
        if number % 10 == 9:
            assert _grade_in_a_process(folder, out).communicate()[0].endswith("done\n")
            assert _content(out) == _content(tmp_path / "calm")


def _grade_in_a_process(folder: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.gradebook.fakes", str(folder), str(out), "0.01"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _kept(out: Path, assignment: Assignment) -> set[str]:
    """Who has a result in the store; none where the process was killed before it made one."""
    if not (out / STORE).exists():
        return set()
    with Store(out / STORE) as store:
        keys = store.last_keys()
        grades = store.book(assignment, keys) if keys else []
        return {grade.student.key for grade in grades if grade.status is Status.GRADED}


def _content(out: Path) -> list[tuple[object, ...]]:
    """Everything in the store that is no time and no number of a run."""
    import sqlite3

    with sqlite3.connect(out / STORE) as connection:
        rows: list[tuple[object, ...]] = []
        for columns, table in (
            ("key, name, email, ids", "students"),
            ("student, digest, path, submitted_at, marked_late", "hand_ins"),
            ("digest, rubric, checks, reference, status, message, report, curves", "results"),
            ("digest, data", "curves"),
        ):
            rows += connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
    return rows

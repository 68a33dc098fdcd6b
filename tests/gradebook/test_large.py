"""Ten thousand submissions are ten times the work of a thousand: counted in calls and statements, not by the clock."""

from __future__ import annotations

import cProfile
import io
import pstats
import tracemalloc
from pathlib import Path

from rich.console import Console
from sqlalchemy import event

from grader.assignment import Assignment
from grader.gradebook.batch import grade_class, open_store
from grader.gradebook.progress import ConsoleWatch
from grader.gradebook.publish import publish
from tests.gradebook.fakes import FakeEngine, make_class

SMALL, LARGE = 250, 1000
GROWTH = LARGE / SMALL
LEEWAY = 1.15


def _work(folder: Path, count: int, assignment: Assignment) -> tuple[int, int]:
    """Calls of functions and statements of the database while a class is graded and published."""
    make_class(folder / "class", count)
    statements = 0

    def counted(*_: object) -> None:
        nonlocal statements
        statements += 1

    profile = cProfile.Profile()
    with open_store(folder / "out") as store:
        event.listen(store._engine, "before_cursor_execute", counted)
        with profile:
            watch = ConsoleWatch(Console(file=io.StringIO()), interval=0)
            batch = grade_class(folder / "class", store, assignment, FakeEngine(assignment), watch)
            publish(store.book(assignment, batch.keys), folder / "out")
    return pstats.Stats(profile).total_calls, statements  # type: ignore[attr-defined]


def test_work_grows_with_the_class_and_no_faster(tmp_path: Path, assignment: Assignment) -> None:
    _work(tmp_path / "warm", 5, assignment)
    small = _work(tmp_path / "small", SMALL, assignment)
    large = _work(tmp_path / "large", LARGE, assignment)
    for before, after in zip(small, large, strict=True):
        assert after <= LEEWAY * GROWTH * before


def test_reading_the_book_takes_no_more_memory_for_more_students(tmp_path: Path, assignment: Assignment) -> None:
    peaks = []
    for count in (3 * SMALL, 2 * LARGE):  # both of several chunks
        folder = make_class(tmp_path / f"class{count}", count)
        with open_store(tmp_path / f"out{count}") as store:
            engine = FakeEngine(assignment)
            batch = grade_class(folder, store, assignment, engine, ConsoleWatch(Console(file=io.StringIO())))
            tracemalloc.start()
            assert sum(1 for _ in store.book(assignment, batch.keys, curves=True)) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] <= LEEWAY * peaks[0]

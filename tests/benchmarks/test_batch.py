"""A class of 200: half of it right, half with mistakes, ten who attack; against one pytest process per submission.

The plain grader runs the same checks two at a time, with one thread each, which is its best. It is timed on every tenth
submission, right before and right after the batch. ``pytest tests/benchmarks/test_batch.py -s`` prints the figures.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from grader.assignment import Assignment
from grader.gradebook.batch import Batch, grade_class, open_store
from grader.gradebook.grades import Status, total_of
from grader.gradebook.publish import publish
from grader.gradebook.run import LocalEngine
from tests.conftest import ROOT
from tests.gradebook.classes import Intent, Member, make_real_class
from tests.gradebook.fakes import FakeEngine, Silence, make_class

STUDENTS, HOSTILE, SAMPLE, ROUNDS = 200, 10, 24, 3
TIMES_FASTER, SPEEDUP, MOST_MEMORY, SECOND_RUN = 6.0, 1.8, 3 << 30, 2.0
_CHECKS = sorted((ROOT / "grader" / "checks").glob("lab*.py")) + sorted(
    (ROOT / "grader" / "checks/hidden").glob("*.py")
)


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Member]]:
    folder = tmp_path_factory.mktemp("class") / "class"
    return folder, make_real_class(folder, STUDENTS, HOSTILE)


def _plain_seconds(paths: Sequence[Path]) -> float:
    """Seconds per submission with one pytest process each, two at a time."""
    options = ["-q", "-p", "tests.benchmarks.plain", "-c", os.devnull, "--rootdir", str(ROOT),
               "-opython_functions=check_*", "-opython_classes="]  # fmt: skip

    def grade(path: Path) -> None:
        command = [sys.executable, "-m", "pytest", *options, f"--submission={path}", *map(str, _CHECKS)]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=False)

    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(grade, paths))
    return (time.perf_counter() - started) / len(paths)


class _Memory(Silence):
    """Notes how much memory all our processes share, after each submission."""

    def __init__(self) -> None:
        super().__init__()
        self.used: list[int] = []

    def ended(self, job: object, result: object) -> None:
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        self.used.append(sum(map(_share, processes)))


def _share(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, OSError):  # it has just ended
        return 0


def _grade(folder: Path, out: Path, assignment: Assignment, jobs: int, watch: Silence) -> tuple[Batch, float]:
    started = time.perf_counter()
    with open_store(out) as store:
        batch = grade_class(folder, store, assignment, LocalEngine(assignment, jobs), watch)
        publish(store.book(assignment, batch.keys), out)
    return batch, time.perf_counter() - started


def test_a_class_of_two_hundred(
    benchmark: BenchmarkFixture, handed_in: tuple[Path, list[Member]], tmp_path: Path, assignment: Assignment
) -> None:
    folder, members = handed_in
    honest = [member.key for member in members if member.intent is not Intent.HOSTILE]
    paths = [next(folder.glob(f"{key}*")) for key in honest[:: len(honest) // SAMPLE]][:SAMPLE]
    _plain_seconds(paths[:2])
    before = _plain_seconds(paths[::2])
    watch = Silence()
    batch, seconds = benchmark.pedantic(lambda: _grade(folder, tmp_path / "out", assignment, 2, watch), iterations=1)
    plain = statistics.mean([before, _plain_seconds(paths[1::2])])
    ratio = plain / (seconds / STUDENTS)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from grader.cli import main; main()", "batch", str(folder), "--out",
                    str(tmp_path / "out")], cwd=ROOT, check=True, capture_output=True)  # fmt: skip
    again = time.perf_counter() - started
    said = {"seconds a submission": seconds / STUDENTS, "plain": plain, "times faster": ratio, "second run": again}
    benchmark.extra_info.update({name: round(value, 2) for name, value in said.items()})
    print(f"\n{said}")
    with open_store(tmp_path / "out") as store:
        grades = {grade.student.key: grade for grade in store.book(assignment, batch.keys)}
    assert {grade.status for grade in grades.values()} == {Status.GRADED}
    scores = {key: total_of(grade, assignment).points for key, grade in grades.items()}
    assert {scores[member.key] for member in members if member.intent is Intent.RIGHT} == {84.0}
    assert ratio >= TIMES_FASTER
    assert again <= SECOND_RUN


def test_two_jobs_and_memory(
    benchmark: BenchmarkFixture, handed_in: tuple[Path, list[Member]], tmp_path: Path, assignment: Assignment
) -> None:
    """Throughput from the 5th submission on, when all judges are warm; memory from the 20th to the last.

    One job and two take turns, so that a machine that becomes slower meanwhile slows both.
    """
    folder, _ = handed_in
    smaller = tmp_path / "smaller"
    make_real_class(smaller, STUDENTS // 5, 0)
    seconds = {1: 0.0, 2: 0.0}
    graded = 0
    for turn in range(ROUNDS):
        for jobs in seconds:
            ends: list[float] = []
            watch = Silence(lambda _, ends=ends: ends.append(time.perf_counter()))
            _grade(smaller, tmp_path / f"out{turn}of{jobs}", assignment, jobs, watch)
            seconds[jobs] += ends[-1] - ends[4]
        graded += len(ends) - 5
    speeds = {jobs: graded / taken for jobs, taken in seconds.items()}
    memory = _Memory()
    benchmark.pedantic(lambda: _grade(folder, tmp_path / "memory", assignment, 2, memory), iterations=1, rounds=1)
    first, last = int(statistics.median(memory.used[20:40])), int(statistics.median(memory.used[-20:]))
    growth = speeds[2] / speeds[1]
    print(f"\n{speeds[1]:.2f} and {speeds[2]:.2f} a second: {growth:.2f} times; memory {first >> 20} MiB at the 30th, "
          f"{last >> 20} MiB at the last, {max(memory.used) >> 20} MiB at most")  # fmt: skip
    assert max(memory.used) <= MOST_MEMORY
    assert last <= 1.1 * first
    assert growth >= SPEEDUP


def test_ten_thousand_submissions(benchmark: BenchmarkFixture, tmp_path: Path, assignment: Assignment) -> None:
    """Store, pages and exports, with a check that costs nothing: the time per submission does not grow."""
    seconds = {}
    for count in (1_000, 10_000):
        folder = make_class(tmp_path / f"class{count}", count)
        started = time.perf_counter()
        with open_store(tmp_path / f"out{count}") as store:
            batch = grade_class(folder, store, assignment, FakeEngine(assignment), Silence())
            publish(store.book(assignment, batch.keys), tmp_path / f"out{count}")
        seconds[count] = (time.perf_counter() - started) / count
    benchmark.extra_info["ms a submission"] = {count: round(1000 * each, 1) for count, each in seconds.items()}
    benchmark.pedantic(lambda: None)
    print("\n", benchmark.extra_info)
    assert seconds[10_000] <= 1.5 * seconds[1_000]

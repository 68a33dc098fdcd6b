"""How long an answer takes: cold, warm, and under ``--watch``. Run with ``make benchmark``.

Ratios are taken within one run, since machines are noisy: the two sides alternate and their medians are compared.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from grader.grade import Grader
from grader.submission import Submission
from grader.worker.host import Worker
from tests.conftest import ROOT

ROUNDS = 5


IMPORTS = [sys.executable, "-c", "import torch, torchvision, pytest"]
IMPORT_SECONDS = 2.05  # what the imports took on the machine on which the limits below were set


@pytest.fixture
def slowness() -> float:
    """How much slower this machine is at this moment than the one on which the limits were set."""
    return statistics.median(_seconds(IMPORTS) for _ in range(ROUNDS)) / IMPORT_SECONDS


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - started


def test_a_cold_check_takes_at_most_twice_the_imports(benchmark: BenchmarkFixture) -> None:
    """A whole ``grader check reference`` against ``import torch, torchvision, pytest``."""
    check = [sys.executable, "-c", "from grader.cli import main; main()", "check", "reference", "--json", "-"]
    _seconds(IMPORTS)
    _seconds(check)
    baseline = []
    benchmark.pedantic(
        lambda: _seconds(check), setup=lambda: baseline.append(_seconds(IMPORTS)), rounds=ROUNDS, iterations=1
    )
    ratio = benchmark.stats.stats.median / statistics.median(baseline)
    benchmark.extra_info["ratio to imports"] = round(ratio, 2)
    print(f"\ncold check: {benchmark.stats.stats.median:.2f} s, {ratio:.2f} times the imports")
    assert ratio <= 2.0


def _processor_time(pid: int) -> float:
    """Seconds of a worker, which is a child of the process that the fork server made."""
    supervisor = psutil.Process(pid)
    times = [process.cpu_times() for process in (supervisor, *supervisor.children(recursive=True))]
    return sum(each.user + each.system for each in times)


@pytest.fixture
def worker_seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """The processor time of every worker that has ended, in seconds."""
    spent: list[float] = []
    close = Worker.close

    def noting(worker: Worker) -> None:
        process = worker._process
        if process.is_alive() and process.pid is not None:
            spent.append(_processor_time(process.pid))
        close(worker)

    monkeypatch.setattr(Worker, "close", noting)
    return lambda: sum(spent)


def test_a_warm_check_takes_little_processor_time(
    benchmark: BenchmarkFixture,
    grader: Grader,
    reference: Submission,
    worker_seconds: Callable[[], float],
    slowness: float,
) -> None:
    """Judge, worker and evaluator together, for all labs."""
    grader.grade(reference)
    evaluator = grader._evaluator._interview._worker._process.pid

    def evaluated() -> float:
        return _processor_time(evaluator)

    judge, workers, measured = time.process_time(), worker_seconds(), evaluated()
    benchmark.pedantic(lambda: grader.grade(reference), rounds=ROUNDS, iterations=1)
    spent = [time.process_time() - judge, worker_seconds() - workers, evaluated() - measured]
    each = [seconds / ROUNDS for seconds in spent]
    benchmark.extra_info["cpu seconds: judge, worker, evaluator"] = [round(s, 3) for s in each]
    parts = ", ".join(f"{seconds:.2f}" for seconds in each)
    print(f"\nwarm check: {sum(each):.2f} s of CPU (judge, worker, evaluator: {parts}), slowness {slowness:.2f}")
    assert sum(each) <= 0.6 * slowness


def _wait_for_change(path: Path, before: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_mtime_ns == before:
        assert time.monotonic() < deadline, "no new report within a minute"
        time.sleep(0.002)


def test_watch_answers_soon_after_a_save(benchmark: BenchmarkFixture, tmp_path: Path, slowness: float) -> None:
    """From the save of Lab 1 to the new report on disk."""
    work, result = tmp_path / "work", tmp_path / "report.json"
    shutil.copytree(ROOT / "reference", work, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", "from grader.cli import main; main()", "check", str(work), "--watch", "--json"]
    lab1 = work / "lab1_sparse_optimization.py"
    with subprocess.Popen([*command, str(result)], stdout=subprocess.DEVNULL, cwd=ROOT) as process:
        try:
            _wait_for_change(result, 0)
            time.sleep(1)  # until it watches

            def save() -> None:
                before = result.stat().st_mtime_ns
                lab1.write_text(lab1.read_text() + "\n# saved\n")
                _wait_for_change(result, before)

            for _ in range(2):
                save()
                time.sleep(0.3)
            benchmark.pedantic(save, setup=lambda: time.sleep(0.3), rounds=ROUNDS, iterations=1)
        finally:
            process.kill()
    assert json.loads(result.read_text())["score"] == 84
    print(f"\nwatch: {benchmark.stats.stats.median * 1000:.0f} ms after the save, slowness {slowness:.2f}")
    assert benchmark.stats.stats.median <= 0.3 * slowness

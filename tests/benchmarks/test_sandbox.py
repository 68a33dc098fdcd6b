"""What the sandbox costs: from the request for a worker until it is ready, with every layer against with none.

Target: at most 15 ms more, medians over many forks in one run; the two alternate, so that a busy machine slows both.
"""

from __future__ import annotations

import statistics
import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from grader import locations
from grader.worker.host import Worker, start_method
from grader.worker.sandbox.policy import Policy

ROUNDS = 40
TARGET = 0.015


def _start(policy: Policy) -> Worker:
    worker = Worker(locations.pristine(), isolation=policy)
    worker.wait_until_ready()
    return worker


@pytest.mark.skipif(start_method() != "forkserver", reason="without a fork a worker takes seconds")
def test_the_sandbox_adds_little_to_a_fork(benchmark: BenchmarkFixture) -> None:
    plain: list[float] = []
    ended: dict[bool, list[float]] = {True: [], False: []}

    def end(worker: Worker, sandboxed: bool) -> None:
        started = time.perf_counter()
        worker.close()
        ended[sandboxed].append(time.perf_counter() - started)

    def start_plainly() -> None:
        started = time.perf_counter()
        worker = _start(Policy.none())
        plain.append(time.perf_counter() - started)
        end(worker, False)

    for policy in (Policy(), Policy.none()):
        _start(policy).close()
    workers: list[Worker] = []

    def setup() -> None:
        if workers:
            end(workers.pop(), True)
        start_plainly()

    benchmark.pedantic(lambda: workers.append(_start(Policy())), setup=setup, rounds=ROUNDS, iterations=1)
    end(workers.pop(), True)
    added = benchmark.stats.stats.median - statistics.median(plain)
    ending = statistics.median(ended[True]) - statistics.median(ended[False])
    benchmark.extra_info["added ms: start, end"] = [round(1000 * added, 1), round(1000 * ending, 1)]
    print(f"\nthe sandbox adds {1000 * added:.1f} ms to the start of a worker and {1000 * ending:.1f} ms to its end")
    assert added <= TARGET

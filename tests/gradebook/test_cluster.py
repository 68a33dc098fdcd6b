"""Grading on a Dask cluster of two worker processes, one of which is killed midway."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.gradebook.batch import grade_class, open_store
from grader.gradebook.grades import Status
from grader.gradebook.run import LocalEngine
from tests.conftest import ROOT
from tests.gradebook.classes import make_real_class
from tests.gradebook.fakes import Silence

pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler on loopback, and the processes of its two workers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    log = (tmp_path / "log").open("wb")

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    workers = [start("worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny") for _ in range(2)]
    try:
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
                child.kill()
            process.kill()
            process.wait()
        log.close()


def test_a_lost_worker_loses_no_submission(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path, assignment: Assignment
) -> None:
    from grader.gradebook.cluster import ClusterEngine

    address, workers = cluster
    folder = tmp_path / "class"
    make_real_class(folder, 8, 0)
    said: list[str] = []

    def kill_one(name: str) -> None:
        said.append(name)
        if len(said) == 3:
            workers[0].send_signal(signal.SIGKILL)

    with open_store(tmp_path / "cluster") as store:
        batch = grade_class(folder, store, assignment, ClusterEngine(address, assignment), Silence(kill_one))
        on_cluster = {grade.student.key: grade for grade in store.book(assignment, batch.keys)}
    assert workers[0].wait() == -signal.SIGKILL
    assert len(said) == len(set(said)) == 8
    with open_store(tmp_path / "here") as store:
        batch = grade_class(folder, store, assignment, LocalEngine(assignment, 2), Silence())
        here = {grade.student.key: grade for grade in store.book(assignment, batch.keys)}
    assert {key: grade.report for key, grade in here.items()} == {key: g.report for key, g in on_cluster.items()}
    assert {grade.status for grade in on_cluster.values()} == {Status.GRADED}


def test_nobody_there_is_one_sentence(assignment: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    from grader.gradebook import cluster as module

    monkeypatch.setattr(module, "_CONNECT_SECONDS", 1)
    with pytest.raises(GraderError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        module.ClusterEngine("tcp://127.0.0.1:9", assignment)

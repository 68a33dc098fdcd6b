"""Grading on a Dask cluster of two worker processes, one of which is killed midway."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import psutil
import pytest

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.full.standard import FullOptions, Images, Materials
from grader.gradebook.batch import grade_class, open_store
from grader.gradebook.grades import Status
from grader.gradebook.intake import take_in
from grader.gradebook.profile import Profile
from grader.gradebook.run import Job, LocalEngine
from grader.gradebook.store import Result
from tests.conftest import ROOT
from tests.gradebook.classes import make_real_class
from tests.gradebook.fakes import Silence, make_class

if TYPE_CHECKING:
    from distributed import SpecCluster

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


# --- submissions that train on a GPU


@pytest.fixture
def mixed_cluster() -> Iterator[SpecCluster]:
    """Workers in threads of this process: one declares a GPU, two do not."""
    from distributed import Scheduler, SpecCluster, Worker

    silent: dict[str, object] = {"dashboard_address": ":0", "host": "127.0.0.1"}
    plain: dict[str, object] = {**silent, "nthreads": 1}
    scheduler = {"cls": Scheduler, "options": {**silent, "port": 0, "dashboard": False}}
    workers = {
        "gpu": {"cls": Worker, "options": {**plain, "resources": {"GPU": 1}}},
        "one": {"cls": Worker, "options": plain},
        "two": {"cls": Worker, "options": plain},
    }
    with SpecCluster(workers, scheduler, silence_logs=50) as cluster:
        yield cluster


def _rerun_on(device: Literal["cpu", "cuda"]) -> Profile:
    images = Images(())
    options = FullOptions(rerun=1, rerun_device=device)
    return Profile(Materials(options, "net", "digest", {"net": np.zeros(3)}, images, images))


def _place(rubric: str, isolation: object, materials: Materials, digest: str, submission: object) -> Result:
    """Stands for a grading: says on which worker it ran, with what the full profile measures by."""
    from distributed import get_worker

    assert materials.pretrained["net"].shape == (3,)
    time.sleep(0.05)
    return Result(digest, Status.GRADED, 0.0, str(get_worker().name))


def _places(address: str, profile: Profile, folder: Path, assignment: Assignment) -> set[str]:
    from grader.gradebook.cluster import ClusterEngine

    found = take_in(folder).found if any(folder.iterdir()) else ()
    jobs = [Job(each.digest, each.files) for each in found]
    with ClusterEngine(address, assignment, profile=profile) as engine:
        results = [result for result in engine.grade(jobs) if result is not None]
    assert sorted(result.digest for result in results) == sorted(job.digest for job in jobs)
    return {result.message for result in results}


def test_what_trains_on_a_gpu_goes_to_workers_that_declare_one(
    mixed_cluster: SpecCluster, tmp_path: Path, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grader.gradebook import cluster as module

    monkeypatch.setattr(module, "_grade", _place)
    folder = make_class(tmp_path / "class", 8)
    address = mixed_cluster.scheduler_address
    assert _places(address, _rerun_on("cuda"), folder, assignment) == {"gpu"}
    assert len(_places(address, _rerun_on("cpu"), folder, assignment)) > 1


def test_with_nothing_to_grade_nothing_is_sent_or_asked_for(tmp_path: Path, assignment: Assignment) -> None:
    from distributed import LocalCluster

    (tmp_path / "class").mkdir()
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=50) as cluster:
        assert _places(cluster.scheduler_address, _rerun_on("cuda"), tmp_path / "class", assignment) == set()


def test_without_a_worker_that_declares_a_gpu_nobody_waits(tmp_path: Path, assignment: Assignment) -> None:
    from distributed import LocalCluster

    folder = make_class(tmp_path / "class", 1)
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50) as cluster,
        pytest.raises(GraderError, match=r"^no worker of the cluster declares a GPU: start some with `dask worker"),
    ):
        _places(cluster.scheduler_address, _rerun_on("cuda"), folder, assignment)

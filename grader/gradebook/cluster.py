"""Grade on a Dask cluster: each of its workers holds a warm grader, and all results come back to one store."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Any, Self

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker

from grader.assignment import Assignment
from grader.crew import Lost
from grader.errors import GraderError, InternalError, UnusableSubmission
from grader.full.standard import Materials
from grader.grade import Grader
from grader.gradebook.grades import Status
from grader.gradebook.profile import QUICK, Profile
from grader.gradebook.run import Job, fault, grade_submission, require_sandbox
from grader.gradebook.store import Result
from grader.submission import Submission
from grader.worker.sandbox.policy import Policy

__all__ = ["ClusterEngine"]

_CONNECT_SECONDS = 20
_TICK = 0.5
_GPU: Mapping[str, float] = {"GPU": 1}
"""What a worker declares (``dask worker --resources GPU=1``), and a submission takes, that trains on a GPU."""
_AHEAD = 4
"""Submissions on the cluster for each of its workers."""


class ClusterEngine:
    """Judges on a cluster that is already there.

    A submission whose worker is lost goes to another one, as often as the cluster's ``allowed-failures`` says; only
    what a student handed in crosses, and once what the full profile measures by, so that workers need no common file
    system, but the same version of this project.

    Args:
        address: of the scheduler, such as ``tcp://10.0.0.1:8786``.
        assignment: the rubric.
        isolation: None for the whole sandbox, which every worker must then offer.
        profile: quick or full.

    Raises:
        GraderError: nobody answers there.
    """

    def __init__(
        self, address: str, assignment: Assignment, isolation: Policy | None = None, profile: Profile = QUICK
    ) -> None:
        self._assignment = assignment
        self._isolation = isolation
        self._profile = profile
        self._waiting: dict[Any, Job] = {}
        try:
            self._client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise GraderError(f"no Dask scheduler answers at {address}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.cancel(list(self._waiting), force=True)
        self._client.close()

    def running(self) -> list[tuple[Job, float]]:
        """Not known: the scheduler decides."""
        return []

    def grade(self, jobs: Sequence[Job]) -> Iterator[Result | None]:
        """A result for each job, as it ends; what cannot be read is not sent.

        Raises:
            GraderError: the cluster has no worker to which the full profile's images could go, or none with a GPU that
                a re-run asks for.
        """
        if not jobs:
            return
        rubric = self._assignment.model_dump_json()
        self._require_gpu()
        materials = self._sent_materials()
        resources = _GPU if self._profile.needs_gpu else None
        waiting = deque(jobs)
        ended = as_completed(loop=self._client.loop, raise_errors=False)
        while waiting or self._waiting:
            while waiting and len(self._waiting) < self._room():
                job = waiting.popleft()
                try:
                    submission = job.load(full=self._profile.is_full)
                except UnusableSubmission as error:
                    yield Result(job.digest, Status.UNUSABLE, 0.0, str(error))
                    continue
                except InternalError as error:
                    yield fault(job, error)
                    continue
                arguments = (rubric, self._isolation, materials, job.digest, submission)
                future = self._client.submit(_grade, *arguments, pure=False, resources=resources)
                self._waiting[future] = job
                ended.add(future)
            done = ended.next_batch(block=False)
            for future in done:
                yield _result(self._waiting.pop(future), future)
            if not done:
                self._require_gpu()
                time.sleep(_TICK)
            yield None

    def _room(self) -> int:
        """How many submissions may be on the cluster at once: with their networks, all of a class fill its memory."""
        return _AHEAD * max(len(self._client.nthreads()), 1)

    def _require_gpu(self) -> None:
        """Dask waits for ever for a worker that declares what a task needs."""
        if self._profile.needs_gpu and not self._gpus():
            raise GraderError(
                "no worker of the cluster declares a GPU: start some with `dask worker --resources GPU=1`, or leave "
                "--rerun-device out"
            )

    def _gpus(self) -> float:
        """How many GPUs the workers declare together."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return float(sum(worker["resources"].get("GPU", 0) for worker in workers))

    def _sent_materials(self) -> Future[Any] | None:
        """What the full profile measures by, on every worker; it crosses once, and not with every submission."""
        if self._profile.materials is None:
            return None
        try:
            sent: Future[Any] = self._client.scatter(self._profile.materials, broadcast=True, hash=False)
        except TimeoutError:
            raise GraderError("the cluster has no worker yet: start some, and run this again") from None
        return sent


def _result(job: Job, future: Future[Any]) -> Result:
    try:
        done = future.result()
    except KilledWorker:
        return fault(job, GraderError("the cluster lost every worker that it was given to"))
    except Exception as error:  # a cancelled future, or a result that did not arrive
        return fault(job, GraderError(f"the cluster has no result: {type(error).__name__}: {error}"))
    if isinstance(done, Lost):
        return fault(job, done.error)
    result: Result = done
    return result


_one_at_a_time = threading.Lock()


@cache
def _grader(rubric: str, isolation: Policy | None, materials: Materials | None) -> Grader:
    """The grader of this worker process; it is warm from the second submission on."""
    # Dask's nanny marks its workers as daemons, which multiprocessing forbids to have children, as a grader must.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    grader = Grader(Assignment.model_validate_json(rubric), isolation=isolation, full=materials)
    require_sandbox(grader, isolation)
    return grader


def _grade(
    rubric: str, isolation: Policy | None, materials: Materials | None, digest: str, submission: Submission
) -> Result | Lost:
    """What a worker does with a submission; one after another, however many threads it has."""
    with _one_at_a_time:
        try:
            return grade_submission(_grader(rubric, isolation, materials), digest, lambda: submission)
        except Exception as error:
            return Lost(error if isinstance(error, GraderError) else GraderError(f"{type(error).__name__}: {error}"))

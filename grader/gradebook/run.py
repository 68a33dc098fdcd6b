"""Grade a class: judges get what is new or changed, and every result goes into the store as soon as it is there."""

from __future__ import annotations

import functools
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from grader import locations
from grader.assignment import Assignment
from grader.crew import Crew, Lost
from grader.errors import GraderError, InternalError, UnusableSubmission
from grader.grade import Grader
from grader.gradebook.grades import Status
from grader.gradebook.intake import digest_of_files
from grader.gradebook.packing import pack
from grader.gradebook.profile import QUICK, Profile
from grader.gradebook.store import Result
from grader.submission import Submission, load_files, load_submission
from grader.worker.sandbox.policy import Policy

__all__ = [
    "Engine",
    "Job",
    "LocalEngine",
    "Watch",
    "fault",
    "grade_jobs",
    "grade_submission",
    "judge",
    "require_sandbox",
]

_TICK = 0.5
_OBJECTS_OF_A_SUBMISSION = 500_000
"""More than grading one makes and holds on to; a hostile one is collected on the way."""


@dataclass(frozen=True, slots=True)
class Job:
    """One submission to grade: the digest that names it, and its files by the names that the student gave them."""

    digest: str
    files: Mapping[str, Path]

    @property
    def name(self) -> str:
        """What the summary calls it."""
        return min(path.name for path in self.files.values())

    def load(self, *, full: bool = False) -> Submission:
        """Its gradable content, with checkpoints if ``full``; nothing in it says where the class lies.

        Raises:
            UnusableSubmission: there is none.
            InternalError: it is no longer what the digest says.
        """
        try:
            return self._load(full)
        finally:
            if digest_of_files(self.files) != self.digest:
                raise InternalError("the submission was changed or moved away while the class was graded: grade again")

    def _load(self, full: bool) -> Submission:
        paths = list(self.files.values())
        try:
            if len(paths) == 1 and list(self.files) == [paths[0].name]:
                return load_submission(paths[0], locations.pristine(), full=full)
            return load_files(self.name, self.files, locations.pristine(), full=full)
        except UnusableSubmission as error:
            told = str(error)
            for where in (str(paths[0]), self.name):  # which a message begins with; "empty" is also a word
                if told.startswith(where):
                    told = f"The submission{told.removeprefix(where)}"
                    break
            raise UnusableSubmission(told.replace(str(paths[0]), "the submission")) from None


class Engine(Protocol):
    """Where submissions are graded: in processes here, or on a cluster."""

    def grade(self, jobs: Sequence[Job]) -> Iterator[Result | None]:
        """A result for each job as it ends, and None every now and then."""

    def running(self) -> list[tuple[Job, float]]:
        """What is being graded, and for how many seconds, as far as that is known."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Watch(Protocol):
    """Who is told of progress."""

    def begin(self, total: int) -> None:
        """So many submissions are to be graded."""

    def ended(self, job: Job, result: Result) -> None:
        """One of them has a result."""

    def tick(self, running: Sequence[tuple[Job, float]]) -> None:
        """Time has passed."""


class LocalEngine:
    """Judges in processes of this machine; none is started before there is something to grade.

    Args:
        assignment: the rubric.
        jobs: how many judges.
        isolation: None for the whole sandbox, without whose essential layers nothing is graded.
        profile: quick or full.
    """

    def __init__(
        self, assignment: Assignment, jobs: int, isolation: Policy | None = None, profile: Profile = QUICK
    ) -> None:
        start = functools.partial(judge, assignment, isolation, profile)
        self._crew: Crew[Job, Result] = Crew(start, jobs, profile.seconds(assignment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._crew.__exit__(*details)

    def running(self) -> list[tuple[Job, float]]:
        """What is being graded, and for how many seconds."""
        return self._crew.running()

    def grade(self, jobs: Sequence[Job]) -> Iterator[Result | None]:
        """A result for each job, as it ends."""
        for ended in self._crew.run(jobs, _TICK):
            if ended is None:
                yield None
                continue
            job, done = ended
            yield fault(job, done.error) if isinstance(done, Lost) else done


@contextmanager
def judge(assignment: Assignment, isolation: Policy | None, profile: Profile) -> Iterator[Callable[[Job], Result]]:
    """What a judge's process does with a job.

    Raises:
        GraderError: an essential layer of the sandbox is missing, and nobody said that this is all right.
    """
    with Grader(assignment, isolation=isolation, full=profile.materials) as grader:
        require_sandbox(grader, isolation)

        def grade(job: Job) -> Result:
            try:
                return grade_submission(grader, job.digest, functools.partial(job.load, full=grader.is_full))
            finally:
                gc.collect()

        with _garbage_is_collected_by_hand():
            yield grade


@contextmanager
def _garbage_is_collected_by_hand() -> Iterator[None]:
    """Within this context Python does not look for garbage all the time, which took a tenth of it."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_OF_A_SUBMISSION)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def require_sandbox(grader: Grader, isolation: Policy | None) -> None:
    """Refuse to go on without the essential layers, unless other isolation was asked for.

    Raises:
        GraderError: naming what is missing.
    """
    if isolation is None and (lacking := grader.sandbox().lacking()):
        raise GraderError(
            f"student code would not be confined: {'; '.join(lacking)}. `grader doctor` says more; "
            "--isolation none grades all the same, with your rights"
        )


def grade_submission(grader: Grader, digest: str, load: Callable[[], Submission]) -> Result:
    """Grade one submission of a class."""
    started = time.perf_counter()
    try:
        submission = load()
    except UnusableSubmission as error:
        return Result(digest, Status.UNUSABLE, time.perf_counter() - started, str(error))
    except InternalError as error:
        return Result(digest, Status.FAULT, time.perf_counter() - started, str(error))
    report = grader.grade(submission)
    status = Status.FAULT if report.has_error() else Status.GRADED
    return Result(digest, status, time.perf_counter() - started, report.faults(), pack(report))


def fault(job: Job, error: Exception) -> Result:
    """The result of a job that came to nothing: a fault of the grader."""
    return Result(job.digest, Status.FAULT, 0.0, str(error))


def grade_jobs(engine: Engine, jobs: Sequence[Job], save: Callable[[Result], None], watch: Watch) -> None:
    """Grade all jobs and save each result; what fails by a fault of the grader is tried once more."""
    by_digest = {job.digest: job for job in jobs}
    watch.begin(len(jobs))
    for is_last in (False, True):
        faulty: list[Job] = []
        for result in engine.grade(jobs):
            if result is None:
                watch.tick(engine.running())
                continue
            job = by_digest[result.digest]
            if result.status is Status.FAULT and not is_last:
                faulty.append(job)
            else:
                save(result)
                watch.ended(job, result)
        jobs = faulty

"""``grader batch``: from the folder of a class to a gradebook, pages and files to upload, going on where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.gradebook.intake import STORE, Intake, take_in
from grader.gradebook.keys import Keys
from grader.gradebook.profile import QUICK, Profile
from grader.gradebook.roster import Roster
from grader.gradebook.run import Engine, Job, Watch, grade_jobs
from grader.gradebook.store import Store

__all__ = ["Batch", "grade_class", "open_store"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one run of a class did.

    Args:
        keys: what it graded with.
        graded: how many submissions were graded now.
        kept: how many had a result already.
    """

    keys: Keys
    graded: int
    kept: int


@contextmanager
def open_store(out: Path, url: str | None = None) -> Iterator[Store]:
    """The store of an output folder, for one process at a time.

    Args:
        out: the folder; made if it is missing.
        url: a database in place of the file in the folder.

    Raises:
        GraderError: the folder cannot be written, or another process is at it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise GraderError(f"{out} is in use by another grader: wait for it, or give another --out") from None
    except OSError as error:
        raise GraderError(f"{out} cannot be written: {error.strerror}; what is in it is still there") from None
    try:
        with Store(url or out / STORE) as store:
            yield store
    finally:
        lock.release()


def grade_class(
    folder: Path,
    store: Store,
    assignment: Assignment,
    engine: Engine,
    watch: Watch,
    roster: Roster | None = None,
    apart: Path | None = None,
    profile: Profile = QUICK,
) -> Batch:
    """Grade every submission of a folder that has no result yet, by the rubric, checks and reference of now.

    Args:
        folder: the class.
        store: where results are kept.
        assignment: the rubric.
        engine: where it is graded.
        watch: who is told of progress.
        roster: the students.
        apart: what in the folder is no submission, namely the output.
        profile: quick or full, as of the engine.

    Raises:
        GraderError: the folder holds no submission, or the store cannot be written.
    """
    keys = profile.keys(assignment)
    intake = take_in(folder, roster, apart)
    run = store.begin(folder, assignment, keys, intake)
    if profile.is_rerun:
        store.reopen(keys, lambda report: profile.is_outdated(report, assignment))
    jobs = _jobs(intake)
    known = store.graded(keys)
    waiting = [job for job in jobs if job.digest not in known]
    with engine:
        grade_jobs(engine, waiting, lambda result: store.save(keys, result), watch)
    store.finish(run)
    return Batch(keys, len(waiting), len(jobs) - len(waiting))


def _jobs(intake: Intake) -> list[Job]:
    """Each different submission once, however many students share it."""
    return list({found.digest: Job(found.digest, found.files) for found in intake.found}.values())

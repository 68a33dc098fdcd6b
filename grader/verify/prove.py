"""One run of ``grader verify``: grade every subject, judge every row."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from grader import locations
from grader.assignment import Assignment
from grader.verify.judging import idle_checks, judge
from grader.verify.matrix import Verification
from grader.verify.progress import with_progress
from grader.verify.running import Journal, grade_all, source_digest
from grader.verify.subjects import select, subjects

__all__ = ["prove"]


def prove(
    assignment: Assignment,
    *,
    only: Sequence[str] = (),
    jobs: int = 2,
    fresh: bool = False,
    console: Console | None = None,
) -> tuple[Verification, float]:
    """Grade the catalogue, or the entries whose ids begin with ``only``; the matrix, and the seconds that it took.

    A run that was interrupted goes on where it stopped, unless the sources have changed or ``fresh`` is set.

    Raises:
        CatalogueError: an entry could not prove anything, or ``only`` names none.
        KeyboardInterrupt: what was graded so far is kept for the next run.
    """
    started = time.monotonic()
    every = subjects(assignment)
    chosen = select(every, only) if only else every
    journal = Journal(locations.cache_folder(), source_digest())
    if fresh:
        journal.clear()
    graded = grade_all(assignment, chosen, jobs=jobs, journal=journal)
    by_id = {result.subject: result for result in with_progress(graded, len(chosen), "Verifying", console)}
    if not only:  # a choice leaves what an interrupted run of everything had done
        journal.clear()
    results = [by_id[subject.id] for subject in chosen]
    found = Verification(
        assignment=assignment,
        subjects=chosen,
        results=results,
        problems=[p for s, r in zip(chosen, results, strict=True) for p in judge(s, r, assignment)],
        idle=idle_checks(every, assignment),
        complete=not only,
    )
    return found, time.monotonic() - started

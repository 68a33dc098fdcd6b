"""Grade the submission in a Gradescope container: ``python -m grader.gradebook.gradescope_run``.

results.json is the judge's last act, when every process with student code is gone. Exit status: 0 it has a score,
3 the grader failed, and the file says so without one.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.errors import GraderError, UnusableSubmission
from grader.files import write_atomically
from grader.gradebook.container import keep_private, memory_here, policy_for, require_confined
from grader.gradebook.exports.gradescope import Failed, Hidden, Results, document, failed, results_of
from grader.gradebook.grades import Grade, HandIn, Status, Student
from grader.gradebook.metadata import Metadata, read_metadata
from grader.report import Report
from grader.submission import Submission, load_submission
from grader.worker.host import start_server

__all__ = ["main"]

_FAULT = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade, write results.json whatever happens, and return the exit status."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside, perhaps for taking too long"))
    try:
        content = _graded(options)
    except (Exception, SystemExit) as error:
        traceback.print_exc()  # for the instructor: students do not see this output
        content = failed(f"{type(error).__name__}: {error}")
    write_atomically(options.root / "results" / "results.json", [document(content)])
    return _FAULT if isinstance(content, Failed) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gradescope_run", description="Grade the submission in this container.")
    parser.add_argument("--root", type=Path, default=Path("/autograder"), help="where submission/ and results/ are")
    parser.add_argument("--rubric", type=Path, help="a rubric as JSON; the course's if not given")
    parser.add_argument("--hidden", type=Hidden, choices=list(Hidden), default=Hidden.TITLE)
    parser.add_argument("--leaderboard", action="store_true")
    return parser.parse_args(arguments)


def _graded(options: argparse.Namespace) -> Results | Failed:
    root: Path = options.root
    keep_private((root / "source", root / "submission"))
    start_server()
    assignment, metadata, notes = _told(root, options.rubric)
    grade = _grade(root / "submission", assignment, metadata, show_hidden=options.hidden is not Hidden.TITLE)
    return results_of(grade, assignment, hidden=options.hidden, leaderboard=options.leaderboard, notes=notes)


def _told(root: Path, rubric: Path | None) -> tuple[Assignment, Metadata | None, tuple[str, ...]]:
    """The rubric, with Gradescope's deadline where it has one, and what Gradescope says of the submission."""
    path = locations.default_assignment()
    assignment = Assignment.model_validate_json(rubric.read_bytes()) if rubric else load_assignment(path)
    try:
        metadata = read_metadata(root / "submission_metadata.json")
    except GraderError as error:
        print(f"Lateness was not looked at: {error}", file=sys.stderr)
        return assignment, None, ("When this was handed in is not known, so lateness was not looked at.",)
    late = assignment.late.model_copy(update={"deadline": metadata.due_date or assignment.late.deadline})
    return assignment.model_copy(update={"late": late}), metadata, ()


def _grade(folder: Path, assignment: Assignment, metadata: Metadata | None, *, show_hidden: bool) -> Grade:
    """The grade of what lies in a folder; every worker is gone when it is there."""
    student = Student(str(metadata.id) if metadata else "submission")
    hand_in = HandIn(folder.name, metadata.created_at if metadata else None)
    started = time.monotonic()
    try:
        submission = load_submission(folder, locations.pristine())
    except UnusableSubmission as error:
        reason = str(error).replace(str(folder), "the submission")
        return Grade(student, Status.UNUSABLE, hand_in, message=reason)
    report = _report(submission, assignment, show_hidden=show_hidden)
    return Grade(
        student,
        Status.FAULT if report.has_error() else Status.GRADED,
        hand_in,
        report,
        message=report.faults(),
        seconds=time.monotonic() - started,
    )


def _report(submission: Submission, assignment: Assignment, *, show_hidden: bool) -> Report:
    from grader.grade import Grader  # numpy and pytest, while the fork server warms up

    with Grader(assignment, show_hidden=show_hidden, isolation=policy_for(memory_here())) as grader:
        require_confined(grader.sandbox())
        return grader.grade(submission)


if __name__ == "__main__":
    sys.exit(main())

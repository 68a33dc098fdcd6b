"""Grades subjects in several processes, and goes on where an interrupted run stopped."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from grader import locations
from grader.assignment import Assignment
from grader.crew import Crew, Lost
from grader.errors import GraderError
from grader.grade import Grader
from grader.memory import Memory
from grader.oracle import goldens_for
from grader.report import Report
from grader.verify.judging import Result, result_of
from grader.verify.subjects import Role, Subject

__all__ = ["Journal", "grade_all", "source_digest", "spread"]

_BATCH = 4  # subjects handed to a process at a time: few enough to end evenly, enough to share what they ask


class Journal:
    """Results on disk, one line each, of one state of the sources.

    Args:
        folder: where journals lie.
        key: what the results depend on; those of another state are dropped.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / f"verify-{key}.jsonl"

    def load(self) -> dict[str, Result]:
        """The results so far; a line that was cut off when the run was killed does not count."""
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        found = {}
        for line in lines:
            try:
                result = Result.model_validate_json(line)
            except ValidationError:
                continue
            found[result.subject] = result
        return found

    def add(self, result: Result) -> None:
        """Write one result through to the file.

        Raises:
            GraderError: the folder cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for old in set(self._path.parent.glob("verify-*.jsonl")) - {self._path}:
                old.unlink(missing_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + result.model_dump_json() + "\n")  # the line before may have been cut off
        except OSError as error:
            raise GraderError(
                f"{self._path} cannot be written: {error.strerror}; make room, or the folder writable"
            ) from None

    def clear(self) -> None:
        """Forget everything: the next run grades anew."""
        self._path.unlink(missing_ok=True)


def source_digest() -> str:
    """A digest of everything that a result depends on."""
    root = locations.instructor_folder("reference").parent
    digest = hashlib.sha256()
    for folder in ("grader", "reference", "student_template", "fixtures"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def grade_all(
    assignment: Assignment, found: Sequence[Subject], *, jobs: int = 2, journal: Journal | None = None
) -> Iterator[Result]:
    """Grade every subject, in the order in which they are finished.

    Args:
        assignment: the rubric.
        found: the subjects.
        jobs: judge processes; 0 grades in this one.
        journal: results that need not be graded again; finished ones are added.
    """
    known = journal.load() if journal else {}
    yield from (known[subject.id] for subject in found if subject.id in known)
    waiting = [subject for subject in found if subject.id not in known]
    for result in spread(assignment, waiting, _grade, jobs):
        if journal:
            journal.add(result)
        yield result


def _grade(grader: Grader, subject: Subject) -> Result:
    """Grade the parts whose probes can come across what the subject changes; the others are the reference's."""
    reached = subject.reaches()
    if reached is None:
        return result_of(subject, grader.grade(subject.submission()))
    reference = _graded_reference(grader)
    chosen = [part.id for part in reference.parts if part.id.startswith(reached)]
    return result_of(subject, reference.replaced(grader.grade(subject.submission(), chosen)))


@functools.cache
def _graded_reference(grader: Grader) -> Report:
    return grader.grade(Subject("reference", Role.REFERENCE).submission())


_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


def spread(
    assignment: Assignment, items: Sequence[_Item], work: Callable[[Grader, _Item], _Done], jobs: int
) -> Iterator[_Done]:
    """What ``work``, a function of a module, makes of every item, in the order in which they are finished.

    Each process has a grader that shows hidden checks and remembers answers; with 0 ``jobs`` there is one, in this.
    """
    if jobs == 0:
        with Grader(assignment, show_hidden=True, memory=Memory()) as grader:
            yield from (work(grader, item) for item in items)
        return
    goldens_for(assignment)  # what is wrong with them is said once, and here
    batches = [items[i : i + _BATCH] for i in range(0, len(items), _BATCH)]
    with Crew[Sequence[_Item], list[_Done]](functools.partial(_begin, assignment, work), jobs) as crew:
        for batch in crew.run(batches):
            done = batch[1] if batch else []
            if isinstance(done, Lost):
                raise done.error
            yield from done


@contextlib.contextmanager
def _begin(
    assignment: Assignment, work: Callable[[Grader, _Item], _Done]
) -> Iterator[Callable[[Sequence[_Item]], list[_Done]]]:
    with Grader(assignment, show_hidden=True, memory=Memory()) as grader:
        yield lambda batch: [work(grader, item) for item in batch]

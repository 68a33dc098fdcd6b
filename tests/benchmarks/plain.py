"""A pytest plugin: the same checks as ours, with the student's code in pytest's own process, as a simple grader would.

``python -m pytest -p tests.benchmarks.plain --submission FOLDER grader/checks`` grades one submission.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from grader import locations
from grader.assignment import load_assignment
from grader.cases import Arrays
from grader.errors import CheckFailed
from grader.evaluator import Evaluator
from grader.oracle import goldens_for
from grader.session import Session
from grader.submission import load_submission, stage
from grader.worker.student import ProbeFailed, Student
from grader.written import FILE, read_written


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which submission."""
    parser.addoption("--submission", type=Path)


class _Here:
    """An interview in this process."""

    def __init__(self, folder: Path) -> None:
        self._student = Student(str(folder))

    def ask(self, probe: str, params: Mapping[str, Any], arrays: Arrays) -> tuple[Mapping[str, Any], Arrays]:
        module, _, name = probe.partition(".")
        try:
            facts, found = getattr(importlib.import_module(f"grader.probes.{module}"), name)(
                self._student, params, arrays
            )
        except ProbeFailed as failure:
            raise CheckFailed(failure.message) from None
        return facts, {name: getattr(array, "numpy", lambda array=array: array)() for name, array in found.items()}


@pytest.fixture(scope="session")
def graded(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The session that all checks share."""
    assignment = load_assignment(locations.default_assignment())
    goldens = goldens_for(assignment)
    submission = load_submission(request.config.getoption("--submission"), locations.pristine())
    with tempfile.TemporaryDirectory() as scratch:
        stage(submission, locations.pristine(), Path(scratch))
        here: Any = _Here(Path(scratch))
        evaluator = Evaluator(locations.pristine(), assignment.limits, goldens.public, lambda *_, **__: here)
        written = read_written(submission.files.get(FILE))
        yield Session(assignment, here, goldens.public, goldens.hidden, evaluator, written)


@pytest.fixture
def session(graded: Session, request: pytest.FixtureRequest) -> Session:
    """What a check asks."""
    graded.begin(request.node.name)
    return graded

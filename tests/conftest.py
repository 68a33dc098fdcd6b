"""What tests share: one warm grader, the reference as a submission, and a way to change single functions of it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.grade import Grader
from grader.report import CheckReport, Report
from grader.submission import Submission, load_submission

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
"""Real images and networks that are too large for the repository; tests that need them skip where they are absent."""

Graded = Callable[..., Report]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--class-size", type=int, default=20, help="students in tests/gradebook/test_class.py")


@pytest.fixture(scope="session")
def assignment() -> Assignment:
    """The course's rubric."""
    return load_assignment(locations.default_assignment())


@pytest.fixture(scope="session")
def grader(assignment: Assignment) -> Iterator[Grader]:
    """A grader that shows what hidden checks say."""
    with Grader(assignment, show_hidden=True) as grader:
        yield grader


@pytest.fixture(scope="session")
def reference() -> Submission:
    """The reference, as a student would hand it in."""
    return load_submission(ROOT / "reference", locations.pristine())


@pytest.fixture(scope="session")
def jpeg_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the 10,000 test images of CIFAR-10 as JPEG."""
    archive = SHARED_DATA / "cifar10-jpeg.zip"
    if not archive.is_file():
        given = Path(os.environ.get("CIFAR10_DIR", ""))
        if any((given / "test" / "cat").glob("*.jpg")):
            return given
        pytest.skip("the JPEG test images are neither beside the repository nor in $CIFAR10_DIR")
    folder = tmp_path_factory.mktemp("cifar10")
    with zipfile.ZipFile(archive) as images:
        images.extractall(folder, [name for name in images.namelist() if name.startswith("test/")])
    return folder


@pytest.fixture
def graded(grader: Grader, reference: Submission) -> Graded:
    """Grade the reference with code appended to its files: ``graded("1a", lab1_sparse_optimization="...")``."""

    def grade(*parts: str, **appended: str) -> Report:
        files = dict(reference.files)
        for module, code in appended.items():
            files[f"{module}.py"] += f"\n\n{code}\n".encode()
        return grader.grade(Submission("changed", files, ()), parts or None)

    return grade


def checks_of(report: Report) -> dict[str, CheckReport]:
    """All checks of a report by name."""
    return {check.name: check for part in report.parts for check in part.checks}

"""Run the pytest checks against one session, in this process, and note how each one ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest

from grader.assignment import Assignment
from grader.errors import AssignmentError, CheckFailed, CheckTimedOut, GraderError, InternalError
from grader.report import Outcome
from grader.session import Session

__all__ = ["CheckRunner", "Ending"]

_CHECKS = Path(__file__).resolve().parent / "checks"
_PREFIX = "check_"
# The judge runs in the user's directory, beside a submission: nothing there may configure pytest or load a plugin.
_ISOLATED = ("--noconftest", "--disable-plugin-autoload", f"--rootdir={_CHECKS}", f"-c{os.devnull}")
_UNUSED = ("terminal", "cacheprovider", "capture", "doctest", "faulthandler", "junitxml", "logging", "pastebin",
           "stepwise", "threadexception", "tmpdir", "unittest", "unraisableexception", "warnings")  # fmt: skip
_NAMES = ("-opython_files=*.py", f"-opython_functions={_PREFIX}*", "-opython_classes=", "--import-mode=append")
_OPTIONS = (*_ISOLATED, *(f"-pno:{name}" for name in _UNUSED), *_NAMES, "--assert=plain")


@dataclass(frozen=True)
class Ending:
    """How one check ended, and its title. ``failure`` holds what a failed one says."""

    title: str
    outcome: Outcome
    failure: CheckFailed | None = None
    message: str = ""


class _Plugin:
    """Keeps the checks that pytest has collected, gives them the session, and notes their endings."""

    def __init__(self) -> None:
        self._asked: Session | None = None
        self.endings: dict[str, Ending] = {}
        self.items: dict[str, pytest.Item] = {}

    def run(self, session: Session, chosen: Set[str]) -> Mapping[str, Ending]:
        """Run some of the checks, in the order in which they were collected; the endings by name."""
        self._asked, self.endings = session, {}
        items = [item for name, item in self.items.items() if name in chosen]
        # What a student's numbers become in our formulas is compared, whatever it is: no warning about it is needed.
        with np.errstate(over="ignore", invalid="ignore"):
            for item, following in zip(items, [*items[1:], None], strict=False):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return self.endings

    @pytest.fixture
    def session(self) -> Session:
        """What a check asks."""
        return self._session

    @property
    def _session(self) -> Session:
        if self._asked is None:
            raise InternalError("checks that were only collected cannot be run")
        return self._asked

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.items = {_name(item): item for item in items}

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        for needed in getattr(_function(item), "__needs__", ()):
            if self.endings[needed].outcome is not Outcome.PASSED:
                pytest.skip(f'builds on "{self.endings[needed].title}"')
        self._session.begin(_name(item))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Note the ending; pytest's own report would render tracebacks that nobody reads."""
        if call.excinfo is not None:
            self.endings[_name(item)] = _ending(_title(item), call.excinfo.value)
        elif call.when == "call":
            self.endings[_name(item)] = Ending(_title(item), Outcome.PASSED)
        outcome: Literal["passed", "failed"] = "passed" if call.excinfo is None else "failed"
        phase = cast(Literal["setup", "call", "teardown"], call.when)
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, phase)


def _function(item: pytest.Item) -> Callable[..., Any]:
    function: Callable[..., Any] = item.obj  # type: ignore[attr-defined]
    return function


def _name(item: pytest.Item) -> str:
    return item.name.removeprefix(_PREFIX)


def _title(item: pytest.Item) -> str:
    return (_function(item).__doc__ or _name(item)).strip().splitlines()[0]


def _ending(title: str, error: BaseException) -> Ending:
    if isinstance(error, pytest.skip.Exception):
        return Ending(title, Outcome.SKIPPED, message=str(error))
    if isinstance(error, CheckTimedOut):
        return Ending(title, Outcome.TIMEOUT, error)
    if isinstance(error, CheckFailed):
        return Ending(title, Outcome.FAILED, error)
    return Ending(title, Outcome.ERROR, message=f"{type(error).__name__}: {error}"[:500])


class CheckRunner:
    """Runs checks again and again; pytest collects them once.

    Args:
        assignment: the rubric.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._plugin = _Plugin()

    def run(
        self, session: Session, parts: Iterable[str], *, full: bool = False, rerun: bool = False
    ) -> Mapping[str, Ending]:
        """Run every check of ``parts``, with those of the full profile and of a re-run if asked; the endings by name.

        Raises:
            AssignmentError: the rubric names a check that does not exist, or a check exists without a part.
            GraderError: pytest could not run them.
        """
        self.require_known()
        chosen = [self._assignment.parts[part] for part in parts]
        names = {name for part in chosen for name in part.weights_with(full=full, rerun=rerun)}
        return self._plugin.run(session, names)

    def require_known(self) -> None:
        """Collect the checks without running them; see ``run`` for what is raised."""
        if not self._plugin.items:
            _collect(self._plugin)
            self._require_known(self._plugin.items.keys())

    def _require_known(self, found: Set[str]) -> None:
        """Rubric and code list the same checks; a student's kit lacks the hidden ones, a term may drop a part."""
        parts = self._assignment.parts.values()
        known = {name for part in parts for name in (*part.public, *part.full, *part.rerun)}
        hidden = {name for part in parts for name in part.hidden}
        has_hidden = (_CHECKS / "hidden").is_dir()
        if missing := sorted((known | (hidden if has_hidden else set())) - found):
            raise AssignmentError(f"the rubric names checks that do not exist: {', '.join(missing)}")
        if stray := sorted(found - known - hidden - self._assignment.left_out):
            raise AssignmentError(f"checks without a part in the rubric: {', '.join(stray)}")


def _collect(plugin: _Plugin) -> None:
    with _clean_environment():
        code = pytest.main([*_OPTIONS, "--collect-only", *_check_files()], plugins=[plugin])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise GraderError(f"the checks could not be collected: pytest ended with {code!r}")


def _check_files() -> list[str]:
    return [str(path) for folder in (_CHECKS, _CHECKS / "hidden") for path in sorted(folder.glob("*.py"))]


@contextmanager
def _clean_environment() -> Generator[None]:
    """Hide the variables through which a user's environment configures pytest."""
    hidden = {name: os.environ.pop(name) for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)

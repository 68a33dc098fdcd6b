"""The student's modules, as probes see them: imported on first use, every failure turned into words."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["ProbeFailed", "Student"]

_MESSAGE_LENGTH = 500


class ProbeFailed(Exception):
    """The student's code has no usable answer. ``kind`` is one of the ``KINDS`` of ``grader.session``."""

    def __init__(self, kind: str, message: str, frames: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message[:_MESSAGE_LENGTH]
        self.frames = frames


class Student:
    """The staged submission in the directory ``scratch``, which is this worker's current directory."""

    def __init__(self, scratch: str) -> None:
        self._scratch = os.path.realpath(scratch)
        self._staged = frozenset(os.listdir(scratch))  # now: its own code may remove them
        sys.path.insert(0, self._scratch)

    def module(self, name: str) -> ModuleType:
        """Import one of the staged modules.

        Raises:
            ProbeFailed: there is no such file, or importing it raises.
        """
        if f"{name}.py" not in self._staged:
            raise ProbeFailed("missing", f"{name}.py is not in the submission")
        try:
            return importlib.import_module(name)
        except BaseException as error:
            raise self._explain(error, "import", f"{name}.py cannot be imported: ") from None

    def attribute(self, module: str, name: str) -> Any:
        """A function, class or constant of one of the staged modules."""
        found = getattr(self.module(module), name, None)
        if found is None:
            raise ProbeFailed("missing", f"`{name}` is not defined in {module}.py")
        return found

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call student code; whatever it raises, SystemExit too, becomes a ProbeFailed."""
        try:
            return function(*args, **kwargs)
        except ProbeFailed:
            raise
        except BaseException as error:
            raise self._explain(error, "raised", "") from None

    def _explain(self, error: BaseException, kind: str, prefix: str) -> ProbeFailed:
        frames = self._student_frames(error)
        if isinstance(error, NotImplementedError):
            task = str(error) or f"`{frames[-1].rpartition(' in ')[2]}` is still to be written" if frames else ""
            return ProbeFailed("unwritten", task or "a function is still to be written")
        try:
            text = str(error).strip().replace("\n", " ")
        except BaseException:  # its __str__ is a student's too
            text = ""
        if isinstance(error, SyntaxError):
            where = f"{os.path.basename(error.filename or '?')} line {error.lineno}"
            return ProbeFailed(kind, f"{prefix}syntax error in {where}: {error.msg}")
        return ProbeFailed(
            kind, f"{prefix}{type(error).__name__}: {text}" if text else f"{prefix}{type(error).__name__}", frames
        )

    def _student_frames(self, error: BaseException) -> tuple[str, ...]:
        """The frames of the traceback that lie in the submission, innermost last; ours mean nothing to a student."""
        frames = traceback.extract_tb(error.__traceback__)
        return tuple(
            f"{os.path.basename(frame.filename)} line {frame.lineno}, in {frame.name}: {frame.line}"[:200]
            for frame in frames
            if os.path.isfile(frame.filename) and os.path.realpath(frame.filename).startswith(self._scratch + os.sep)
        )[-6:]

"""What pytest runs in the judge: one file per lab, one function per property.

A function ``check_NAME(session)`` is the check NAME of assignment.toml. Its docstring is the title that the student
reads. It asks ``session`` for answers and raises CheckFailed, through the comparators of ``compare``, where a property
does not hold. ``checks/hidden`` holds those that use hidden cases; a student's kit is built without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["needs"]

_Check = TypeVar("_Check", bound=Callable[..., Any])


def needs(*names: str) -> Callable[[_Check], _Check]:
    """Skip a check, without points, unless these earlier checks of the same part passed."""

    def mark(check: _Check) -> _Check:
        check.__needs__ = names  # type: ignore[attr-defined]
        return check

    return mark

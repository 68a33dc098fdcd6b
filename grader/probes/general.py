"""Probes of no lab in particular."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from grader.probes.plain import Array, Params, Reply
from grader.worker.student import Student

__all__ = ["load", "modules"]


def load(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Import one of the staged modules."""
    student.module(params["module"])
    return {}, {}


def modules(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """What is loaded in this process; a test asks it that nothing of the judge is."""
    return {"modules": sorted(sys.modules)}, {}

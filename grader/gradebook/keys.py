"""What a result depends on, besides the submission: digests of the rubric, of the checks, and of the reference."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from grader import locations
from grader.assignment import Assignment

__all__ = ["Keys", "digest_of", "keys_of", "rubric_key"]

_NO_MATTER = frozenset(
    {
        "__pycache__",
        "class_commands.py",
        "cli.py",
        "doctor.py",
        "full_options.py",
        "gradebook",
        "render",
        "run_commands.py",
        "runs",
        "terms",
        "verify",
        "watch.py",
    }
)
"""What of the grader no result depends on: it shows results, or proves the grader."""


class Keys(NamedTuple):
    """Digests; a result of other ones is history."""

    rubric: str
    checks: str
    reference: str


def rubric_key(assignment: Assignment) -> str:
    """The key of a rubric, less what changes no result: what being late costs, and the full experiments."""
    rubric = assignment.model_dump(mode="json", exclude={"late", "left_out", "training", "experiments"})
    told = json.dumps([rubric, sorted(assignment.left_out)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def keys_of(assignment: Assignment) -> Keys:
    """The keys of everything that is graded now."""
    root = locations.instructor_folder("reference").parent
    grader = [path for path in sorted((root / "grader").iterdir()) if path.name not in _NO_MATTER]
    checks = [*grader, root / "fixtures" / "public", root / "fixtures" / "hidden", root / "student_template"]
    return Keys(rubric_key(assignment), digest_of(checks, root), digest_of([root / "reference"], root))


def digest_of(places: Iterable[Path], root: Path) -> str:
    """A digest of the files at and below some places, and of their names below ``root``."""
    digest = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                digest.update(f"{path.relative_to(root).as_posix()}:{len(content)}:".encode() + content)
    return digest.hexdigest()

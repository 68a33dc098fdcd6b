"""Expected outputs: the goldens that fit the term, or the reference through the same probes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from grader import locations
from grader.assignment import Assignment
from grader.cases import CaseSet, load_cases
from grader.diagnosis.hypotheses import Hypotheses, load_hypotheses
from grader.errors import GraderError, InternalError

__all__ = ["Goldens", "goldens_for", "term_key"]


@dataclass(frozen=True)
class Goldens:
    """The cases that students may see, and those that they may not (None outside the instructor's checkout).

    ``mistakes`` are what known mistakes answer to the public ones.
    """

    public: CaseSet
    hidden: CaseSet | None
    mistakes: Hypotheses


def term_key(assignment: Assignment) -> str:
    """What goldens depend on: a digest of the term's parameters."""
    return hashlib.sha256(assignment.term.model_dump_json().encode()).hexdigest()[:16]


def goldens_for(assignment: Assignment) -> Goldens:
    """The committed goldens, or, for a term with other numbers, ones made now and kept in the user's cache.

    Raises:
        InternalError: the committed goldens are missing or damaged.
        GraderError: another term needs the reference, and this is a student's installation.
    """
    folder = locations.fixtures()
    public = load_cases(folder / "public")
    if public.key == term_key(assignment):
        hidden = folder / "hidden"
        mistakes = load_hypotheses(folder / "public")
        return Goldens(public, load_cases(hidden) if hidden.is_dir() else None, mistakes)
    return _made_for(assignment)


def _made_for(assignment: Assignment) -> Goldens:
    try:
        from grader.authoring.fixtures import build, source_key
    except ModuleNotFoundError:
        raise GraderError("the goldens of this term are not here: ask your instructor for its kit") from None
    folder = locations.cache_folder() / f"{term_key(assignment)}-{source_key()}"
    try:
        return _loaded(folder)
    except InternalError:
        build(assignment, folder)
        return _loaded(folder)


def _loaded(folder: Path) -> Goldens:
    mistakes = load_hypotheses(folder / "public")
    return Goldens(load_cases(folder / "public"), load_cases(folder / "hidden"), mistakes)

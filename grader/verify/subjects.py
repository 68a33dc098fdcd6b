"""What ``grader verify`` grades: the reference, the template, every entry of the catalogue, and pairs of mistakes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from grader import locations
from grader.assignment import Assignment
from grader.catalogue import Entry, Kind, all_entries, with_entries
from grader.catalogue.validation import validate
from grader.checks import tolerances
from grader.errors import CatalogueError
from grader.memory import labs_that_reach
from grader.run_checks import CheckRunner
from grader.submission import EDITABLE, Submission

__all__ = ["PAIRS", "Role", "Subject", "checked_entries", "reference_files", "select", "subjects"]

PAIRS = 200
_LETTERS = {"lab1": ("1",), "lab2": ("2",), "lab3": ("3", "b"), "answers": ("p",)}
"""First letters of the ids of the parts of a lab."""
_SEED = 20260101


class Role(StrEnum):
    """What a subject stands for."""

    REFERENCE = "reference"
    TEMPLATE = "template"
    MISCONCEPTION = "misconception"
    EQUIVALENT = "equivalent"
    NEAR_MISS = "near miss"
    PAIR = "pair"


@dataclass(frozen=True)
class Subject:
    """One submission with a known verdict."""

    id: str
    role: Role
    entries: tuple[Entry, ...] = ()

    @property
    def fails(self) -> frozenset[str]:
        """The checks that must fail."""
        return frozenset().union(*(entry.fails for entry in self.entries))

    @property
    def may_fail(self) -> frozenset[str]:
        """The checks whose outcome is free."""
        return frozenset().union(*(entry.may_fail for entry in self.entries))

    def submission(self) -> Submission:
        """The files, as they would be handed in."""
        folder = locations.pristine() if self.role is Role.TEMPLATE else locations.instructor_folder("reference")
        return Submission(self.id, with_entries(_files(folder), self.entries), ())

    def reaches(self) -> tuple[str, ...] | None:
        """First letters of the ids of the parts that can come out otherwise than the reference's; None for all."""
        if not self.entries:
            return None
        files = {Path(name).stem: code for name, code in self.submission().files.items() if name.endswith(".py")}
        files["resnet20"] = (locations.pristine() / "resnet20.py").read_bytes()
        changed = {entry.module for entry in self.entries}
        labs = {lab for module in changed for lab in labs_that_reach(module, files)}
        return tuple(sorted({letter for name in {*labs, *changed} for letter in _LETTERS.get(name, ())}))


def _files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in EDITABLE}


def reference_files() -> dict[str, bytes]:
    """The reference's files by name."""
    return _files(locations.instructor_folder("reference"))


def checked_entries(assignment: Assignment) -> list[Entry]:
    """The whole catalogue.

    Raises:
        AssignmentError: the rubric names a check that does not exist, or the other way round.
        CatalogueError: an entry names a function or a check that does not exist, or lacks a word of explanation.
    """
    CheckRunner(assignment).require_known()
    entries = list(all_entries())
    checks = {name for part in assignment.parts.values() for name in part.weights}
    validate(entries, reference_files(), checks, {name for name in vars(tolerances) if name.isupper()})
    return entries


def subjects(assignment: Assignment, pairs: int = PAIRS) -> list[Subject]:
    """All of them, in a fixed order; see ``checked_entries`` for what is raised."""
    entries = checked_entries(assignment)
    return [
        Subject("reference", Role.REFERENCE),
        Subject("student_template", Role.TEMPLATE),
        *(Subject(entry.id, Role(entry.kind.value), (entry,)) for entry in entries),
        *_pairs([entry for entry in entries if entry.kind is Kind.MISCONCEPTION], pairs),
    ]


def _pairs(entries: Sequence[Entry], count: int) -> Iterator[Subject]:
    """A seeded sample of two misconceptions in different functions."""
    chooser = random.Random(_SEED)
    seen: set[frozenset[str]] = set()
    while len(seen) < count:
        first, second = chooser.sample(entries, 2)
        pair = frozenset({first.id, second.id})
        if pair not in seen and not first.replaces & second.replaces:
            seen.add(pair)
            yield Subject(f"{first.id} + {second.id}", Role.PAIR, (first, second))


def select(found: Sequence[Subject], prefixes: Sequence[str]) -> list[Subject]:
    """The subjects whose id is one of ``prefixes``, or else begins with it.

    Raises:
        CatalogueError: a prefix fits none.
    """
    chosen: set[str] = set()
    for prefix in prefixes:
        fitting = {subject.id for subject in found if subject.id.startswith(prefix)}
        if not fitting:
            raise CatalogueError(f"--only {prefix}: the catalogue has no such entry")
        chosen |= {prefix} if prefix in fitting else fitting
    return [subject for subject in found if subject.id in chosen]

"""A class as it is handed in: half of it right in its own way, half with mistakes, and a few who attack."""

from __future__ import annotations

import functools
import json
import random
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from grader import locations
from grader.assignment import load_assignment
from grader.catalogue import Entry, Kind, all_entries, with_entries
from grader.submission import EDITABLE
from tests.hostile.attacks import ATTACKS, source

LAB1 = "lab1_sparse_optimization.py"

HOSTILE = (
    "the reference", "writing outside", "another program", "TCP", "a daemon", "a fork bomb", "numpy takes memory",
    "many large files", "an exit that looks like success", "a crash",
)  # fmt: skip
"""The attacks of the class, ten at most; none of them waits for a deadline."""

NO_NOTEBOOK = frozenset({"equivalents_lab1.solver_class"})
"""Right, but cells are not run when a notebook is read, and its helper is an object that a cell makes."""

# Where the attacks aim: nothing of it is there, or is ours.
_WORLD = {"reference": str(locations.instructor_folder("reference") / LAB1), "outside": "/tmp/grader-outside",
          "tcp": 9, "daemon": "grader-daemon"}  # fmt: skip


class Intent(StrEnum):
    """What a student handed in."""

    RIGHT = "right"
    FLAWED = "flawed"
    HOSTILE = "hostile"


@dataclass(frozen=True)
class Member:
    """A student of the class: the files, and for an attacker the files without the attack."""

    key: str
    intent: Intent
    files: Mapping[str, bytes]
    honest: Mapping[str, bytes]


def members(count: int, hostile: int, seed: int = 1) -> Iterator[Member]:
    """``count`` students of whom ``hostile`` attack and half of the others are right; no two have the same files."""
    dice = random.Random(seed)
    entries = sorted(all_entries(), key=lambda entry: entry.id)
    right = [entry for entry in entries if _has_full_marks(entry)]
    wrong = [entry for entry in entries if entry.kind is Kind.MISCONCEPTION and entry.fails & _scored()]
    reference = {name: (locations.instructor_folder("reference") / name).read_bytes() for name in EDITABLE}
    kinds = [Intent.HOSTILE] * hostile
    kinds += [(Intent.RIGHT, Intent.FLAWED)[i % 2] for i in range(count - hostile)]
    dice.shuffle(kinds)
    attacks = {attack.name: attack for attack in ATTACKS}
    for number, kind in enumerate(kinds):
        pool = wrong if kind is Intent.FLAWED else right
        files = with_entries(reference, _compatible(dice, pool, dice.randint(1, 3)))
        files = {name: content + f"\n# {number}\n".encode() for name, content in files.items()}
        honest = files
        if kind is Intent.HOSTILE:
            attack = attacks[HOSTILE[kinds[:number].count(kind) % len(HOSTILE)]]
            honest = {**files, LAB1: files[LAB1] + b"\ndef gradient(X, y, w): raise RuntimeError\n"}
            files = {**files, LAB1: files[LAB1] + source(attack, _WORLD).encode()}
        yield Member(f"student{number:04}", kind, files, honest)


def _has_full_marks(entry: Entry) -> bool:
    return entry.kind is Kind.EQUIVALENT and not entry.fails and entry.id not in NO_NOTEBOOK


@functools.cache
def _scored() -> frozenset[str]:
    """The checks that earn points; a mistake that only others see is noted and costs nothing."""
    parts = load_assignment(locations.default_assignment()).parts.values()
    return frozenset(check for part in parts for check, weight in part.weights.items() if weight)


def _compatible(dice: random.Random, pool: list[Entry], count: int) -> list[Entry]:
    """Some entries in different files: two right ways need not get along with each other in one."""
    chosen: list[Entry] = []
    for entry in dice.sample(pool, len(pool)):
        if len(chosen) < count and entry.file not in {other.file for other in chosen}:
            chosen.append(entry)
    return chosen


def hand_in(member: Member, folder: Path, number: int) -> None:
    """Write what a student hands in: mostly a directory, sometimes a zip or a notebook with the rest beside it."""
    if number % 5 == 1:
        with zipfile.ZipFile(folder / f"{member.key}.zip", "w") as archive:
            for name, content in member.files.items():
                archive.writestr(f"hw4/{name}", content)
        return
    own = folder / member.key
    own.mkdir()
    labs = [name for name in member.files if name.endswith(".py")]
    for name, content in member.files.items():
        if number % 5 != 2 or name not in labs:
            (own / name).write_bytes(content)
    if number % 5 == 2 and member.intent is not Intent.HOSTILE:
        cells = [{"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [], "execution_count": None,
                  "source": member.files[name].decode()} for i, name in enumerate(labs)]  # fmt: skip
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (own / "hw4.ipynb").write_text(json.dumps(notebook))
    else:
        for name in labs:
            (own / name).write_bytes(member.files[name])


def make_real_class(folder: Path, count: int, hostile: int) -> list[Member]:
    """Write a class to a folder."""
    folder.mkdir(parents=True)
    found = list(members(count, hostile))
    for number, member in enumerate(found):
        hand_in(member, folder, number)
    return found

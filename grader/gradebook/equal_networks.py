"""Networks that different students handed in alike: a note for the instructor, which no points depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.files import write_atomically
from grader.gradebook.grades import Grade, Student
from grader.gradebook.sheets import csv_lines, harmless

__all__ = ["EqualNetworks", "Holder", "write_equal_networks"]

_COLUMNS = ("group", "student", "name", "email", "part", "file", "digest")


@dataclass(frozen=True, slots=True)
class Holder:
    """A student with one of the networks that somebody else has, too."""

    student: Student
    part: str
    file: str


class EqualNetworks:
    """The trained networks of a class, from grades that are added one by one.

    Equal are networks with equal prunable weights, whatever the files are called and however they were saved. What
    anybody gets from the pre-trained network without training is left out, and so is what students share who handed in
    together.
    """

    def __init__(self) -> None:
        self._holders: dict[str, dict[tuple[str, str], Holder]] = {}
        self._hand_ins: dict[str, set[str]] = {}

    def add(self, grade: Grade) -> None:
        """Note the networks of one more student."""
        for row in grade.report.measurements if grade.report and grade.hand_in else ():
            if row.digest and not row.untrained and grade.hand_in:
                holder = Holder(grade.student, row.part, row.network)
                self._holders.setdefault(row.digest, {}).setdefault((grade.student.key, row.network), holder)
                self._hand_ins.setdefault(row.digest, set()).add(grade.hand_in.path)

    def __bool__(self) -> bool:
        """Whether anybody handed in a trained network at all."""
        return bool(self._holders)

    def groups(self) -> dict[str, Sequence[Holder]]:
        """By digest, who has each network that was handed in more than once; in the order of the gradebook."""
        return {
            digest: list(holders.values())
            for digest, holders in self._holders.items()
            if len(self._hand_ins[digest]) > 1
        }


def write_equal_networks(networks: EqualNetworks, out: Path) -> None:
    """Write a row for each holder of an equal network; of a class that handed in no networks there is no such file.

    Raises:
        GraderError: ``out`` cannot be written.
    """
    if networks:
        write_atomically(out, csv_lines([_COLUMNS, *_rows(networks)]))
    else:
        out.unlink(missing_ok=True)


def _rows(networks: EqualNetworks) -> Iterator[Sequence[str]]:
    for number, (digest, holders) in enumerate(networks.groups().items(), 1):
        for holder in holders:
            who = holder.student
            told = map(harmless, (who.key, who.name, who.email, holder.part, holder.file))
            yield (str(number), *told, digest)

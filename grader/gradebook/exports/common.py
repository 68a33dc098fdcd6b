"""What exporters share: which grades may be handed on, what an export says of itself, the words about a check."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from grader.gradebook.grades import Grade, Status, Total
from grader.render.view import clip, format_points, is_note
from grader.report import CheckReport, Report

__all__ = ["Exported", "Tally", "feedback", "lost_points"]

_GAPS = {
    Status.FAULT: "a fault of the grader",
    Status.WAITING: "not graded yet",
    Status.MISSING: "nothing handed in",
}
_UNREAD = "written answers wait for a person"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Args:
        path: the file, or the folder.
        count: how many students have points in it.
        notes: sentences that the instructor should read.
    """

    path: Path
    count: int
    notes: tuple[str, ...] = ()


class Tally:
    """Decides whose points are handed on, and counts both.

    Args:
        provisional: hand on points to which those for written answers may still be added.
    """

    def __init__(self, *, provisional: bool = False) -> None:
        self._provisional = provisional
        self._gaps: Counter[str] = Counter()
        self.count = 0
        """How many points were handed on."""

    def points(self, grade: Grade, total: Total) -> float | None:
        """The points of a student; None where they are not final, which is never a zero."""
        if total.points is not None and (self._provisional or total.is_final):
            self.count += 1
            return total.points
        self._gaps[_GAPS.get(grade.status, _UNREAD)] += 1
        return None

    def notes(self) -> tuple[str, ...]:
        """A sentence on those who have no points, if there are any."""
        if not self._gaps:
            return ()
        reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(self._gaps.items()))
        return (f"Without points, never a zero: {self._gaps.total()} ({reasons}).",)


def feedback(check: CheckReport) -> str:
    """What a student reads about a check, as plain text; empty where there is nothing to say."""
    labelled = (
        ("", check.message),
        ("Expected: ", check.expected),
        ("Received: ", check.received),
        ("Why: ", check.diagnosis),
        ("Advice: ", check.advice),
    )
    return "\n".join(f"{label}{clip(text)}" for label, text in labelled if text)


def lost_points(report: Report) -> list[str]:
    """A line for each part that did not get its full automatic points, with the titles of what cost them."""
    lines = []
    for part in report.parts:
        lost = [c.title.rstrip(".") for c in part.checks if not is_note(c) and c.points < c.max_points]
        if lost and not part.bonus:
            points = f"{format_points(part.score)}/{format_points(part.max_score)}"
            lines.append(f"{part.id}  {points}: {'; '.join(lost)}")
    return lines

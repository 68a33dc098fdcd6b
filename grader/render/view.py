"""What a page and a terminal show alike: text made safe, points as they are written, checks put together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from grader.report import CheckReport, Measurement, Outcome, PartReport, Report

__all__ = [
    "LABS",
    "automatic_score",
    "bonus_points",
    "clean",
    "clip",
    "counted",
    "findings",
    "format_measured",
    "format_points",
    "is_failed_note",
    "is_note",
    "lab_of",
    "lab_points",
    "measured_cells",
]

LABS = ("Problem 1", "Lab 1", "Lab 2", "Lab 3", "Bonus")
"""Every group of parts, in the assignment's order."""

_MESSAGE_LINES = 20
_LINE_LENGTH = 600

# OSC, DCS and their like run to a terminator; CSI and two-byte sequences have a fixed grammar.
_ESCAPE_SEQUENCE = re.compile(
    r"\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]?", re.MULTILINE
)


def clean(text: str) -> str:
    """Text that cannot steer a terminal or reorder a line: no escapes, control or invisible characters."""
    if text.isprintable():  # most texts are, and newlines are not
        return text
    text = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    text = re.sub("[\r\v\f\x85\u2028\u2029]", "\n", text).replace("\t", "    ")
    return "\n".join(line if line.isprintable() else _visible(line) for line in text.split("\n"))


def _visible(line: str) -> str:
    return "".join(c for c in line if not unicodedata.category(c).startswith("C"))


def clip(text: str) -> str:
    """A message that is safe and no longer than a person reads: a submission may say anything."""
    lines = clean(text).strip("\n").split("\n")
    kept = [line if len(line) <= _LINE_LENGTH else line[:_LINE_LENGTH] + " ..." for line in lines[:_MESSAGE_LINES]]
    return "\n".join(kept if len(lines) <= _MESSAGE_LINES else [*kept, "..."])


def format_points(points: float) -> str:
    """At most two decimals and no trailing zeros: ``2``, ``0.5``, ``0.33``."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def measured_cells(row: Measurement) -> tuple[float | None, ...]:
    """Accuracy, drop, reported accuracy and zeros of a network, in percent."""
    return row.accuracy, row.drop, row.reported, None if row.sparsity is None else 100 * row.sparsity


def format_measured(value: float | None) -> str:
    """Two decimals, as accuracies are reported; nothing for what there is not."""
    return "" if value is None else f"{value:.2f}"


def counted(count: float, noun: str) -> str:
    """``1 point``, ``2 points``."""
    return f"{format_points(count)} {noun}" if count == 1 else f"{format_points(count)} {noun}s"


def is_note(check: CheckReport) -> bool:
    """Whether the check informs and never scores."""
    return check.max_points == 0


def is_failed_note(check: CheckReport) -> bool:
    """Whether the check found something that the student should read though it never scores."""
    return is_note(check) and check.outcome in (Outcome.FAILED, Outcome.TIMEOUT)


def bonus_points(report: Report) -> tuple[float, float]:
    """Bonus points earned and possible."""
    bonus = [part for part in report.parts if part.bonus]
    return sum(part.score for part in bonus), sum(part.max_score for part in bonus)


def automatic_score(report: Report) -> float:
    """The automatic points without the bonus, to be read against ``report.max_score``."""
    return report.score - bonus_points(report)[0]


def lab_of(part: PartReport) -> str:
    """The one of LABS that a part belongs to."""
    if part.bonus:
        return "Bonus"
    return {"1": "Lab 1", "2": "Lab 2", "3": "Lab 3"}.get(part.id[:1], "Problem 1")


def lab_points(report: Report) -> dict[str, tuple[float, float]]:
    """Points earned and possible for each lab that the report holds, in the assignment's order."""
    totals = dict.fromkeys(LABS, (0.0, 0.0))
    present = {lab_of(part) for part in report.parts}
    for part in report.parts:
        score, possible = totals[lab_of(part)]
        totals[lab_of(part)] = (score + part.score, possible + part.max_score)
    return {lab: totals[lab] for lab in LABS if lab in present}


def findings(checks: Iterable[CheckReport]) -> list[list[CheckReport]]:
    """Checks that say the same, together: a function still to be written is one finding, not six."""
    groups: dict[tuple[object, ...], list[CheckReport]] = {}
    for check in checks:
        said = (check.outcome, check.hidden, check.message, check.diagnosis, check.advice)
        groups.setdefault(said, []).append(check)
    return list(groups.values())

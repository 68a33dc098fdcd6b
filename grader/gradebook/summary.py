"""What a terminal says of a class that was graded: what needs attention first, then how the class did."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from grader.gradebook.equal_networks import EqualNetworks
from grader.gradebook.figures import Bin, CheckFigures, Group
from grader.gradebook.grades import Status, Student, Unclaimed
from grader.gradebook.statistics import Statistics
from grader.render.pen import Pen
from grader.render.view import counted, format_points

__all__ = ["print_class"]

_HARDEST = 5
_MISTAKES = 3
_UNCLAIMED = 10
_EQUAL_NETWORKS = 5
_WIDEST_BAR = 40
_NAME_ROOM = 36
_REASON_ROOM = 320
_WORDS = {
    Status.GRADED: "graded",
    Status.UNUSABLE: "not gradable",
    Status.FAULT: "with a fault of the grader",
    Status.WAITING: "not graded yet",
    Status.MISSING: "without a submission",
}


def print_class(statistics: Statistics, unclaimed: Sequence[Unclaimed], console: Console) -> None:
    """Print the figures of a class on any console from 60 columns."""
    pen = Pen(console)
    _print_group("Faults of the grader: never a zero, to be graded again", statistics.faults, "bold red", pen)
    _print_group("Could not be graded", statistics.unusable, "bold yellow", pen)
    _print_unclaimed(unclaimed, pen)
    _print_equal_networks(statistics.networks, pen)
    _print_counts(statistics, pen)
    _print_totals(statistics, pen)
    _print_checks(statistics.hardest()[:_HARDEST], pen)
    _print_mistakes(statistics, pen)
    _print_slowest(statistics, pen)
    console.print()


def _print_group(title: str, group: Group, style: str, pen: Pen) -> None:
    if group.count:
        pen.heading(f"{title} ({group.count})", style)
        _print_pairs([(_name(student), words) for student, words in group.first], group.count, pen)


def _print_unclaimed(unclaimed: Sequence[Unclaimed], pen: Pen) -> None:
    if unclaimed:
        pen.heading(f"Worth a look in the folder ({len(unclaimed)})", "bold yellow")
        _print_pairs([(item.path, item.reason) for item in unclaimed[:_UNCLAIMED]], len(unclaimed), pen)


def _print_equal_networks(networks: EqualNetworks, pen: Pen) -> None:
    groups = list(networks.groups().values())
    if groups:
        pen.heading(f"Equal networks of different students ({len(groups)}): no points depend on it", "bold yellow")
    for holders in groups[:_EQUAL_NETWORKS]:
        told = "; ".join(f"{_name(one.student)}: {one.file} ({one.part})" for one in holders)
        pen.print(pen.shortened(told, _REASON_ROOM), indent=2)
    if len(groups) > _EQUAL_NETWORKS:
        pen.line(f"and {len(groups) - _EQUAL_NETWORKS} more, all in equal_networks.csv", "dim", indent=2)


def _print_pairs(pairs: Sequence[tuple[str, str]], count: int, pen: Pen) -> None:
    """A name and a few words on each line, and how many there are besides."""
    for name, words in pairs:
        reason = pen.shortened(words, _REASON_ROOM)
        pen.print(pen.shortened(name, _NAME_ROOM, "bold"), Text(": " if words else ""), reason, indent=2)
    if count > len(pairs):
        pen.line(f"and {count - len(pairs)} more", "dim", indent=2)


def _print_counts(statistics: Statistics, pen: Pen) -> None:
    pen.heading(counted(statistics.students, "student"))
    said = [f"{statistics.counts[status]} {words}" for status, words in _WORDS.items() if statistics.counts[status]]
    if said:
        pen.line(", ".join(said), indent=2)
    if waiting := statistics.waiting.count:
        answers = counted(statistics.waiting_answers, "written answer")
        pen.line(f"{answers} of {counted(waiting, 'student')} still to be graded by hand", indent=2)
    if late := statistics.late.count:
        pen.line(f"{late} late, which cost {counted(statistics.points_lost, 'point')} in all", indent=2)


def _print_totals(statistics: Statistics, pen: Pen) -> None:
    totals, automatic = statistics.totals(), statistics.automatic()
    if totals is None or automatic is None:
        return
    pen.heading("Totals")
    lower, upper = format_points(totals.lower_quartile), format_points(totals.upper_quartile)
    mean, median = format_points(totals.mean), format_points(totals.median)
    pen.line(f"mean {mean}, median {median}, middle half {lower} to {upper}", indent=2)
    pen.line(f"automatic points: mean {format_points(automatic.mean)}", "dim", indent=2)
    for bin in _trimmed(totals.bins):
        _print_bin(bin, max(bin.count for bin in totals.bins), pen)


def _trimmed(bins: Sequence[Bin]) -> Sequence[Bin]:
    """Without the empty ones at both ends."""
    filled = [i for i, bin in enumerate(bins) if bin.count]
    return bins[filled[0] : filled[-1] + 1]


def _print_bin(bin: Bin, most: int, pen: Pen) -> None:
    width = min(_WIDEST_BAR, pen.width - 24)
    filled = max(round(width * bin.count / most), 1) if bin.count else 0
    label = f"{format_points(bin.low):>5}–{format_points(bin.high):<5}"
    pen.print(pen.text(label, "dim"), pen.text("━" * filled, "cyan"), pen.text(f" {bin.count or ''}"), indent=2)


def _print_checks(hardest: Sequence[CheckFigures], pen: Pen) -> None:
    if hardest:
        pen.heading("Hardest checks, by the share that passes")
    for check in hardest:
        share = pen.text(f"{check.passed / check.ran:4.0%} ", "bold")
        title = pen.shortened(check.title.replace("`", ""), max(pen.width - 16, 20))
        pen.print(share, pen.text(f"{check.part:6}", "dim"), title, indent=2)


def _print_mistakes(statistics: Statistics, pen: Pen) -> None:
    diagnoses = statistics.diagnoses()[:_MISTAKES]
    if diagnoses:
        pen.heading("Most frequent mistakes, by students")
    for diagnosis in diagnoses:
        count = pen.text(f"{diagnosis.group.count:4} ", "bold")
        pen.print(count, pen.shortened(diagnosis.title.replace("`", ""), max(pen.width - 10, 20)), indent=2)


def _print_slowest(statistics: Statistics, pen: Pen) -> None:
    median = statistics.median_seconds()
    if median is not None:
        pen.heading(f"Grading took {median:.1f} s a submission (median); the slowest")
    for student, seconds in statistics.slowest():
        pen.print(pen.text(f"{seconds:6.1f} s  "), pen.shortened(_name(student), _NAME_ROOM), indent=2)


def _name(student: Student) -> str:
    return " ".join(dict.fromkeys((student.key, student.name))).rstrip()

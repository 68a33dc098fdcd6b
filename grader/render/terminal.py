"""Reports on a terminal: 80 columns, with or without colour, in UTF-8 or in what the console can show."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from grader.render.pen import BAR_WIDTH, Pen
from grader.render.view import (
    LABS,
    automatic_score,
    bonus_points,
    clean,
    clip,
    counted,
    findings,
    format_measured,
    format_points,
    is_failed_note,
    is_note,
    lab_of,
    lab_points,
    measured_cells,
)
from grader.report import CheckReport, ManualItem, Measurement, Outcome, PartReport, Report

__all__ = ["print_report", "print_summary"]

_WIDE = 100
"""Columns from which a summary has room for whole names; on fewer they are cut to fit on their line."""
_SHORTEST_NAME = 12


def print_report(report: Report, console: Console) -> None:
    """Print all that a student or an instructor should read about one submission."""
    pen = Pen(console)
    _print_header(report, pen)
    _print_parts(report, pen)
    _print_measurements(report.measurements, pen)
    _print_errors(report, pen)
    _print_failures(report, pen)
    _print_notes(report, pen)
    _print_manual(report.manual, pen)
    if report.notes:
        pen.heading("About this run")
        for note in report.notes:
            pen.line(note, indent=2)
    console.print()


def print_summary(reports: Sequence[Report], console: Console) -> None:
    """Print one row for each submission: its score, its bonus, and its points by lab.

    Names are never wrapped on less than 100 columns: the end of a long one gives way to an ellipsis.
    """
    pen = Pen(console)
    labs = [lab for lab in LABS if any(lab in lab_points(report) for report in reports)]
    titles = ["Score", *("P1" if lab == "Problem 1" else lab for lab in labs)]
    rows = [_summary_row(report, labs, pen) for report in reports]
    wide = pen.width >= _WIDE
    room = _room_for_names(titles, rows, pen)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Submission", overflow="fold", no_wrap=not wide)
    for title in titles:
        table.add_column(title, justify="right", overflow="fold")
    for report, row in zip(reports, rows, strict=True):
        table.add_row(_full_name(report, pen) if wide else _short_name(report, room, pen), *row)
    pen.table(table)
    if not wide and any(report.has_error() for report in reports):
        pen.line("! Not final: the grader itself failed on some checks.", "bold red")


def _print_header(report: Report, pen: Pen) -> None:
    bonus, bonus_max = bonus_points(report)
    by_hand = sum(part.manual_max for part in report.parts)
    pen.print(pen.text(report.submission, "bold"), pen.text(f"   {report.profile} profile", "dim"))
    score = automatic_score(report)
    points = pen.text(f"{format_points(score)} / {format_points(report.max_score)}", "bold")
    pen.print(points, Text("  "), pen.bar(score, report.max_score, 24), pen.text("  automatic points"))
    beside = [f"bonus + {format_points(bonus)} / {format_points(bonus_max)}"] if bonus_max else []
    beside += [f"by hand up to {format_points(by_hand)}"] if by_hand else []
    if beside:
        pen.line("   ".join(beside))
    if report.has_error():
        pen.line("Not final: the grader itself failed on some checks.", "bold red")


def _print_parts(report: Report, pen: Pen) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Part", no_wrap=True)
    table.add_column("Title", overflow="fold")
    table.add_column("", no_wrap=True, min_width=BAR_WIDTH)
    for title in ("Points", "By hand"):
        table.add_column(title, justify="right", overflow="fold")
    table.add_column("Checks", overflow="fold")
    for i, part in enumerate(report.parts):
        if i and lab_of(part) != lab_of(report.parts[i - 1]):
            table.add_section()
        table.add_row(*_part_row(part, pen))
    pen.table(table)


def _part_row(part: PartReport, pen: Pen) -> list[Text]:
    points = f"{format_points(part.score)}/{format_points(part.max_score)}"
    by_hand = f"+{format_points(part.manual_max)}" if part.manual_max else ""
    bar = pen.bar(part.score, part.max_score) if part.max_score else Text("")
    return [
        pen.text(part.id, "bold"),
        pen.text(part.title),
        bar,
        pen.text(points),
        pen.text(by_hand, "dim"),
        _counts(part, pen),
    ]


def _counts(part: PartReport, pen: Pen) -> Text:
    outcomes = [check.outcome for check in part.checks if not is_note(check)]
    errors = sum(check.outcome is Outcome.ERROR for check in part.checks)
    failed = outcomes.count(Outcome.FAILED) + outcomes.count(Outcome.TIMEOUT)
    skipped = outcomes.count(Outcome.SKIPPED)
    counts = ((errors, "error", "bold red"), (failed, "failed", "red"), (skipped, "skipped", "dim"))
    said = [pen.text(f"{count} {word}", style) for count, word, style in counts if count]
    return Text(", ").join(said) if said else pen.text("✓" if outcomes else "", "green")


def _print_measurements(rows: Sequence[Measurement], pen: Pen) -> None:
    if not rows:
        return
    pen.heading("Measured on the test images of CIFAR-10, in %")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Part", no_wrap=True)
    table.add_column("Network", overflow="fold")
    for title in ("Bits", "Accuracy", "Drop", "Reported", "Zeros"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        cells = (row.part, row.network, str(row.bits or ""), *map(format_measured, measured_cells(row)))
        table.add_row(*(pen.text(cell) for cell in cells))
    pen.table(table)


def _print_errors(report: Report, pen: Pen) -> None:
    if not report.has_error():
        return
    pen.heading("The grader failed here", "bold red")
    pen.line("This is the grader's fault, not the submission's. Please tell the instructor.", indent=2)
    for part in report.parts:
        for check in part.checks:
            if check.outcome is Outcome.ERROR:
                pen.line(f"! {part.id}  {check.title} ({check.name})", "red", indent=2)
                _print_message(check.message, pen)


def _print_failures(report: Report, pen: Pen) -> None:
    shown = [(part, _failed(part), _skipped(part)) for part in report.parts]
    shown = [(part, failed, skipped) for part, failed, skipped in shown if failed or skipped]
    if not shown:
        if any(part.checks for part in report.parts) and not report.has_error():
            pen.heading("Every automatic check passed.", "bold green")
        return
    pen.heading("What to mend")
    for part, failed, skipped in shown:
        pen.heading(f"{part.id}  {part.title}")
        for group in findings(failed):
            _print_finding(group, pen)
        if skipped:
            reasons = "; ".join(dict.fromkeys(c.message.rstrip(".") for c in skipped if c.message))
            said = counted(len(skipped), "check") + " skipped"
            pen.line(f"- {said}: {reasons}" if reasons else f"- {said}", "dim", indent=2)


def _print_finding(group: list[CheckReport], pen: Pen) -> None:
    first = group[0]
    together = len(group) > 1 and bool(first.message)
    if together:
        pen.line(clip(first.message), indent=2)
    if together and not any(check.expected or check.received for check in group):
        titles = "; ".join(check.title.rstrip(".") for check in group)
        pen.line(f"✗ {len(group)} checks: {titles}{_suffix(first)}", "red", indent=4)
    else:
        for check in group:
            pen.line(f"✗ {check.title}{_suffix(check)}", "red", indent=4 if together else 2)
            _print_message("" if together else check.message, pen)
            _print_values(check, pen)
    _print_help(first, pen)


def _print_message(message: str, pen: Pen) -> None:
    if message:
        pen.line(clip(message), indent=4)


def _print_values(check: CheckReport, pen: Pen) -> None:
    for label, value in (("expected", check.expected), ("received", check.received)):
        if value is not None:
            pen.print(pen.text(f"{label}  ", "dim"), pen.text(clip(value)), indent=6)


def _print_help(check: CheckReport, pen: Pen) -> None:
    for label, value in (("Why: ", check.diagnosis), ("Advice: ", check.advice)):
        if value:
            pen.print(pen.text(label, "bold cyan"), pen.text(clip(value)), indent=4)


def _print_notes(report: Report, pen: Pen) -> None:
    notes = [(part, check) for part in report.parts for check in part.checks if is_failed_note(check)]
    if notes:
        pen.heading("Notes, never scored")
    for part, check in notes:
        pen.line(f"{part.id}  {check.title}", "yellow", indent=2)
        _print_message(check.message, pen)
        _print_values(check, pen)
        _print_help(check, pen)


def _print_manual(items: Sequence[ManualItem], pen: Pen) -> None:
    waiting = [item for item in items if item.waiting]
    empty = [item for item in items if not item.waiting]
    if waiting:
        points = format_points(sum(item.max_score for item in waiting))
        pen.heading(f"Waiting for a person: {counted(len(waiting), 'written answer')}, up to {points} points")
        pen.line(", ".join(dict.fromkeys(item.part for item in waiting)), indent=2)
    if empty:
        pen.heading("Still empty in answers.toml, and worth nothing until written")
    for item in empty:
        start = f"{item.part}  (+{format_points(item.max_score)})  "
        room = max(pen.width - len(start) - 2, 24)
        pen.line(start + shorten(clean(item.prompt), room, placeholder=" ..."), indent=2)


def _summary_row(report: Report, labs: Sequence[str], pen: Pen) -> list[Text]:
    """All cells but the name."""
    bonus, bonus_max = bonus_points(report)
    score = f"{format_points(automatic_score(report))}/{format_points(report.max_score)}"
    if bonus_max:
        score += f" + {format_points(bonus)}"
    totals = lab_points(report)
    cells = [_fraction(*totals[lab], pen) if lab in totals else pen.text("-", "dim") for lab in labs]
    return [pen.text(score, "bold"), *cells]


def _room_for_names(titles: Sequence[str], rows: Sequence[Sequence[Text]], pen: Pen) -> int:
    """Characters of a line that the other columns, 3 apart, and the margins leave."""
    taken = [3 + max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return max(pen.width - 2 - sum(taken), _SHORTEST_NAME)


def _full_name(report: Report, pen: Pen) -> Text:
    name = pen.text(report.submission, "bold")
    return name + pen.text("  ! grader error", "bold red") if report.has_error() else name


def _short_name(report: Report, room: int, pen: Pen) -> Text:
    mark = pen.text("! " if report.has_error() else "", "bold red")
    return mark + pen.shortened(report.submission, room - len(mark), "bold")


def _fraction(score: float, possible: float, pen: Pen) -> Text:
    style = "green" if score >= possible else "yellow" if score > 0 else "red"
    return pen.text(f"{format_points(score)}/{format_points(possible)}", style)


def _failed(part: PartReport) -> list[CheckReport]:
    return [c for c in part.checks if c.outcome in (Outcome.FAILED, Outcome.TIMEOUT) and not is_note(c)]


def _skipped(part: PartReport) -> list[CheckReport]:
    return [c for c in part.checks if c.outcome is Outcome.SKIPPED and not is_note(c)]


def _suffix(check: CheckReport) -> str:
    late = " (timed out)" if check.outcome is Outcome.TIMEOUT else ""
    return late + (" (hidden check)" if check.hidden else "")

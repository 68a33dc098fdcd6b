"""Reports on a terminal: 80 columns, with or without colour, in UTF-8 or in what the console can show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from textwrap import shorten

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.report import CheckReport, ManualItem, Outcome, PartReport, Report

__all__ = [
    "automatic_score",
    "bonus_points",
    "clean",
    "findings",
    "format_points",
    "is_note",
    "lab_points",
    "print_report",
    "print_summary",
]

LABS = ("Problem 1", "Lab 1", "Lab 2", "Lab 3", "Bonus")
MESSAGE_LINES = 20
BAR_WIDTH = 8

# OSC, DCS and their like run to a terminator; CSI and two-byte sequences have a fixed grammar.
_ESCAPE_SEQUENCE = re.compile(
    r"\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]?", re.MULTILINE
)
_ASCII = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "·": "-", "×": "x"}
    | {"≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "λ": "lambda", "✓": "+", "✗": "x", "━": "=", "┄": "."}
)


def clean(text: str) -> str:
    """Text that cannot steer a terminal or reorder a line: no escapes, control or invisible characters."""
    text = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    text = re.sub("[\r\v\f\x85\u2028\u2029]", "\n", text).replace("\t", "    ")
    return "".join(c for c in text if c == "\n" or not unicodedata.category(c).startswith("C"))


def format_points(points: float) -> str:
    """At most two decimals and no trailing zeros: ``2``, ``0.5``, ``0.33``."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def is_note(check: CheckReport) -> bool:
    """Whether the check informs and never scores."""
    return check.max_points == 0


def bonus_points(report: Report) -> tuple[float, float]:
    """Bonus points earned and possible."""
    bonus = [part for part in report.parts if part.bonus]
    return sum(part.score for part in bonus), sum(part.max_score for part in bonus)


def automatic_score(report: Report) -> float:
    """The automatic points without the bonus, to be read against ``report.max_score``."""
    return report.score - bonus_points(report)[0]


def lab_points(report: Report) -> dict[str, tuple[float, float]]:
    """Points earned and possible for each lab that the report holds, in the assignment's order."""
    totals = dict.fromkeys(LABS, (0.0, 0.0))
    present = {_lab(part) for part in report.parts}
    for part in report.parts:
        score, possible = totals[_lab(part)]
        totals[_lab(part)] = (score + part.score, possible + part.max_score)
    return {lab: totals[lab] for lab in LABS if lab in present}


def findings(checks: Iterable[CheckReport]) -> list[list[CheckReport]]:
    """Checks that say the same, together: a function still to be written is one finding, not six."""
    groups: dict[tuple[object, ...], list[CheckReport]] = {}
    for check in checks:
        said = () if check.hidden else (check.message, check.diagnosis, check.advice)
        groups.setdefault((check.outcome, check.hidden, *said), []).append(check)
    return list(groups.values())


def print_report(report: Report, console: Console) -> None:
    """Print all that a student or an instructor should read about one submission."""
    pen = _Pen(console)
    _print_header(report, pen)
    _print_parts(report, pen)
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
    """Print one row for each submission: its score, its bonus, and its points by lab."""
    pen = _Pen(console)
    labs = [lab for lab in LABS if any(lab in lab_points(report) for report in reports)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Submission", overflow="fold")
    for title in ("Score", *("P1" if lab == "Problem 1" else lab for lab in labs)):
        table.add_column(title, justify="right", overflow="fold")
    for report in reports:
        table.add_row(*_summary_row(report, labs, pen))
    console.print(table)


class _Pen:
    """Writes cleaned text, never markup, in the characters that one console can show."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._encoding = console.encoding
        self._ascii = console.options.ascii_only or (console.legacy_windows and console.safe_box)
        self.width = console.width

    def text(self, text: str, style: str = "") -> Text:
        text = clean(text)
        if self._ascii:
            text = text.translate(_ASCII).encode(self._encoding, "replace").decode(self._encoding)
        return Text(text, style=style, overflow="fold")

    def bar(self, score: float, possible: float, width: int = BAR_WIDTH) -> Text:
        filled = round(width * min(max(score / possible, 0.0), 1.0)) if possible > 0 else 0
        style = "green" if score >= possible else "yellow" if score > 0 else "red"
        return self.text("━" * filled, style) + self.text("┄" * (width - filled), "dim")

    def print(self, *parts: Text, indent: int = 0) -> None:
        self._console.print(Padding(Text("", overflow="fold").join(parts), (0, 0, 0, indent), expand=False))

    def line(self, text: str, style: str = "", indent: int = 0) -> None:
        shown = self.text(text, style)
        shown.highlight_regex(r"`[^`\n]+`", "bold")
        self.print(shown, indent=indent)

    def heading(self, text: str, style: str = "bold") -> None:
        self._console.print()
        self.line(text, style)

    def table(self, table: Table) -> None:
        self._console.print(table)


def _print_header(report: Report, pen: _Pen) -> None:
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


def _print_parts(report: Report, pen: _Pen) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Part", no_wrap=True)
    table.add_column("Title", overflow="fold")
    table.add_column("", no_wrap=True, min_width=BAR_WIDTH)
    for title in ("Points", "By hand"):
        table.add_column(title, justify="right", overflow="fold")
    table.add_column("Checks", overflow="fold")
    for i, part in enumerate(report.parts):
        if i and _lab(part) != _lab(report.parts[i - 1]):
            table.add_section()
        table.add_row(*_part_row(part, pen))
    pen.table(table)


def _part_row(part: PartReport, pen: _Pen) -> list[Text]:
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


def _counts(part: PartReport, pen: _Pen) -> Text:
    outcomes = [check.outcome for check in part.checks if not is_note(check)]
    errors = sum(check.outcome is Outcome.ERROR for check in part.checks)
    failed = outcomes.count(Outcome.FAILED) + outcomes.count(Outcome.TIMEOUT)
    skipped = outcomes.count(Outcome.SKIPPED)
    counts = ((errors, "error", "bold red"), (failed, "failed", "red"), (skipped, "skipped", "dim"))
    said = [pen.text(f"{count} {word}", style) for count, word, style in counts if count]
    return Text(", ").join(said) if said else pen.text("✓" if outcomes else "", "green")


def _print_errors(report: Report, pen: _Pen) -> None:
    if not report.has_error():
        return
    pen.heading("The grader failed here", "bold red")
    pen.line("This is the grader's fault, not the submission's. Please tell the instructor.", indent=2)
    for part in report.parts:
        for check in part.checks:
            if check.outcome is Outcome.ERROR:
                pen.line(f"! {part.id}  {check.title} ({check.name})", "red", indent=2)
                if not check.hidden:
                    _print_message(check.message, pen)


def _print_failures(report: Report, pen: _Pen) -> None:
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
            counted = _counted(len(skipped), "check") + " skipped"
            pen.line(f"- {counted}: {reasons}" if reasons else f"- {counted}", "dim", indent=2)


def _print_finding(group: list[CheckReport], pen: _Pen) -> None:
    first = group[0]
    together = len(group) > 1 and bool(first.message) and not first.hidden
    if together:
        pen.line(_clip(first.message), indent=2)
    if together and not any(check.expected or check.received for check in group):
        titles = "; ".join(check.title.rstrip(".") for check in group)
        pen.line(f"✗ {len(group)} checks: {titles}{_suffix(first)}", "red", indent=4)
    else:
        for check in group:
            pen.line(f"✗ {check.title}{_suffix(check)}", "red", indent=4 if together else 2)
            if not check.hidden:
                _print_message("" if together else check.message, pen)
                _print_values(check, pen)
    if not first.hidden:
        _print_help(first, pen)


def _print_message(message: str, pen: _Pen) -> None:
    if message:
        pen.line(_clip(message), indent=4)


def _print_values(check: CheckReport, pen: _Pen) -> None:
    for label, value in (("expected", check.expected), ("received", check.received)):
        if value is not None:
            pen.print(pen.text(f"{label}  ", "dim"), pen.text(_clip(value)), indent=6)


def _print_help(check: CheckReport, pen: _Pen) -> None:
    for label, value in (("Why: ", check.diagnosis), ("Advice: ", check.advice)):
        if value:
            pen.print(pen.text(label, "bold cyan"), pen.text(_clip(value)), indent=4)


def _print_notes(report: Report, pen: _Pen) -> None:
    notes = [(part, check) for part in report.parts for check in part.checks if _is_failed_note(check)]
    if notes:
        pen.heading("Notes, never scored")
    for part, check in notes:
        pen.line(f"{part.id}  {check.title}", "yellow", indent=2)
        if not check.hidden:
            _print_message(check.message, pen)
            _print_values(check, pen)
            _print_help(check, pen)


def _print_manual(items: Sequence[ManualItem], pen: _Pen) -> None:
    waiting = [item for item in items if item.waiting]
    empty = [item for item in items if not item.waiting]
    if waiting:
        points = format_points(sum(item.max_score for item in waiting))
        pen.heading(
            f"Waiting for a person: {_counted(len(waiting), 'written answer')}, up to {points} points"
        )
        pen.line(", ".join(dict.fromkeys(item.part for item in waiting)), indent=2)
    if empty:
        pen.heading("Still empty in answers.toml, and worth nothing until written")
    for item in empty:
        start = f"{item.part}  (+{format_points(item.max_score)})  "
        room = max(pen.width - len(start) - 2, 24)
        pen.line(start + shorten(clean(item.prompt), room, placeholder=" ..."), indent=2)


def _summary_row(report: Report, labs: Sequence[str], pen: _Pen) -> list[Text]:
    bonus, bonus_max = bonus_points(report)
    score = f"{format_points(automatic_score(report))}/{format_points(report.max_score)}"
    if bonus_max:
        score += f" + {format_points(bonus)}"
    name = pen.text(report.submission, "bold")
    if report.has_error():
        name += pen.text("  ! grader error", "bold red")
    totals = lab_points(report)
    cells = [_fraction(*totals[lab], pen) if lab in totals else pen.text("-", "dim") for lab in labs]
    return [name, pen.text(score, "bold"), *cells]


def _fraction(score: float, possible: float, pen: _Pen) -> Text:
    style = "green" if score >= possible else "yellow" if score > 0 else "red"
    return pen.text(f"{format_points(score)}/{format_points(possible)}", style)


def _lab(part: PartReport) -> str:
    if part.bonus:
        return "Bonus"
    return {"1": "Lab 1", "2": "Lab 2", "3": "Lab 3"}.get(part.id[:1], "Problem 1")


def _failed(part: PartReport) -> list[CheckReport]:
    return [c for c in part.checks if c.outcome in (Outcome.FAILED, Outcome.TIMEOUT) and not is_note(c)]


def _skipped(part: PartReport) -> list[CheckReport]:
    return [c for c in part.checks if c.outcome is Outcome.SKIPPED and not is_note(c)]


def _is_failed_note(check: CheckReport) -> bool:
    return is_note(check) and check.outcome in (Outcome.FAILED, Outcome.TIMEOUT)


def _suffix(check: CheckReport) -> str:
    late = " (timed out)" if check.outcome is Outcome.TIMEOUT else ""
    return late + (" (hidden check)" if check.hidden else "")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _clip(text: str) -> str:
    lines = clean(text).strip("\n").split("\n")
    kept = [shorten_line(line) for line in lines[:MESSAGE_LINES]]
    return "\n".join(kept if len(lines) <= MESSAGE_LINES else [*kept, "..."])


def shorten_line(line: str, limit: int = 600) -> str:
    """The line itself, or its start where it is longer than ``limit`` characters."""
    return line if len(line) <= limit else line[:limit] + " ..."

"""What a report looks like on terminals of every kind."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from grader.render.terminal import clean, format_points, print_report, print_summary
from grader.report import CheckReport, ManualItem, Outcome, PartReport, Report

HOSTILE = "\x1b[31m[red]bold[/red]\x1b]0;owned\x07 \u202eevil\u202c \x9b2J\x07end"


def check(title: str = "Gradient is exact.", outcome: Outcome = Outcome.FAILED, **more: Any) -> CheckReport:
    points = {"points": 1.0 if outcome is Outcome.PASSED else 0.0, "max_points": 1.0}
    return CheckReport(name="a_check", title=title, outcome=outcome, **(points | more))


def part(*checks: CheckReport, **more: Any) -> PartReport:
    scores = {"score": sum(c.points for c in checks), "max_score": sum(c.max_points for c in checks)}
    given = {"id": "1a", "title": "Gradient and step", "manual_max": 0.0} | scores | more
    return PartReport(checks=checks, **given)


def report(*parts: PartReport, **more: Any) -> Report:
    score = sum(p.score for p in parts)
    possible = sum(p.max_score for p in parts if not p.bonus)
    given = {"submission": "ada", "profile": "quick", "score": score, "max_score": possible} | more
    return Report(parts=parts, **given)


def shown(what: Report, width: int = 80, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width, **options)
    print_report(what, console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def flat(text: str) -> str:
    return " ".join(text.split())


def every_outcome() -> Report:
    checks = [check(f"Property {outcome.value}.", outcome, message=f"because {outcome}") for outcome in Outcome]
    note = check("Constant layers.", Outcome.FAILED, max_points=0.0, message="NaN for a constant layer")
    items = (
        ManualItem(part="p1.1", prompt="True or false?", text="False, they hover.", max_score=2),
        ManualItem(part="1b", prompt="Does w converge to an optimal solution? " * 5, text="", max_score=1),
    )
    bonus = part(check("Levels.", Outcome.PASSED, points=5.0, max_points=5.0), id="bonus", title="Sym", bonus=True)
    return report(part(*checks, note, manual_max=2.0), bonus, manual=items, notes=("Sandbox: rlimits.",))


def test_header_states_score_and_bonus_apart() -> None:
    text = shown(every_outcome())
    assert "1 / 5" in text and "automatic points" in text
    assert "bonus + 5 / 5" in text
    assert "by hand up to 2" in text


def test_table_counts_failures_errors_and_skips_but_not_notes() -> None:
    assert "1 error, 2 failed, 1 skipped" in flat(shown(every_outcome(), width=120))


def test_errors_come_before_failures_and_are_the_graders_fault() -> None:
    text = shown(every_outcome())
    assert "Not final" in text
    assert text.index("grader's fault") < text.index("because error") < text.index("What to mend")
    assert "tell the instructor" in text


def test_failed_check_shows_all_that_feedback_has() -> None:
    failed = check(message="Wrong at `w[0]`.", expected="[1.0]", received="[0.5]", diagnosis="Halved.", advice="L.")
    text = shown(report(part(failed)))
    for piece in ("Gradient is exact.", "Wrong at `w[0]`.", "expected  [1.0]", "received  [0.5]"):
        assert piece in text
    assert "Why: Halved." in text and "Advice: L." in text


def test_shared_message_is_said_once_with_every_title() -> None:
    missing = [check(f"Property {i}.", message="`gradient` is still to be written.") for i in range(6)]
    text = shown(report(part(*missing)))
    assert text.count("still to be written") == 1
    assert "6 checks: Property 0; Property 1; Property 2; Property 3; Property 4; Property 5" in flat(text)


def test_shared_message_keeps_each_checks_own_values() -> None:
    pair = [check(f"Layer {i}.", message="Zeros came back.", received=f"sparsity 0.{i}") for i in (1, 2)]
    text = shown(report(part(*pair)))
    assert text.count("Zeros came back.") == 1
    assert text.index("Layer 1.") < text.index("sparsity 0.1") < text.index("Layer 2.") < text.index("sparsity 0.2")


def test_hidden_check_shows_its_title_only() -> None:
    text = shown(report(part(check(hidden=True))))
    assert "Gradient is exact. (hidden check)" in text
    assert not any(secret in text for secret in ("seed 7", "42", "Why", "Advice"))


def test_skipped_checks_take_one_line_that_names_the_reason_once() -> None:
    skipped = [check(f"S{i}.", Outcome.SKIPPED, message="depends on the gradient of 1a") for i in range(3)]
    text = shown(report(part(*skipped, id="1b")))
    assert "- 3 checks skipped: depends on the gradient of 1a\n" in text
    assert "S0" not in text


def test_timeout_is_told_apart_from_a_wrong_answer() -> None:
    assert "(timed out)" in shown(report(part(check(outcome=Outcome.TIMEOUT))))


def test_notes_are_apart_and_never_scored() -> None:
    text = shown(every_outcome())
    assert text.index("What to mend") < text.index("Notes, never scored") < text.index("NaN for a constant layer")
    only_note = shown(report(part(check(outcome=Outcome.PASSED), check(max_points=0.0, message="aside"))))
    assert "Every automatic check passed." in only_note and "aside" in only_note


def test_written_answers_wait_or_are_still_empty() -> None:
    text = shown(every_outcome())
    assert "Waiting for a person: 1 written answer, up to 2 points" in text
    line = next(line for line in text.splitlines() if "Does w converge" in line)
    assert line.startswith("  1b  (+1)") and line.rstrip().endswith("...") and len(line) <= 80


def test_report_notes_come_last() -> None:
    assert shown(every_outcome()).rstrip().endswith("Sandbox: rlimits.")


def test_hostile_text_is_shown_and_steers_nothing() -> None:
    bad = check(HOSTILE, message=HOSTILE, expected=HOSTILE, received=HOSTILE, diagnosis=HOSTILE, advice=HOSTILE)
    item = ManualItem(part="1a", prompt=HOSTILE, text="", max_score=1)
    text = shown(report(part(bad, title=HOSTILE), submission=HOSTILE, notes=(HOSTILE,), manual=(item,)))
    assert not set(text) & set("\x1b\x07\x9b\u202e\u202c")
    assert "owned" not in text
    assert text.count("[red]bold[/red]") >= 8


def test_clean_keeps_lines_and_drops_what_cannot_be_seen() -> None:
    assert clean("a\r\nb\tc\rd\u2028e") == "a\nb    c\nd\ne"
    assert clean("a\x00b\u200bc\ufeffd\udcffe\u2066f") == "abcdef"
    assert clean("λ ≤ 2 × 10⁻³") == "λ ≤ 2 × 10⁻³"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "latin-1"])
def test_poor_encodings_get_what_they_can_show(encoding: str) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    wide = report(part(check("λ ≥ 0 … → ✓", message="日本 − 1")), *every_outcome().parts)
    console = Console(file=file, width=80)
    print_report(wide, console)
    print_summary([wide], console)
    file.flush()
    text = file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert "lambda >= 0 ... -> +" in text and "?? - 1" in text
    assert "====" in text and not set(text) & set("━─✗✓")


def test_legacy_windows_console_honours_safe_box() -> None:
    options: dict[str, Any] = {"legacy_windows": True, "force_terminal": False}
    assert "━" not in shown(every_outcome(), safe_box=True, **options)
    assert "━" in shown(every_outcome(), safe_box=False, **options)


def test_no_colour_and_dumb_terminals_get_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(every_outcome(), force_terminal=True)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[3" not in shown(every_outcome(), force_terminal=True, no_color=True)
    assert "\x1b[" in shown(every_outcome(), force_terminal=True, color_system="standard")


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_no_line_is_wider_than_the_console(width: int) -> None:
    long = check("x" * 200, message="y" * 300, expected="z" * 300)
    text = shown(report(part(long, title="t" * 90), *every_outcome().parts, submission="s" * 150), width=width)
    assert max(map(len, text.splitlines())) <= width


def test_a_flood_of_output_is_cut() -> None:
    text = shown(report(part(check(message="\n".join(f"line {i}" for i in range(500)), expected="9" * 50_000))))
    assert "line 19" in text and "line 20" not in text
    assert len(text) < 4000


def test_empty_and_manual_only_reports_are_printed() -> None:
    assert "0 / 0" in shown(report())
    text = shown(report(part(manual_max=2.0)))
    assert "+2" in text and "Every automatic check passed" not in text


def test_summary_has_one_row_per_submission_within_120_columns() -> None:
    ids = ("p1.1", "1a", "2c", "3a")
    labs = [part(check(outcome=Outcome.PASSED), id=i) for i in ids]
    bonus = part(check(outcome=Outcome.PASSED), id="bonus", bonus=True)
    reference = report(*labs, bonus, submission="reference")
    broken = report(part(check(outcome=Outcome.ERROR), id="3a"), submission="a_long_name_" * 20)
    console = Console(file=io.StringIO(), width=120)
    print_summary([reference, broken], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    rows = [line.split() for line in text.splitlines() if line.strip()]
    assert rows[0] == ["Submission", "Score", "P1", "Lab", "1", "Lab", "2", "Lab", "3", "Bonus"]
    assert ["reference", "4/4", "+", "1", "1/1", "1/1", "1/1", "1/1", "1/1"] in rows
    assert "grader error" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("width", [60, 80, 99])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_in_a_narrow_summary_are_cut_and_never_wrapped(width: int, encoding: str) -> None:
    reports = [
        report(part(check(outcome=outcome), id="3a"), submission=name)
        for name in ("short", "long_name_" * 20, "名" * 90)
        for outcome in (Outcome.PASSED, Outcome.ERROR)
    ]
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_summary(reports, Console(file=file, width=width))
    file.seek(0)
    lines = file.read().splitlines()
    assert sum("/1" in line for line in lines) == len(reports)
    assert sum(line.lstrip(" |!").startswith("long_name_") for line in lines) == 2
    assert sum(("…" if encoding == "utf-8" else "...") in line for line in lines) == 4
    assert sum("! long_name_" in line for line in lines) == 1
    assert "grader itself failed" in lines[-1]
    assert max(map(cell_len, lines)) <= width


def test_names_in_a_wide_summary_are_whole() -> None:
    console = Console(file=io.StringIO(), width=100)
    print_summary([report(part(check(), id="1a"), submission="trimmed_by_gradient_twice")], console)
    assert "trimmed_by_gradient_twice" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("points", "text"), [(2.0, "2"), (0.5, "0.5"), (1 / 3, "0.33"), (10.0, "10"), (0.0, "0")])
def test_points_are_short(points: float, text: str) -> None:
    assert format_points(points) == text

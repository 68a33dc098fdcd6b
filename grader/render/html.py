"""One submission as one HTML page: no scripts, no requests, the same bytes for the same report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from grader.render.plots import draw_curve
from grader.render.view import (
    automatic_score,
    bonus_points,
    clean,
    findings,
    format_measured,
    format_points,
    is_failed_note,
    is_note,
    lab_points,
    measured_cells,
)
from grader.report import CheckReport, Outcome, PartReport, Report

__all__ = ["page_environment", "render_html", "report_values"]

_WORDS = {
    Outcome.PASSED: "Passed",
    Outcome.FAILED: "Failed",
    Outcome.ERROR: "Grader error",
    Outcome.TIMEOUT: "Timed out",
    Outcome.SKIPPED: "Skipped",
}
_GLYPHS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.ERROR: "!",
    Outcome.TIMEOUT: "✗",
    Outcome.SKIPPED: "–",
}
# What the reader must act on comes first.
_ORDER = (Outcome.ERROR, Outcome.FAILED, Outcome.TIMEOUT, Outcome.SKIPPED, Outcome.PASSED)


@dataclass(frozen=True)
class _Badge:
    """An outcome as a glyph, a word and a colour class: the colour never says it alone."""

    glyph: str
    word: str
    kind: str


@dataclass(frozen=True)
class _PartView:
    """A part with its checks gathered into findings, and its state in a few words."""

    part: PartReport
    findings: list[list[CheckReport]]
    state: str
    kind: str
    open: bool


def render_html(report: Report) -> str:
    """The whole page. Nothing in the report is trusted: every string is cleaned and escaped."""
    return _environment().get_template("report.html.j2").render(report_values(report, {}))


def report_values(report: Report, given: Mapping[str, float]) -> dict[str, Any]:
    """What the page of a report, or one that extends it, is drawn from.

    Args:
        report: the report.
        given: points that a person gave, by part id; the written answers of these parts wait no more.
    """
    bonus, bonus_max = bonus_points(report)
    return {
        "report": report,
        "given": given,
        "score": automatic_score(report),
        "bonus": bonus,
        "bonus_max": bonus_max,
        "by_hand": sum(part.manual_max for part in report.parts),
        "labs": lab_points(report),
        "parts": [_view(part) for part in report.parts],
        "figures": [draw_curve(curve.model_copy(update={"title": clean(curve.title)})) for curve in report.curves],
        "measurements": [(row, measured_cells(row)) for row in report.measurements],
        "waiting": [item for item in report.manual if item.waiting and item.part not in given],
        "empty": [item for item in report.manual if not item.waiting and item.part not in given],
    }


def page_environment(*loaders: BaseLoader) -> Environment:
    """Templates found by ``loaders`` or here, whose every value is cleaned and escaped."""
    environment = Environment(
        loader=ChoiceLoader([*loaders, PackageLoader("grader.render", "")]),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        points=format_points, prose=_prose, percent=_percent, badge=_badge, measured=format_measured
    )
    return environment


@cache
def _environment() -> Environment:
    return page_environment()


def _finalize(value: Any) -> Any:
    """Every value on its way into the page: text loses what could reorder or hide its neighbours."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(text: str) -> Markup:
    """Escaped text with its `quoted` names set as code."""
    pieces = re.split(r"`([^`\n]+)`", clean(text))
    return Markup("".join(f"<code>{escape(p)}</code>" if i % 2 else escape(p) for i, p in enumerate(pieces)))


def _percent(score: float, possible: float) -> str:
    share = min(max(score / possible, 0.0), 1.0) if possible > 0 else 0.0
    return f"{100 * share:.1f}%"


def _badge(check: CheckReport) -> _Badge:
    if is_failed_note(check):
        return _Badge("i", "Note", "note")
    return _Badge(_GLYPHS[check.outcome], _WORDS[check.outcome], check.outcome.value)


def _view(part: PartReport) -> _PartView:
    ranked = sorted(part.checks, key=lambda check: (is_note(check), _ORDER.index(check.outcome)))
    scored = [check.outcome for check in part.checks if not is_note(check)]
    error = any(check.outcome is Outcome.ERROR for check in part.checks)
    failed = scored.count(Outcome.FAILED) + scored.count(Outcome.TIMEOUT)
    skipped = scored.count(Outcome.SKIPPED)
    kind = "error" if error else "failed" if failed else "skipped" if skipped else "passed"
    return _PartView(part, findings(ranked), _state(scored, failed, skipped, error), kind, error or failed > 0)


def _state(scored: Sequence[Outcome], failed: int, skipped: int, error: bool) -> str:
    said = ["grader error"] if error else []
    said += [f"{failed} of {len(scored)} failed" if len(scored) > 1 else "failed"] if failed else []
    said += [f"{skipped} skipped"] if skipped else []
    if said:
        return ", ".join(said)
    return f"all {len(scored)} passed" if len(scored) > 1 else "passed" if scored else "by hand only"

"""``make demo``: the whole assignment graded, from the reference to the flawed samples, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console

from grader import locations
from grader.assignment import Assignment
from grader.authoring.samples import SAMPLES, folder_of
from grader.grade import Grader
from grader.render.html import render_html
from grader.render.terminal import print_summary
from grader.report import Report
from grader.submission import load_submission

__all__ = ["expected_scores", "run_demo"]


def expected_scores(assignment: Assignment) -> Iterator[tuple[Path, dict[str, float]]]:
    """Every submission of the demo, and what each part of it should score."""
    full = {part.id: part.automatic for part in assignment.parts.values()}
    yield locations.instructor_folder("reference"), full
    yield locations.pristine(), dict.fromkeys(full, 0.0)
    for sample in SAMPLES:
        yield folder_of(locations.fixtures()) / sample.name, full | dict(sample.lost)


def run_demo(assignment: Assignment, out: Path) -> bool:
    """Grade them all, print the table, write a page each; whether every score is the expected one."""
    console, reports, wrong = Console(), [], []
    out.mkdir(parents=True, exist_ok=True)
    with Grader(assignment) as grader:
        for path, expected in expected_scores(assignment):
            report = grader.grade(load_submission(path, locations.pristine()))
            (out / f"{path.name}.html").write_text(render_html(report), encoding="utf-8", newline="\n")
            reports.append(report)
            wrong += [f"{path.name}: {text}" for text in surprises(report, expected)]
    print_summary(reports, console)
    for text in wrong:
        console.print(f"Unexpected: {text}", markup=False)
    console.print(f"Every score is the expected one. Reports: {out}/*.html" if not wrong else "", markup=False)
    return not wrong


def surprises(report: Report, expected: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each part whose score is not the expected one, and for each fault of the grader."""
    for part in report.parts:
        if abs(part.score - expected[part.id]) > 1e-3:
            yield f"part {part.id} has {part.score:g} points, expected {expected[part.id]:g}"
    if report.has_error():
        yield "the grader itself failed in some check"

"""Measured beside published: a row for every network, and a mark wherever something was not measured as planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.table import Table

from grader.runs.execute import Outcome
from grader.runs.plan import Run

__all__ = ["Row", "as_markdown", "as_rich", "rows"]

NUMBERS = ("accuracy %", "drop", "sparsity %", "epochs", "published %")
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Row:
    """One row, in words."""

    part: str
    run: str
    network: str
    accuracy: str
    drop: str
    sparsity: str
    epochs: str
    published: str

    def numbers(self) -> tuple[str, ...]:
        """The cells below ``NUMBERS``."""
        return (self.accuracy, self.drop, self.sparsity, self.epochs, self.published)


def rows(runs: Iterable[Run], outcomes: Mapping[str, Outcome]) -> list[Row]:
    """The rows of all runs but the pre-training, which ``float`` measures; drops are percentage points below it."""
    baseline = outcomes["float"].accuracy if "float" in outcomes else None
    return [_row(run, outcomes.get(run.name), baseline) for run in runs if run.experiment.method != "pretrain"]


def _row(run: Run, outcome: Outcome | None, baseline: float | None) -> Row:
    published = "" if run.published is None else f"{run.published:.2f}"
    part, name = run.experiment.part, _network(run)
    if outcome is None:
        return Row(part, run.name, name, NOT_MEASURED, "", "", "", published)
    drop = "" if baseline is None else f"{100 * (baseline - outcome.accuracy):.2f}"
    epochs = "" if not outcome.planned else f"{outcome.epochs}"
    if outcome.epochs < outcome.planned:
        epochs = f"{outcome.epochs} of {outcome.planned}"
    accuracy, sparsity = f"{100 * outcome.accuracy:.2f}", f"{100 * outcome.sparsity:.3f}"
    return Row(part, run.name, name, accuracy, drop, sparsity, epochs, published)


def _network(run: Run) -> str:
    if run.value is None:
        return run.experiment.title
    unit = "%" if run.experiment.method == "one_shot" else "bits"
    return f"{run.experiment.title}, {run.value:g} {unit}"


def as_rich(table_rows: Iterable[Row]) -> Table:
    """For a terminal: networks by the names that ``grader runs run`` takes."""
    table = Table("part", "run")
    for column in NUMBERS:
        table.add_column(column, justify="right")
    for row in table_rows:
        table.add_row(row.part, row.run, *row.numbers())
    return table


def as_markdown(table_rows: Iterable[Row]) -> str:
    """For a document: networks by what they are."""
    lines = ["| " + " | ".join(("part", "network", *NUMBERS)) + " |", "|---|---|" + "---:|" * len(NUMBERS)]
    lines += ["| " + " | ".join((row.part, row.network, *row.numbers())) + " |" for row in table_rows]
    return "\n".join(lines) + "\n"

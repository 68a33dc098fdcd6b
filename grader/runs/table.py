"""Measured beside published: a row for every network, and a mark wherever something was not measured as planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Column, Table

from grader.assignment import FullThresholds
from grader.runs.execute import Outcome
from grader.runs.plan import Run

__all__ = ["Row", "as_markdown", "as_rich", "rows"]

NUMBERS = ("accuracy %", "drop", "accepted", "sparsity %", "epochs", "published %")
_SHORT = ("acc. %", "drop", "max.", "zeros %", "epochs", "publ. %")
"""The same where there is little room; ``max.`` is the largest drop that is accepted."""
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Row:
    """One row, in words."""

    part: str
    run: str
    network: str
    accuracy: str
    drop: str
    accepted: str
    sparsity: str
    epochs: str
    published: str

    def numbers(self) -> tuple[str, ...]:
        """The cells below ``NUMBERS``."""
        return (self.accuracy, self.drop, self.accepted, self.sparsity, self.epochs, self.published)


def rows(runs: Iterable[Run], outcomes: Mapping[str, Outcome], thresholds: FullThresholds) -> list[Row]:
    """The rows of all runs but the pre-training, which ``float`` measures.

    Drops are percentage points below it; beside them stand those that a student's network may have.
    """
    baseline = outcomes["float"].accuracy if "float" in outcomes else None
    named = {run.name: run for run in runs}
    return [
        _row(run, named, outcomes, baseline, thresholds)
        for run in named.values()
        if run.experiment.method != "pretrain"
    ]


def _row(
    run: Run,
    named: Mapping[str, Run],
    outcomes: Mapping[str, Outcome],
    baseline: float | None,
    thresholds: FullThresholds,
) -> Row:
    outcome = outcomes.get(run.name)
    largest = _largest_drop(run, thresholds)
    accepted = "" if largest is None else f"{largest:.2f}"
    published = "" if run.published is None else f"{run.published:.2f}"
    part, name = run.experiment.part, _network(run)
    if outcome is None:
        return Row(part, run.name, name, NOT_MEASURED, "", accepted, "", "", published)
    drop = "" if baseline is None else f"{100 * (baseline - outcome.accuracy):.2f}"
    epochs = "" if not outcome.planned else f"{outcome.epochs}"
    if _is_short(outcome):
        epochs = _passes(outcome)
    elif (start := _short_start(run, named, outcomes)) is not None:
        epochs = f"{epochs} from a run of {_passes(start)}".strip()
    accuracy, sparsity = f"{100 * outcome.accuracy:.2f}", f"{100 * outcome.sparsity:.3f}"
    return Row(part, run.name, name, accuracy, drop, accepted, sparsity, epochs, published)


def _largest_drop(run: Run, thresholds: FullThresholds) -> float | None:
    """What the full profile accepts of such a network; None for one that is not handed in."""
    match run.experiment.method, run.experiment.part:
        case "finetune", _:
            return thresholds.finetuned_max_drop
        case "iterative", _:
            return thresholds.iterative_max_drop
        case "global_iterative", _:
            return thresholds.global_max_drop
        case "qat", "3c":
            return thresholds.quantized_max_drop[int(run.value or 0)]
        case "qat", "3d":
            return thresholds.sparse_quantized_max_drop[int(run.value or 0)]
    return None


def _short_start(run: Run, named: Mapping[str, Run], outcomes: Mapping[str, Outcome]) -> Outcome | None:
    """The nearest of the runs that a run descends from that was trained with fewer passes than planned."""
    while run.start is not None:
        run = named[run.start]
        outcome = outcomes.get(run.name)
        if outcome is not None and _is_short(outcome):
            return outcome
    return None


def _is_short(outcome: Outcome) -> bool:
    """Whether there were fewer passes than planned; a checkpoint that is given has none."""
    return 0 < outcome.epochs < outcome.planned


def _passes(outcome: Outcome) -> str:
    return f"{outcome.epochs} of {outcome.planned}"


def _network(run: Run) -> str:
    if run.value is None:
        return run.experiment.title
    unit = "%" if run.experiment.method == "one_shot" else "bits"
    return f"{run.experiment.title}, {run.value:g} {unit}"


def as_rich(table_rows: Iterable[Row]) -> Table:
    """For a terminal: networks by the names that ``grader runs run`` takes, which stay whole however narrow it is."""
    shown = list(table_rows)
    longest = max((len(row.run) for row in shown), default=0)
    table = Table("part", Column("run", no_wrap=True, min_width=longest), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in _SHORT:
        table.add_column(column, justify="right")
    for row in shown:
        table.add_row(row.part, row.run, *row.numbers())
    return table


def as_markdown(table_rows: Iterable[Row]) -> str:
    """For a document: networks by what they are."""
    lines = ["| " + " | ".join(("part", "network", *NUMBERS)) + " |", "|---|---|" + "---:|" * len(NUMBERS)]
    lines += ["| " + " | ".join((row.part, row.network, *row.numbers())) + " |" for row in table_rows]
    return "\n".join(lines) + "\n"

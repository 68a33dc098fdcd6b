"""What grading one submission says: the data that every output format is drawn from."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["CheckReport", "Curve", "ManualItem", "Measurement", "Outcome", "PartReport", "Report"]


class Outcome(StrEnum):
    """How a check ended; ``error`` is always a fault of the grader, never of the student."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckReport(_Model):
    """One property of one function. ``max_points`` is 0 for a note, which is never scored.

    ``mistakes`` are the catalogue's ids of what ``diagnosis`` names.
    """

    name: str
    title: str
    points: float
    max_points: float
    outcome: Outcome
    message: str = ""
    diagnosis: str | None = None
    mistakes: tuple[str, ...] = ()
    hidden: bool = False
    expected: str | None = None
    received: str | None = None
    advice: str | None = None


class PartReport(_Model):
    """A part of the rubric: its automatic points, and what a person adds by hand."""

    id: str
    title: str
    score: float
    max_score: float
    manual_max: float
    bonus: bool = False
    checks: tuple[CheckReport, ...]


class ManualItem(_Model):
    """A written answer; empty ones earn nothing and wait for nobody."""

    part: str
    prompt: str
    text: str
    max_score: float

    @property
    def waiting(self) -> bool:
        return bool(self.text)


class Curve(_Model):
    """One Lab 1 run: the expected trajectory and, where there is one, the student's.

    ``weights`` are (steps + 1) rows of one number per element, ``losses`` are steps + 1 numbers.
    """

    title: str
    expected_weights: list[list[float]]
    expected_losses: list[float]
    weights: list[list[float]] | None = None
    losses: list[float] | None = None


class Measurement(_Model):
    """The accuracy of one network on CIFAR-10, in percent, and what else was seen of it.

    Args:
        part: the part of the rubric that it belongs to.
        network: the file that was handed in, or what the judge made of the pre-trained network.
        bits: the number of bits that it was quantized to; None for floating point.
        accuracy: as the judge measured it.
        drop: percentage points below the pre-trained network on the same images.
        reported: the accuracy that the submission reports.
        sparsity: the fraction of zeros of its prunable weights.
        similarity: the cosine of its non-zero weights and the pre-trained ones.
        digest: equal for equal weights, across submissions too; empty for what was not handed in.
        untrained: whether its weights are those of the pre-trained network, at most pruned and quantized.
        sparsity_by_layer, levels_by_layer: fractions of zeros, and counts of different non-zero values.
    """

    part: str
    network: str
    bits: int | None = None
    accuracy: float
    drop: float
    reported: float | None = None
    sparsity: float | None = None
    similarity: float | None = None
    digest: str = ""
    untrained: bool = False
    sparsity_by_layer: dict[str, float] = {}
    levels_by_layer: dict[str, int] = {}


class Report(_Model):
    """The result of grading one submission.

    ``score`` counts bonus points, ``max_score`` does not.
    """

    submission: str
    profile: str
    score: float
    max_score: float
    parts: tuple[PartReport, ...]
    notes: tuple[str, ...] = ()
    manual: tuple[ManualItem, ...] = ()
    curves: tuple[Curve, ...] = ()
    measurements: tuple[Measurement, ...] = ()

    def has_error(self) -> bool:
        """Whether the grader itself failed somewhere, so that this report is not final."""
        return any(c.outcome is Outcome.ERROR for p in self.parts for c in p.checks)

    def faults(self) -> str:
        """What the grader itself failed at, each fault once."""
        failed = [c.message for p in self.parts for c in p.checks if c.outcome is Outcome.ERROR]
        return "; ".join(dict.fromkeys(failed))

    def replaced(self, newer: Report) -> Report:
        """This report with the parts, and what belongs to them, that a newer one of the same submission has."""
        fresh = {part.id: part for part in newer.parts}
        parts = tuple(fresh.get(part.id, part) for part in self.parts)
        manual = {item.part: item for item in (*self.manual, *newer.manual)}
        curves = {curve.title: curve for curve in (*self.curves, *newer.curves)}
        return newer.model_copy(
            update={
                "score": round(sum(part.score for part in parts), 4),
                "max_score": sum(part.max_score for part in parts if not part.bonus),
                "parts": parts,
                "manual": tuple(manual.values()),
                "curves": tuple(curves.values()),
                "measurements": (
                    *(row for row in self.measurements if row.part not in fresh),
                    *newer.measurements,
                ),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The report as the command line prints it: everything except the curves."""
        return self.model_dump(mode="json", exclude={"curves"})

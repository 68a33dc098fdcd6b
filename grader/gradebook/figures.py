"""What statistics of a class say: distributions, checks, parts, diagnoses, and students whom something concerns."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field

import numpy as np

from grader.gradebook.grades import Student

__all__ = ["Bin", "CheckFigures", "DiagnosisFigures", "Group", "PartFigures", "Spread", "spread_of"]

_LISTED = 10
_MOST_BINS = 24


@dataclass(frozen=True, slots=True)
class Bin:
    """How many numbers lie from ``low`` up to ``high``, which belongs to the next bin, or to the last one itself."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of points; quartiles are interpolated linearly between the two nearest numbers."""

    count: int
    mean: float
    lowest: float
    lower_quartile: float
    median: float
    upper_quartile: float
    highest: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class CheckFigures:
    """How a class did on one check.

    Args:
        name, title, part, hidden: of the check.
        note: whether it is never scored.
        ran: submissions on which it passed, failed or timed out.
        passed, timeouts: how many of those.
        skipped: submissions on which it did not run, since it builds on a check that failed.
        discrimination: the point-biserial correlation r = (M1 - M0) / s * sqrt(n1 n0 / n^2) between passing and the
            automatic points of all other parts: M1 and M0 are their means over the n1 submissions that pass and the
            n0 that do not, s is their standard deviation over all n (Lord and Novick, Statistical Theories of Mental
            Test Scores, 1968, chapter 15; leaving out what the check itself adds: Henrysson, Correction of item-total
            correlations in item analysis, Psychometrika 28, 1963). None where all or none pass, or where the other
            points are all the same.
    """

    name: str
    title: str
    part: str
    hidden: bool
    note: bool
    ran: int
    passed: int
    timeouts: int
    skipped: int
    discrimination: float | None

    @property
    def pass_rate(self) -> float | None:
        """Share of the submissions on which it ran; None where it never did."""
        return self.passed / self.ran if self.ran else None


@dataclass(frozen=True, slots=True)
class PartFigures:
    """How a class did on one part.

    Args:
        id, title, bonus: of the part.
        possible: automatic points.
        share: mean share of them that was earned; None where nothing could be earned.
        manual_max: points that a person gives.
        manual_count: students whom a person has given points.
        manual_share: mean share of those points; None without any.
    """

    id: str
    title: str
    bonus: bool
    possible: float
    share: float | None
    manual_max: float
    manual_count: int
    manual_share: float | None


@dataclass(slots=True)
class Group:
    """Students whom something concerns: how many, and the first ``keep`` of them with what there is to say."""

    keep: int = _LISTED
    count: int = 0
    first: list[tuple[Student, str]] = field(default_factory=list)

    def add(self, student: Student, words: str = "") -> None:
        """Count a student."""
        self.count += 1
        if len(self.first) < self.keep:
            self.first.append((student, words))


@dataclass(frozen=True, slots=True)
class DiagnosisFigures:
    """A mistake that the feedback named, and to how many students; ``group`` holds three of them as examples."""

    mistake: str
    title: str
    explanation: str
    group: Group


def spread_of(points: array[float], possible: float) -> Spread | None:
    """The distribution of ``points`` between 0 and what is ``possible``; None of nothing."""
    if not points:
        return None
    numbers = np.frombuffer(points)
    lowest, lower, median, upper, highest = (float(q) for q in np.percentile(numbers, (0, 25, 50, 75, 100)))
    edges = _edges(possible)
    counts, _ = np.histogram(numbers.clip(edges[0], edges[-1]), edges)
    bins = (Bin(low, high, int(n)) for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True))
    return Spread(len(numbers), float(numbers.mean()), lowest, lower, median, upper, highest, tuple(bins))


def _edges(possible: float) -> list[float]:
    """From 0 to the possible points or just beyond, in round steps; what lies outside is counted at the ends."""
    if possible <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(possible / _MOST_BINS))
    step = next(power * n for n in (1, 2, 5, 10) if possible / (power * n) <= _MOST_BINS)
    return [round(i * step, 9) for i in range(math.ceil(round(possible / step, 9)) + 1)]

"""Lab 1 runs as figures with words: the submitted trajectory over the expected one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from grader.render.svg import Axis, Lines, Panel, draw_panel
from grader.report import Curve

__all__ = ["CurveFigure", "draw_curve", "parting_step"]

_RELATIVE_TOLERANCE = 1e-9
# Where a loss should be 0, rounding in its residuals leaves some 1e-32 of its peak, in a right run too.
_LOSS_FLOOR = 1e-18
_WEIGHT_FLOOR = 1e-12
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_Rows = Sequence[Sequence[float]]


@dataclass(frozen=True)
class _Table:
    """A run with one row for each step, NaN where a row is shorter than the longest one, and the rows' lengths."""

    rows: NDArray[np.float64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def lines(self, steps: int, count: int) -> Lines:
        """The first ``count`` columns over the first ``steps``, as lines; where there are fewer columns, NaN."""
        lines = self.rows.T[:count, :steps]
        lacking = count - len(lines)
        return np.pad(lines, ((0, lacking), (0, 0)), constant_values=math.nan) if lacking else lines


@dataclass(frozen=True)
class CurveFigure:
    """Two panels, ready for the page, and what they show in words."""

    title: str
    loss: Markup
    weights: Markup
    state: str
    words: tuple[str, ...]


def draw_curve(curve: Curve) -> CurveFigure:
    """Draw one run. Numbers that are not finite, and losses that have no logarithm, become gaps."""
    losses, expected_losses = _column(curve.losses or []), _column(curve.expected_losses)
    rows, expected_rows = _table(curve.weights or []), _table(curve.expected_weights)
    loss_step = weight_step = None
    if curve.losses is not None:
        loss_step = _parting(losses, expected_losses, _LOSS_FLOOR * max(curve.expected_losses, default=0.0))
    if curve.weights is not None:
        weight_step = _parting(rows, expected_rows, _WEIGHT_FLOOR)
    loss = _loss_panel(curve.title, losses, expected_losses, loss_step)
    weights = _weights_panel(curve.title, rows, expected_rows, weight_step)
    return CurveFigure(
        title=curve.title,
        loss=draw_panel(loss),
        weights=draw_panel(weights),
        state=_state(curve, loss_step, weight_step),
        words=(*_words(curve, loss_step, weight_step), *_cautions(loss, weights)),
    )


def parting_step(received: _Rows, expected: _Rows, floor: float = 0.0) -> int | None:
    """First step at which two runs differ by more than 1e-9, relative to the largest number of that step.

    ``floor`` is an absolute difference that never counts. NaN always differs. A shorter or longer run
    parts at the first step that only one of them has. None where the runs agree to the end.
    """
    return _parting(_table(received), _table(expected), floor)


def _parting(received: _Table, expected: _Table, floor: float) -> int | None:
    steps = min(len(received), len(expected))
    right = expected.rows[:steps]
    given = received.lines(steps, right.shape[1]).T
    with np.errstate(invalid="ignore", over="ignore"):
        allowed = _RELATIVE_TOLERANCE * np.abs(right).max(axis=1, initial=0.0, keepdims=True) + floor
        alike = ((given == right) | (np.abs(given - right) <= allowed)).all(axis=1)
    alike &= received.lengths[:steps] == expected.lengths[:steps]
    if not alike.all():
        return int(alike.argmin())
    return None if len(received) == len(expected) else steps


def _table(rows: _Rows) -> _Table:
    lengths = np.array([*map(len, rows)], dtype=np.int64)
    width = int(lengths.max(initial=0))
    if (lengths < width).any():
        rows = [[*row, *[math.nan] * (width - len(row))] for row in rows]
    return _Table(np.fromiter(chain.from_iterable(rows), float).reshape(len(rows), width), lengths)


def _column(numbers: Sequence[float]) -> _Table:
    return _Table(np.array(numbers, dtype=float).reshape(-1, 1), np.ones(len(numbers), dtype=np.int64))


def _loss_panel(title: str, losses: _Table, wanted: _Table, parting: int | None) -> Panel:
    expected, received = _log10(wanted.lines(len(wanted), 1)), _log10(losses.lines(len(wanted), 1))
    least, most = _domain(expected, received, least_reach=6.0)
    low, high = math.floor(least), max(math.ceil(most), math.floor(least) + 1)
    stride = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200) if (high - low) / n <= 6)
    decades = range(math.ceil(low / stride) * stride, high + 1, stride)
    ticks = [(float(d), f"10{str(d).translate(_SUPERSCRIPTS)}") for d in decades]
    return Panel(
        label=f"Loss by step, {title}",
        heading="Loss L(w), log scale",
        expected=expected,
        received=received,
        x=Axis.across(0, max(len(wanted) - 1, 1)),
        y=Axis.upward(low, high),
        ticks=ticks,
        names=(),
        parting=parting,
    )


def _weights_panel(title: str, rows: _Table, wanted: _Table, parting: int | None) -> Panel:
    elements = wanted.rows.shape[1]
    expected, received = wanted.lines(len(wanted), elements), rows.lines(len(wanted), elements)
    low, high = _domain(expected, received, least_reach=1.0)
    margin = 0.05 * (high - low)
    y = Axis.upward(low - margin, high + margin)
    return Panel(
        label=f"Weights by step, {title}",
        heading="Weights w",
        expected=expected,
        received=received,
        x=Axis.across(0, max(len(wanted) - 1, 1)),
        y=y,
        ticks=[(t, f"{t:g}".replace("-", "−")) for t in y.ticks()],
        names=tuple("w" + str(i + 1).translate(_SUBSCRIPTS) for i in range(elements)),
        parting=parting,
    )


def _log10(values: Lines) -> Lines:
    """Logarithms; NaN where there is none."""
    return np.log10(np.where((values > 0) & (values < math.inf), values, math.nan))


def _finite(lines: Lines) -> NDArray[np.float64]:
    return lines[np.isfinite(lines)]


def _domain(expected: Lines, received: Lines, least_reach: float) -> tuple[float, float]:
    """Range of the axis: all expected values, and received ones no further off than that range is wide."""
    numbers = next((n for n in (_finite(expected), _finite(received)) if n.size), np.array([0.0, 1.0]))
    low, high = float(numbers.min()), float(numbers.max())
    reach = max(high - low, least_reach)
    shown = np.clip(_finite(received), low - reach, high + reach)
    low, high = float(shown.min(initial=low)), float(shown.max(initial=high))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _state(curve: Curve, loss_step: int | None, weight_step: int | None) -> str:
    if curve.losses is None and curve.weights is None:
        return "no run"
    complete = curve.losses is not None and curve.weights is not None
    return "agrees" if complete and loss_step is None and weight_step is None else "differs"


def _words(curve: Curve, loss_step: int | None, weight_step: int | None) -> list[str]:
    if curve.losses is None and curve.weights is None:
        return ["No run was received, so only the expected one is drawn."]
    words = [f"No {name} received." for name, rows in _received(curve) if rows is None]
    if loss_step is not None and loss_step == weight_step:
        words.append(f"Loss and weights part from the expected run at step {loss_step}.")
    else:
        parted = {"loss parts": loss_step, "weights part": weight_step}
        words += [f"The {w} from the expected run at step {step}." for w, step in parted.items() if step is not None]
    last = len(curve.expected_weights) - 1
    for name, rows in _received(curve):
        if rows is not None and len(rows) != last + 1:
            words.append(f"The {name} has {len(rows)} entries; steps 0 to {last} are {last + 1}.")
    return words or [f"Agrees with the expected run at every step from 0 to {last}."]


def _received(curve: Curve) -> tuple[tuple[str, Sequence[object] | None], ...]:
    return (("record of losses", curve.losses), ("record of weights", curve.weights))


def _cautions(loss: Panel, weights: Panel) -> list[str]:
    cautions: list[str] = []
    if not np.isfinite(loss.received).all():
        cautions.append("Losses that are zero, negative or not finite have no place on a log scale and leave gaps.")
    if not np.isfinite(weights.received).all():
        cautions.append("Weights that are not finite numbers leave gaps.")
    if _beyond(loss) or _beyond(weights):
        cautions.append("What lies far outside the expected range is cut off at the frame.")
    return cautions


def _beyond(panel: Panel) -> bool:
    return not panel.y.holds(_finite(panel.received)).all()

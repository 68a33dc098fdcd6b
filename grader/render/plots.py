"""Lab 1 runs as inline SVG: the submitted trajectory over the expected one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from grader.report import Curve

__all__ = ["CurveFigure", "draw_curve", "parting_step"]

WIDTH, HEIGHT = 420, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 30, 42, 38
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
COLOURS = 5
LABEL_GAP = 13.0
RELATIVE_TOLERANCE = 1e-9
# Where a loss should be 0, rounding in its residuals leaves some 1e-32 of its peak, in a right run too.
LOSS_FLOOR = 1e-18
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Rows = Sequence[Sequence[float]]
_Point = tuple[str, str, str]


@dataclass(frozen=True)
class CurveFigure:
    """Two panels, ready for the page, and what they show in words."""

    title: str
    loss: Markup
    weights: Markup
    state: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class _Axis:
    """A linear axis: data from ``low`` to ``high`` on pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Pixel of a value; what lies far outside lands just beyond the frame, where it is clipped."""
        pixel = self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
        length = abs(self.end - self.start)
        return min(max(pixel, -length), 2 * length)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class _Panel:
    """What one panel draws: lines as columns of numbers, already on the scale of the axis."""

    label: str
    heading: str
    expected: list[list[float]]
    received: list[list[float]]
    x: _Axis
    y: _Axis
    ticks: list[tuple[float, str]]
    names: tuple[str, ...]
    parting: int | None


def draw_curve(curve: Curve) -> CurveFigure:
    """Draw one run. Numbers that are not finite, and losses that have no logarithm, become gaps."""
    loss_step = weight_step = None
    if curve.losses is not None:
        floor = LOSS_FLOOR * max(curve.expected_losses, default=0.0)
        loss_step = parting_step([[v] for v in curve.losses], [[v] for v in curve.expected_losses], floor)
    if curve.weights is not None:
        weight_step = parting_step(curve.weights, curve.expected_weights, 1e-12)
    loss, weights = _loss_panel(curve, loss_step), _weights_panel(curve, weight_step)
    return CurveFigure(
        title=curve.title,
        loss=_draw(loss),
        weights=_draw(weights),
        state=_state(curve, loss_step, weight_step),
        words=(*_words(curve, loss_step, weight_step), *_cautions(loss, weights)),
    )


def parting_step(received: Rows, expected: Rows, floor: float = 0.0) -> int | None:
    """First step at which two runs differ by more than 1e-9, relative to the largest number of that step.

    ``floor`` is an absolute difference that never counts. NaN always differs. A shorter or longer run
    parts at the first step that only one of them has. None where the runs agree to the end.
    """
    for step, (row, wanted) in enumerate(zip(received, expected, strict=False)):
        allowed = RELATIVE_TOLERANCE * max(map(abs, wanted), default=0.0) + floor
        alike = all(a == b or abs(a - b) <= allowed for a, b in zip(row, wanted, strict=False))
        if len(row) != len(wanted) or not alike:
            return step
    return None if len(received) == len(expected) else min(len(received), len(expected))


def _loss_panel(curve: Curve, parting: int | None) -> _Panel:
    expected = [[_log10(value) for value in curve.expected_losses]]
    received = [[_log10(v) for v in curve.losses[: len(curve.expected_losses)]]] if curve.losses else []
    low, high = _domain(expected, received, least_reach=6.0)
    low, high = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    stride = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200) if (high - low) / n <= 6)
    decades = range(math.ceil(low / stride) * stride, high + 1, stride)
    ticks = [(float(d), f"10{str(d).translate(SUPERSCRIPTS)}") for d in decades]
    return _Panel(
        label=f"Loss by step, {curve.title}",
        heading="Loss L(w), log scale",
        expected=expected,
        received=received,
        x=_Axis(0, max(len(curve.expected_losses) - 1, 1), 0, PLOT_WIDTH),
        y=_Axis(low, high, PLOT_HEIGHT, 0),
        ticks=ticks,
        names=(),
        parting=parting,
    )


def _weights_panel(curve: Curve, parting: int | None) -> _Panel:
    elements = len(curve.expected_weights[0]) if curve.expected_weights else 0
    expected = _columns(curve.expected_weights, elements)
    received = _columns((curve.weights or [])[: len(curve.expected_weights)], elements)
    low, high = _domain(expected, received, least_reach=1.0)
    margin = 0.05 * (high - low)
    y = _Axis(low - margin, high + margin, PLOT_HEIGHT, 0)
    return _Panel(
        label=f"Weights by step, {curve.title}",
        heading="Weights w",
        expected=expected,
        received=received,
        x=_Axis(0, max(len(curve.expected_weights) - 1, 1), 0, PLOT_WIDTH),
        y=y,
        ticks=[(t, f"{t:g}".replace("-", "−")) for t in _ticks(y.low, y.high)],
        names=tuple("w" + str(i + 1).translate(SUBSCRIPTS) for i in range(elements)),
        parting=parting,
    )


def _columns(rows: Rows, elements: int) -> list[list[float]]:
    if not rows:
        return []
    return [[row[i] if i < len(row) else math.nan for row in rows] for i in range(elements)]


def _log10(value: float) -> float:
    return math.log10(value) if 0 < value < math.inf else math.nan


def _finite(lines: Rows) -> list[float]:
    return [value for line in lines for value in line if math.isfinite(value)]


def _domain(expected: Rows, received: Rows, least_reach: float) -> tuple[float, float]:
    """Range of the axis: all expected values, and received ones no further off than that range is wide."""
    wanted = _finite(expected) or _finite(received) or [0.0, 1.0]
    low, high = min(wanted), max(wanted)
    reach = max(high - low, least_reach)
    near = [v for v in _finite(received) if low - reach <= v <= high + reach]
    beyond = [min(max(v, low - reach), high + reach) for v in _finite(received)]
    low, high = min([low, *near, *beyond]), max([high, *near, *beyond])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between low and high."""
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    stride = next(power * n for n in (1, 2, 5, 10) if (high - low) / (power * n) <= 6)
    return [round(i * stride, 12) for i in range(math.ceil(low / stride), math.floor(high / stride) + 1)]


def _draw(panel: _Panel) -> Markup:
    paths = [_path(line, panel, f"expected c{i % COLOURS}") for i, line in enumerate(panel.expected)]
    paths += [_path(line, panel, f"received c{i % COLOURS}") for i, line in enumerate(panel.received)]
    # The inner svg clips at the frame without needing an id, which would have to be unique on the page.
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><g transform="translate({} {})">'
        '<text class="heading" x="0" y="-26">{}</text>{}{}<svg width="{}" height="{}">{}</svg>{}{}</g></svg>'
    ).format(
        *(WIDTH, HEIGHT, panel.label, LEFT, TOP, panel.heading),
        *(_y_axis(panel), _x_axis(panel), PLOT_WIDTH, PLOT_HEIGHT, Markup("").join(paths)),
        *(_names(panel), _mark(panel)),
    )


def _path(values: Sequence[float], panel: _Panel, kind: str) -> Markup:
    points: list[_Point] = []
    before = math.nan
    for step, value in enumerate(values):
        drawable = math.isfinite(value)
        # A line between two points beyond the frame would only sweep across it when a run blows up.
        joined = math.isfinite(before) and (panel.y.holds(before) or panel.y.holds(value))
        if drawable:
            x, y = panel.x.place(step), panel.y.place(value)
            points.append(("L" if joined else "M", f"{x:.1f}", f"{y:.1f}"))
        before = value if drawable else math.nan
    drawn = [point for i, point in enumerate(points) if not _is_flat(points, i)]
    # A point between two gaps is a line of no length, which its round caps turn into a dot.
    d = "".join(f"{command}{x} {y}{'h0' if command == 'M' else ''}" for command, x, y in drawn)
    return Markup('<path class="{}" d="{}"/>').format(kind, d)


def _is_flat(points: Sequence[_Point], i: int) -> bool:
    if not 0 < i < len(points) - 1:
        return False
    (_, _, before), (command, _, here), (following, _, after) = points[i - 1 : i + 2]
    return command == following == "L" and before == here == after


def _y_axis(panel: _Panel) -> Markup:
    line = Markup(
        '<path class="grid" d="M0 {0:.1f}H{1}"/><text class="tick y" x="-8" y="{0:.1f}" dy=".32em">{2}</text>'
    )
    return Markup("").join(line.format(panel.y.place(v), PLOT_WIDTH, escape(text)) for v, text in panel.ticks)


def _x_axis(panel: _Panel) -> Markup:
    mark = Markup(
        '<path class="axis" d="M{0:.1f} {1}v4"/><text class="tick x" x="{0:.1f}" y="{2}">{3}</text>'
    )
    marks = [
        mark.format(panel.x.place(t), PLOT_HEIGHT, PLOT_HEIGHT + 17, f"{t:g}")
        for t in _ticks(panel.x.low, panel.x.high)
        if t == int(t)
    ]
    base = Markup('<path class="axis" d="M0 {0}H{1}"/><text class="tick x" x="{2}" y="{3}">step</text>')
    return Markup("").join([base.format(PLOT_HEIGHT, PLOT_WIDTH, PLOT_WIDTH / 2, PLOT_HEIGHT + 33), *marks])


def _names(panel: _Panel) -> Markup:
    """The elements' names where their lines end, moved apart so that none hides another."""
    ends: list[tuple[float, int]] = []
    for i in range(len(panel.names)):
        last = _last_finite(panel.received[i] if panel.received else []) or _last_finite(panel.expected[i])
        if last:
            ends.append((min(max(panel.y.place(last[0]), 0), PLOT_HEIGHT), i))
    ends.sort()
    heights = _spread([height for height, _ in ends])
    name = Markup('<text class="name c{}" x="{}" y="{:.1f}" dy=".32em">{}</text>')
    return Markup("").join(
        name.format(i % COLOURS, PLOT_WIDTH + 6, height, panel.names[i])
        for height, (_, i) in zip(heights, ends, strict=True)
    )


def _last_finite(line: Sequence[float]) -> list[float]:
    return [value for value in line if math.isfinite(value)][-1:]


def _spread(heights: Sequence[float]) -> list[float]:
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + LABEL_GAP) if placed else height)
    limit = float(PLOT_HEIGHT)
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - LABEL_GAP
    return placed


def _mark(panel: _Panel) -> Markup:
    if panel.parting is None:
        return Markup("")
    x = panel.x.place(min(panel.parting, panel.x.high))
    left = x > PLOT_WIDTH * 0.6
    line = Markup('<path class="parting" d="M{0:.1f} -18V{1}"/>').format(x, PLOT_HEIGHT)
    label = Markup('<text class="parting" x="{:.1f}" y="-8" text-anchor="{}">step {}</text>')
    return line + label.format(x - 5 if left else x + 5, "end" if left else "start", panel.parting)


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
        words += (
            [f"The loss parts from the expected run at step {loss_step}."] if loss_step is not None else []
        )
        words += (
            [f"The weights part from the expected run at step {weight_step}."]
            if weight_step is not None
            else []
        )
    last = len(curve.expected_weights) - 1
    for name, rows in _received(curve):
        if rows is not None and len(rows) != last + 1:
            words.append(f"The {name} has {len(rows)} entries; steps 0 to {last} are {last + 1}.")
    return words or [f"Agrees with the expected run at every step from 0 to {last}."]


def _received(curve: Curve) -> tuple[tuple[str, Sequence[object] | None], ...]:
    return (("record of losses", curve.losses), ("record of weights", curve.weights))


def _cautions(loss: _Panel, weights: _Panel) -> list[str]:
    cautions: list[str] = []
    if len(_finite(loss.received)) < sum(map(len, loss.received)):
        cautions.append(
            "Losses that are zero, negative or not finite have no place on a log scale and leave gaps."
        )
    if len(_finite(weights.received)) < sum(map(len, weights.received)):
        cautions.append("Weights that are not finite numbers leave gaps.")
    if _beyond(loss) or _beyond(weights):
        cautions.append("What lies far outside the expected range is cut off at the frame.")
    return cautions


def _beyond(panel: _Panel) -> bool:
    return not all(panel.y.holds(value) for value in _finite(panel.received))

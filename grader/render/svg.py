"""One panel of a plot as inline SVG; its colours are in the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = ["Axis", "Panel", "draw_panel"]

_WIDTH, _HEIGHT = 420, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 30, 42, 38
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_COLOURS = 5
_LABEL_GAP = 13.0

_Point = tuple[str, str, str]


@dataclass(frozen=True)
class Axis:
    """A linear axis: data from ``low`` to ``high`` on pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def across(cls, low: float, high: float) -> Axis:
        """The horizontal axis of a panel."""
        return cls(low, high, 0, _PLOT_WIDTH)

    @classmethod
    def upward(cls, low: float, high: float) -> Axis:
        """The vertical axis of a panel; pixels count downward."""
        return cls(low, high, _PLOT_HEIGHT, 0)

    def place(self, value: float) -> float:
        """Pixel of a value; what lies far outside lands just beyond the frame, where it is clipped."""
        pixel = self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
        length = abs(self.end - self.start)
        return min(max(pixel, -length), 2 * length)

    def holds(self, value: float) -> bool:
        """Whether a value lies within the frame."""
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        """About five round numbers between low and high."""
        power = 10.0 ** math.floor(math.log10((self.high - self.low) / 5))
        stride = next(power * n for n in (1, 2, 5, 10) if (self.high - self.low) / (power * n) <= 6)
        return [round(i * stride, 12) for i in range(math.ceil(self.low / stride), math.floor(self.high / stride) + 1)]


@dataclass(frozen=True)
class Panel:
    """What one panel draws: lines as columns of numbers, already on the scale of the axis.

    ``ticks`` are those of the vertical axis with their labels, ``names`` are written where the lines end, and
    ``parting`` is the step to mark.
    """

    label: str
    heading: str
    expected: list[list[float]]
    received: list[list[float]]
    x: Axis
    y: Axis
    ticks: list[tuple[float, str]]
    names: tuple[str, ...]
    parting: int | None


def draw_panel(panel: Panel) -> Markup:
    """The panel as one ``svg`` element. Numbers that are not finite become gaps."""
    paths = [_path(line, panel, f"expected c{i % _COLOURS}") for i, line in enumerate(panel.expected)]
    paths += [_path(line, panel, f"received c{i % _COLOURS}") for i, line in enumerate(panel.received)]
    # The inner svg clips at the frame without needing an id, which would have to be unique on the page.
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><g transform="translate({} {})">'
        '<text class="heading" x="0" y="-26">{}</text>{}{}<svg width="{}" height="{}">{}</svg>{}{}</g></svg>'
    ).format(
        *(_WIDTH, _HEIGHT, panel.label, _LEFT, _TOP, panel.heading),
        *(_y_axis(panel), _x_axis(panel), _PLOT_WIDTH, _PLOT_HEIGHT, Markup("").join(paths)),
        *(_names(panel), _mark(panel)),
    )


def _path(values: Sequence[float], panel: Panel, kind: str) -> Markup:
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


def _y_axis(panel: Panel) -> Markup:
    line = Markup(
        '<path class="grid" d="M0 {0:.1f}H{1}"/><text class="tick y" x="-8" y="{0:.1f}" dy=".32em">{2}</text>'
    )
    return Markup("").join(line.format(panel.y.place(v), _PLOT_WIDTH, escape(text)) for v, text in panel.ticks)


def _x_axis(panel: Panel) -> Markup:
    mark = Markup('<path class="axis" d="M{0:.1f} {1}v4"/><text class="tick x" x="{0:.1f}" y="{2}">{3}</text>')
    marks = [
        mark.format(panel.x.place(t), _PLOT_HEIGHT, _PLOT_HEIGHT + 17, f"{t:g}") for t in panel.x.ticks() if t == int(t)
    ]
    base = Markup('<path class="axis" d="M0 {0}H{1}"/><text class="tick x" x="{2}" y="{3}">step</text>')
    return Markup("").join([base.format(_PLOT_HEIGHT, _PLOT_WIDTH, _PLOT_WIDTH / 2, _PLOT_HEIGHT + 33), *marks])


def _names(panel: Panel) -> Markup:
    """The elements' names where their lines end, moved apart so that none hides another."""
    ends: list[tuple[float, int]] = []
    for i in range(len(panel.names)):
        last = _last_finite(panel.received[i] if panel.received else []) or _last_finite(panel.expected[i])
        if last:
            ends.append((min(max(panel.y.place(last[0]), 0), _PLOT_HEIGHT), i))
    ends.sort()
    heights = _spread([height for height, _ in ends])
    name = Markup('<text class="name c{}" x="{}" y="{:.1f}" dy=".32em">{}</text>')
    return Markup("").join(
        name.format(i % _COLOURS, _PLOT_WIDTH + 6, height, panel.names[i])
        for height, (_, i) in zip(heights, ends, strict=True)
    )


def _last_finite(line: Sequence[float]) -> list[float]:
    return [value for value in line if math.isfinite(value)][-1:]


def _spread(heights: Sequence[float]) -> list[float]:
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + _LABEL_GAP) if placed else height)
    limit = float(_PLOT_HEIGHT)
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - _LABEL_GAP
    return placed


def _mark(panel: Panel) -> Markup:
    if panel.parting is None:
        return Markup("")
    x = panel.x.place(min(panel.parting, panel.x.high))
    left = x > _PLOT_WIDTH * 0.6
    line = Markup('<path class="parting" d="M{0:.1f} -18V{1}"/>').format(x, _PLOT_HEIGHT)
    label = Markup('<text class="parting" x="{:.1f}" y="-8" text-anchor="{}">step {}</text>')
    return line + label.format(x - 5 if left else x + 5, "end" if left else "start", panel.parting)

"""One panel of a plot as inline SVG; its colours are in the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

__all__ = ["Axis", "Lines", "Panel", "draw_panel"]

Lines = NDArray[np.float64]
"""One row for each line, one column for each step."""

_WIDTH, _HEIGHT = 420, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 30, 42, 38
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_COLOURS = 5
_LABEL_GAP = 13.0
_CACHED_LINES = 256


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
        pixel = self.start + (value - self.low) * self._scale
        return min(max(pixel, -self._length), 2 * self._length)

    def places(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The pixels of many values."""
        with np.errstate(over="ignore"):
            pixels = self.start + (values - self.low) * self._scale
        return np.minimum(np.maximum(pixels, -self._length), 2 * self._length)

    @property
    def _length(self) -> float:
        return abs(self.end - self.start)

    @property
    def _scale(self) -> float:
        return (self.end - self.start) / (self.high - self.low)

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values lie within the frame."""
        return (self.low <= values) & (values <= self.high)

    def ticks(self) -> list[float]:
        """About five round numbers between low and high."""
        power = 10.0 ** math.floor(math.log10((self.high - self.low) / 5))
        stride = next(power * n for n in (1, 2, 5, 10) if (self.high - self.low) / (power * n) <= 6)
        return [round(i * stride, 12) for i in range(math.ceil(self.low / stride), math.floor(self.high / stride) + 1)]


@dataclass(frozen=True)
class Panel:
    """What one panel draws: lines whose numbers are already on the scale of the axis.

    ``ticks`` are those of the vertical axis with their labels, ``names`` are written where the lines end, and
    ``parting`` is the step to mark.
    """

    label: str
    heading: str
    expected: Lines
    received: Lines
    x: Axis
    y: Axis
    ticks: list[tuple[float, str]]
    names: tuple[str, ...]
    parting: int | None


def draw_panel(panel: Panel) -> Markup:
    """The panel as one ``svg`` element. Numbers that are not finite become gaps."""
    paths = _paths(panel.expected, panel, "expected") + _paths(panel.received, panel, "received")
    # The inner svg clips at the frame without needing an id, which would have to be unique on the page.
    return Markup(
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(panel.label)}">'
        f'<g transform="translate({_LEFT} {_TOP})"><text class="heading" x="0" y="-26">{escape(panel.heading)}</text>'
        f'{_y_axis(panel)}{_x_axis(panel)}<svg width="{_PLOT_WIDTH}" height="{_PLOT_HEIGHT}">{paths}</svg>'
        f"{_names(panel)}{_mark(panel)}</g></svg>"
    )


def _paths(lines: Lines, panel: Panel, kind: str) -> str:
    if not lines.size:
        return ""
    drawn = _commands(lines.tobytes(), len(lines), panel.x, panel.y)
    return "".join(f'<path class="{kind} c{i % _COLOURS}" d="{d}"/>' for i, d in enumerate(drawn))


@lru_cache(_CACHED_LINES)
def _commands(lines: bytes, count: int, across: Axis, upward: Axis) -> list[str]:
    """The ``d`` of each path; all reports of a class draw the same expected lines, and many students' agree."""
    numbers = np.frombuffer(lines)
    places = np.flatnonzero(np.isfinite(numbers))
    line, step = np.divmod(places, len(numbers) // count)
    values = numbers[places]
    x, y = _tenths(across.places(step.astype(float))), _tenths(upward.places(values))
    # A line between two points beyond the frame would only sweep across it when a run blows up.
    held = upward.holds(values)
    starts = np.ones(len(places), bool)
    starts[1:] = (np.diff(places) > 1) | np.diff(line).astype(bool) | ~(held[1:] | held[:-1])
    drawn = ~_are_flat(y, starts)
    moves, lines_to, heights = _texts()
    pieces = np.empty((np.count_nonzero(drawn), 2), object)
    pieces[:, 0] = np.where(starts, moves[x], lines_to[x])[drawn]
    # A point between two gaps is a line of no length, which its round caps turn into a dot.
    pieces[:, 1] = np.where(starts, heights[y] + "h0", heights[y])[drawn]
    ends = 2 * np.searchsorted(line[drawn], np.arange(count + 1))
    texts = pieces.ravel().tolist()
    return ["".join(texts[start:end]) for start, end in pairwise(ends.tolist())]


def _are_flat(heights: NDArray[np.int64], starts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which points lie between two others of a line at the same height, so that the line is the same without them."""
    flat = np.zeros(len(heights), bool)
    level = ~starts[1:] & (heights[1:] == heights[:-1])
    flat[1:-1] = level[1:] & level[:-1]
    return flat


def _tenths(pixels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Tenths of pixels, which index what ``_texts`` gives; places before the frame count from its end."""
    return np.rint(10 * pixels).astype(np.int64)


@cache
def _texts() -> tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.object_]]:
    """By tenths of pixels the text of a move, of a line (up to its height), and of a height."""
    reach = 10 * max(_PLOT_WIDTH, _PLOT_HEIGHT)
    pixels = [f"{tenths / 10:.1f}" for tenths in (*range(2 * reach + 1), *range(-reach, 0))]
    moves, lines = [f"M{pixel} " for pixel in pixels], [f"L{pixel} " for pixel in pixels]
    return np.array(moves, object), np.array(lines, object), np.array(pixels, object)


def _y_axis(panel: Panel) -> str:
    marks = [(f"{panel.y.place(value):.1f}", escape(text)) for value, text in panel.ticks]
    return "".join(
        f'<path class="grid" d="M0 {y}H{_PLOT_WIDTH}"/><text class="tick y" x="-8" y="{y}" dy=".32em">{text}</text>'
        for y, text in marks
    )


def _x_axis(panel: Panel) -> str:
    base = f'<path class="axis" d="M0 {_PLOT_HEIGHT}H{_PLOT_WIDTH}"/>'
    name = f'<text class="tick x" x="{_PLOT_WIDTH / 2}" y="{_PLOT_HEIGHT + 33}">step</text>'
    marks = [(f"{panel.x.place(step):.1f}", f"{step:g}") for step in panel.x.ticks() if step == int(step)]
    return f"{base}{name}" + "".join(
        f'<path class="axis" d="M{x} {_PLOT_HEIGHT}v4"/>'
        f'<text class="tick x" x="{x}" y="{_PLOT_HEIGHT + 17}">{text}</text>'
        for x, text in marks
    )


def _names(panel: Panel) -> str:
    """The elements' names where their lines end, moved apart so that none hides another."""
    ends: list[tuple[float, int]] = []
    for i in range(len(panel.names)):
        last = [*_last_finite(panel.expected[i : i + 1]), *_last_finite(panel.received[i : i + 1])]
        if last:
            ends.append((min(max(panel.y.place(last[-1]), 0), _PLOT_HEIGHT), i))
    ends.sort()
    heights = _spread([height for height, _ in ends])
    return "".join(
        f'<text class="name c{i % _COLOURS}" x="{_PLOT_WIDTH + 6}" y="{y:.1f}" dy=".32em">'
        f"{escape(panel.names[i])}</text>"
        for y, (_, i) in zip(heights, ends, strict=True)
    )


def _last_finite(line: Lines) -> list[float]:
    last: list[float] = line[np.isfinite(line)][-1:].tolist()
    return last


def _spread(heights: Sequence[float]) -> list[float]:
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + _LABEL_GAP) if placed else height)
    limit = float(_PLOT_HEIGHT)
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - _LABEL_GAP
    return placed


def _mark(panel: Panel) -> str:
    if panel.parting is None:
        return ""
    x = panel.x.place(min(panel.parting, panel.x.high))
    near, anchor = (x - 5, "end") if x > _PLOT_WIDTH * 0.6 else (x + 5, "start")
    return (
        f'<path class="parting" d="M{x:.1f} -18V{_PLOT_HEIGHT}"/>'
        f'<text class="parting" x="{near:.1f}" y="-8" text-anchor="{anchor}">step {panel.parting}</text>'
    )

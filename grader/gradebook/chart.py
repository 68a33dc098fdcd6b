"""A distribution of points as inline SVG, and in words; its colours are in the pages' style sheet."""

from __future__ import annotations

from markupsafe import Markup

from grader.gradebook.figures import Bin, Spread
from grader.render.svg import Axis
from grader.render.view import counted, format_points

__all__ = ["describe", "draw_distribution"]

_WIDTH, _HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 44, 36
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_STRIP = -9
_GAP = 1.5


def draw_distribution(spread: Spread, label: str) -> Markup:
    """A bar for each bin; above them a strip from the lowest to the highest number with the middle half and median."""
    across = Axis(spread.bins[0].low, spread.bins[-1].high, 0, _PLOT_WIDTH)
    most = max(bin.count for bin in spread.bins)
    upward = Axis(0, max(most, 1), _PLOT_HEIGHT, 0)
    bars = Markup("").join(_bar(bin, across, upward) for bin in spread.bins if bin.count)
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"><g transform="translate({} {})">'
        '<text class="heading" x="0" y="-30">{}</text>{}{}{}{}</g></svg>'
    ).format(
        *(_WIDTH, _HEIGHT, f"{label}. {describe(spread)}", _LEFT, _TOP, label),
        *(_counts(upward), bars, _points(across), _strip(spread, across)),
    )


def describe(spread: Spread) -> str:
    """The distribution in one sentence."""
    lower, upper = format_points(spread.lower_quartile), format_points(spread.upper_quartile)
    return (
        f"Mean {format_points(spread.mean)}, median {format_points(spread.median)}; the middle half from {lower} to "
        f"{upper}, all from {format_points(spread.lowest)} to {format_points(spread.highest)}."
    )


def _bar(bin: Bin, across: Axis, upward: Axis) -> Markup:
    left, right = across.place(bin.low) + _GAP / 2, across.place(bin.high) - _GAP / 2
    top = upward.place(bin.count)
    bar = '<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
    words = f"{format_points(bin.low)} to {format_points(bin.high)} points: {counted(bin.count, 'student')}"
    return Markup(bar).format(left, top, right - left, _PLOT_HEIGHT - top, words)


def _counts(upward: Axis) -> Markup:
    line = '<path class="grid" d="M0 {0:.1f}H{1}"/><text class="tick y" x="-7" y="{0:.1f}" dy=".32em">{2:g}</text>'
    whole = [tick for tick in upward.ticks() if tick == int(tick)]
    return Markup("").join(Markup(line).format(upward.place(tick), _PLOT_WIDTH, tick) for tick in whole)


def _points(across: Axis) -> Markup:
    base = Markup('<path class="axis" d="M0 {0}H{1}"/><text class="tick x" x="{2}" y="{3}">points</text>')
    mark = Markup('<path class="axis" d="M{0:.1f} {1}v4"/><text class="tick x" x="{0:.1f}" y="{2}">{3:g}</text>')
    marks = [mark.format(across.place(tick), _PLOT_HEIGHT, _PLOT_HEIGHT + 17, tick) for tick in across.ticks()]
    return Markup("").join([base.format(_PLOT_HEIGHT, _PLOT_WIDTH, _PLOT_WIDTH / 2, _PLOT_HEIGHT + 32), *marks])


def _strip(spread: Spread, across: Axis) -> Markup:
    numbers = (spread.lowest, spread.highest, spread.lower_quartile, spread.upper_quartile, spread.median)
    low, high, lower, upper, median = (across.place(number) for number in numbers)
    return Markup(
        '<g class="strip"><path d="M{:.1f} {}H{:.1f}"/><rect x="{:.1f}" y="{}" width="{:.1f}" height="8" rx="2"/>'
        '<path class="median" d="M{:.1f} {}v12"/></g>'
    ).format(low, _STRIP, high, lower, _STRIP - 4, max(upper - lower, 1), median, _STRIP - 6)

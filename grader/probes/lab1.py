"""Probes of Lab 1: call a function on a problem; run a solver; look into a figure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from grader.probes.plain import Array, Outputs, Params, Reply, number, real_array, require_kind
from grader.worker.student import ProbeFailed, Student

__all__ = ["function", "losses", "plot_loss", "plot_weights", "solver"]

_MODULE = "lab1_sparse_optimization"
_RETRIED = ("raised", "shape", "type")


class _History(NamedTuple):
    """Stands in for the template's History, which a notebook may have dropped."""

    weights: Array
    losses: Array


def _in_either_shape(attempt: Callable[[Mapping[str, Array]], Reply], arrays: Mapping[str, Array]) -> Reply:
    """Try with vectors of shape (d,), as documented, and if that fails with columns (d, 1), which are right too."""
    try:
        return attempt({name: array.copy() for name, array in arrays.items()})
    except ProbeFailed as failure:
        if failure.kind not in _RETRIED:
            raise
        columns = {name: a[:, None].copy() if a.ndim == 1 else a.copy() for name, a in arrays.items()}
        try:
            return attempt(columns)
        except ProbeFailed:
            raise failure from None


def _in_order(inputs: Mapping[str, Array]) -> list[Array]:
    """The arrays in the order in which every function of Lab 1 takes them."""
    return [inputs[name] for name in ("X", "y", "w", "w0") if name in inputs]


def function(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``params["name"]`` with the arrays and then the scalars; the value and the arguments afterwards."""
    name = params["name"]

    def attempt(inputs: Mapping[str, Array]) -> Reply:
        callee = student.attribute(_MODULE, name)
        value = student.call(callee, *_in_order(inputs), *params["scalars"].values())
        shape = () if params["returns"] == "number" else arrays["w"].shape
        outputs: Outputs = {"value": real_array(value, f"the result of `{name}`", shape)}
        after = {f"after.{key}": a.reshape(arrays[key].shape) for key, a in inputs.items()}
        return {}, outputs | after

    return _in_either_shape(attempt, arrays)


def solver(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Run the solver ``params["name"]``; its History, and its arguments afterwards."""
    name, steps = params["name"], params["steps"]
    d = len(arrays["w0"])

    def attempt(inputs: Mapping[str, Array], *, losses_needed: bool = True) -> Reply:
        callee = student.attribute(_MODULE, name)
        history = student.call(_by_position(callee, params["scalars"]), *_in_order(inputs), params["lr"], steps)
        weights, losses = _unpack(history, name)
        outputs: Outputs = {
            "weights": real_array(weights, f"History.weights of `{name}`", (steps + 1, d)),
        }
        outputs |= {f"after.{key}": a.reshape(arrays[key].shape) for key, a in inputs.items()}
        try:
            outputs["losses"] = real_array(losses, f"History.losses of `{name}`", (steps + 1,))
        except ProbeFailed as failure:
            if losses_needed:
                raise
            return {"losses": failure.message}, outputs
        return {}, outputs

    try:
        return _in_either_shape(attempt, arrays)
    except ProbeFailed as failure:
        if failure.kind not in ("shape", "type"):
            raise
        return _in_either_shape(partial(attempt, losses_needed=False), arrays)


def _by_position(callee: Any, scalars: Params) -> Any:
    """The solver with its last arguments set: by name as documented, by position where they are called otherwise."""
    try:
        names = inspect.signature(callee).parameters.values()
    except (TypeError, ValueError):
        return partial(callee, **scalars)
    takes = {p.name for p in names}
    if scalars.keys() <= takes or any(p.kind is p.VAR_KEYWORD for p in names):
        return partial(callee, **scalars)
    return lambda *first: callee(*first, *scalars.values())


def _unpack(history: Any, name: str) -> tuple[Any, Any]:
    """Weights and losses of a History, or of a plain pair."""
    if hasattr(history, "weights") and hasattr(history, "losses"):
        return history.weights, history.losses
    if isinstance(history, (tuple, list)) and len(history) == 2:
        return history[0], history[1]
    kind = "None (is a `return` missing?)" if history is None else type(history).__name__
    raise ProbeFailed("type", f"`{name}` returned {kind}, but should return a History")


def losses(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """The student's own ``loss`` of every row of ``weights``."""

    def attempt(inputs: Mapping[str, Array]) -> Reply:
        callee = student.attribute(_MODULE, "loss")
        rows = [w if inputs["y"].ndim == 1 else w[:, None] for w in inputs["weights"]]
        values = [number(student.call(callee, inputs["X"], inputs["y"], w), "the result of `loss`") for w in rows]
        return {}, {"losses": np.array(values)}

    return _in_either_shape(attempt, arrays)


def _history(student: Student, weights: Array, losses: Array) -> Any:
    try:
        made = student.call(student.attribute(_MODULE, "History"), weights.copy(), losses.copy())
    except ProbeFailed:
        made = _History(weights.copy(), losses.copy())
    return made


def plot_loss(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Draw ``plot_loss`` of the runs named in ``params["labels"]`` and describe the figure."""
    histories = {
        label: _history(student, arrays[f"{i}.weights"], arrays[f"{i}.losses"])
        for i, label in enumerate(params["labels"])
    }
    return _describe(student, "plot_loss", histories)


def plot_weights(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Draw ``plot_weights`` of one run and describe the figure."""
    return _describe(student, "plot_weights", _history(student, arrays["weights"], arrays["losses"]))


def _describe(student: Student, name: str, argument: Any) -> Reply:
    """The figure as an object: its axes' scale, labels and legend as facts, its lines' data as arrays."""
    try:
        figure = student.call(student.attribute(_MODULE, name), argument)
        if isinstance(figure, Axes):
            figure = figure.figure
        require_kind(figure, Figure, f"the result of `{name}`")
        return _lines(figure, name)
    finally:
        plt.close("all")


def _lines(figure: Figure, name: str) -> Reply:
    drawn = [axes for axes in figure.axes if axes.lines]
    if not drawn:
        raise ProbeFailed("type", f"the figure of `{name}` has no lines")
    lines = [line for axes in drawn for line in axes.lines if not _is_guide(line)]
    axes = drawn[0]
    legend = axes.get_legend() or next(iter(figure.legends), None)
    facts = {
        "yscale": axes.get_yscale(),
        "xscale": axes.get_xscale(),
        "xlabel": axes.get_xlabel() or figure.get_supxlabel(),
        "ylabel": axes.get_ylabel() or figure.get_supylabel(),
        "legend": [text.get_text() for text in legend.get_texts()] if legend else [],
        "distinct": len({i for i, a in enumerate(lines) if not any(_alike(a, b) for b in lines[:i])}),
        "lines": len(lines),
    }
    outputs: Outputs = {}
    for i, line in enumerate(lines):
        outputs[f"{i}.x"] = np.asarray(line.get_xdata(), dtype=np.float64).copy()
        outputs[f"{i}.y"] = np.asarray(line.get_ydata(), dtype=np.float64).copy()
    return facts, outputs


def _is_guide(line: Any) -> bool:
    """A horizontal or vertical helper line has two points, no run does."""
    return len(line.get_xdata()) <= 2


def _alike(a: Any, b: Any) -> bool:
    """Whether two lines cannot be told apart by colour, dash or marker."""
    return (
        same_color(a.get_color(), b.get_color())
        and a.get_linestyle() == b.get_linestyle()
        and a.get_marker() == b.get_marker()
    )

"""Figures for the report: accuracy by sparsity and by bits, sparsity by layer, training curves, weights and levels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from safetensors.torch import load_file
from torch import Tensor

from grader.files import write_atomically
from grader.runs.code import Code
from grader.runs.execute import Outcome
from grader.runs.plan import PRETRAIN, Run
from grader.runs.rounds import read_curve

__all__ = ["draw"]

_SIZE = (6.4, 4.0)


def draw(code: Code, runs: Mapping[str, Run], outcomes: Mapping[str, Outcome], folders: Mapping[str, Path],
         out: Path) -> list[Path]:  # fmt: skip
    """Draw what there are outcomes for, as SVG files in ``out``, each written whole; returns their paths.

    Args:
        code: the assignment's modules.
        runs: all runs by name. One whose metrics are damaged has no training curve.
        outcomes: of those that have ended, by name.
        folders: where each run is kept, by name.
        out: a folder; made if it is missing.

    Raises:
        GraderError: the disk refuses.
    """
    ended = {name: run for name, run in runs.items() if name in outcomes}
    figures = {
        "accuracy-by-sparsity": _accuracy_by_sparsity(ended, outcomes),
        "accuracy-by-bits": _accuracy_by_bits(ended, outcomes),
        "sparsity-by-layer": _sparsity_by_layer(ended, outcomes),
        "training-curves": _training_curves(ended, outcomes, folders),
        "weights-and-levels": _weights_and_levels(code, ended, folders),
    }
    return [_saved(figure, out / f"{name}.svg") for name, figure in figures.items() if figure is not None]


def _saved(figure: Figure, path: Path) -> Path:
    """Without a date and with fixed ids, so that the same numbers give the same bytes."""
    from matplotlib import rc_context

    drawn = io.BytesIO()
    with rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    write_atomically(path, [drawn.getvalue()])
    return path


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # bits, epochs and percent
    axes.grid(alpha=0.3)
    return figure, axes


def _line(axes: Axes, runs: Sequence[Run], outcomes: Mapping[str, Outcome], label: str, style: str = "o-") -> None:
    points = sorted((run.value or 0.0, 100 * outcomes[run.name].accuracy) for run in runs)
    axes.plot([x for x, _ in points], [y for _, y in points], style, label=label)


def _baseline(axes: Axes, outcomes: Mapping[str, Outcome]) -> None:
    if "float" in outcomes:
        axes.axhline(100 * outcomes["float"].accuracy, color="0.5", linestyle=":", label="float")


def _accuracy_by_sparsity(runs: Mapping[str, Run], outcomes: Mapping[str, Outcome]) -> Figure | None:
    one_shot = [run for run in runs.values() if run.experiment.method == "one_shot"]
    trained = [run for run in runs.values() if run.experiment.method in ("finetune", "iterative", "global_iterative")]
    if not one_shot and not trained:
        return None
    figure, axes = _axes("Accuracy against sparsity", "sparsity (%)", "test accuracy (%)")
    _baseline(axes, outcomes)
    _line(axes, one_shot, outcomes, "one-shot, not trained again")
    for run in trained:
        outcome = outcomes[run.name]
        axes.plot(100 * outcome.sparsity, 100 * outcome.accuracy, "s", label=run.experiment.title)
    axes.legend(fontsize="small")
    return figure


def _accuracy_by_bits(runs: Mapping[str, Run], outcomes: Mapping[str, Outcome]) -> Figure | None:
    families: dict[str, list[Run]] = {}
    for run in runs.values():
        if run.experiment.over in ("bits", "finetuned_bits"):
            families.setdefault(run.experiment.title, []).append(run)
    if not families:
        return None
    figure, axes = _axes("Accuracy against bits per weight", "bits", "test accuracy (%)")
    _baseline(axes, outcomes)
    for title, family in families.items():
        _line(axes, family, outcomes, title, "o-" if family[0].experiment.trains else "o--")
    axes.legend(fontsize="small")
    return figure


def _sparsity_by_layer(runs: Mapping[str, Run], outcomes: Mapping[str, Outcome]) -> Figure | None:
    pruned = [run for run in runs.values() if run.experiment.method == "global_iterative"]
    if not pruned:
        return None
    layers = outcomes[pruned[0].name].sparsity_by_layer
    figure, axes = _axes("Zeros in each layer under one threshold", "", "sparsity (%)")
    axes.bar(range(len(layers)), [100 * value for value in layers.values()])
    axes.axhline(100 * outcomes[pruned[0].name].sparsity, color="0.3", linestyle=":")
    axes.set_xticks(range(len(layers)), list(layers), rotation=90, fontsize="x-small")
    return figure


def _training_curves(
    runs: Mapping[str, Run], outcomes: Mapping[str, Outcome], folders: Mapping[str, Path]
) -> Figure | None:
    trained = [run.name for run in runs.values() if run.experiment.trains]
    curves = {name: read_curve(folders[name], outcomes[name].epochs) for name in trained}
    if not any(curves.values()):
        return None
    figure, axes = _axes("Test accuracy while training", "epoch", "test accuracy (%)")
    for name, metrics in curves.items():
        if metrics:
            axes.plot([m["epoch"] for m in metrics], [100 * m["test_accuracy"] for m in metrics], ".-", label=name)
    axes.legend(fontsize="x-small", ncols=2)
    return figure


def _weights_and_levels(code: Code, runs: Mapping[str, Run], folders: Mapping[str, Path]) -> Figure | None:
    """The weights of the widest quantized convolution, and where its levels lie, for each number of bits."""
    quantized = [run for run in runs.values() if run.experiment.method == "ptq" and not run.experiment.symmetric]
    quantized = [run for run in quantized if run.start == PRETRAIN]
    if not quantized:
        return None
    figure = Figure((_SIZE[0], 1.6 * len(quantized)), layout="constrained")
    panels: Any = figure.subplots(len(quantized), squeeze=False, sharex=True)
    for run, axes in zip(quantized, panels[:, 0], strict=True):
        name, weight = _largest(load_file(folders[run.name] / "net.safetensors"))
        values = weight[weight != 0]
        axes.hist(values.numpy(), bins=80, color="0.7")
        for level in _levels(code, weight, int(run.value or 0)):
            axes.axvline(level, color="C0", linewidth=0.6)
        axes.set_title(f"{run.name}: {name}", fontsize="small")
        axes.set_yticks([])
    return figure


def _largest(state: Mapping[str, Tensor]) -> tuple[str, Tensor]:
    weights = ((name, value) for name, value in state.items() if name.startswith("body_op") and value.dim() == 4)
    return max(weights, key=lambda item: item[1].numel())


def _levels(code: Code, weight: Tensor, num_bits: int) -> Iterator[float]:
    quantized = code.layers.STE.apply(weight, num_bits)
    yield from np.unique(quantized[quantized != 0].numpy()).tolist()

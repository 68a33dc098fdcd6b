"""A report in the form in which it crosses between processes and lies in the store."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load, save

from grader.report import Curve, Report

__all__ = ["Packed", "pack", "unpack"]


@dataclass(frozen=True, slots=True)
class Packed:
    """A report.

    Args:
        report: JSON, without the curves.
        curves: title, digest of the expected run, and digest of the student's or None.
        runs: compressed runs by digest; float32, which is finer than any screen.
    """

    report: str
    curves: tuple[tuple[str, str, str | None], ...]
    runs: Mapping[str, bytes]


def pack(report: Report) -> Packed:
    """The packed form of a report."""
    runs: dict[str, bytes] = {}
    curves = []
    for curve in report.curves:
        expected = _add(runs, curve.expected_weights, curve.expected_losses)
        own = _add(runs, curve.weights, curve.losses) if curve.weights is not None else None
        curves.append((curve.title, expected, own))
    return Packed(report.model_dump_json(exclude={"curves"}), tuple(curves), runs)


def _add(runs: dict[str, bytes], weights: list[list[float]] | None, losses: list[float] | None) -> str:
    with np.errstate(over="ignore"):  # a run that diverges
        arrays = {"weights": np.asarray(weights, np.float32)}
        if losses is not None:
            arrays["losses"] = np.asarray(losses, np.float32)
    raw = save(arrays)
    digest = hashlib.sha256(raw).hexdigest()
    if digest not in runs:
        runs[digest] = zlib.compress(raw)
    return digest


def unpack(report: str, curves: Sequence[tuple[str, str, str | None]] = (), runs: Mapping[str, bytes] = {}) -> Report:
    """The report again; without ``runs``, without curves."""
    plain = Report.model_validate_json(report)
    if not runs:
        return plain
    drawn = [_curve(title, _run(runs, expected), _run(runs, own)) for title, expected, own in curves]
    return plain.model_copy(update={"curves": tuple(drawn)})


_Run = dict[str, list[list[float]] | list[float]]


def _run(runs: Mapping[str, bytes], digest: str | None) -> _Run:
    if digest is None:
        return {}
    return {name: array.tolist() for name, array in load(zlib.decompress(runs[digest])).items()}


def _curve(title: str, expected: _Run, own: _Run) -> Curve:
    return Curve.model_construct(
        title=title,
        expected_weights=expected["weights"],
        expected_losses=expected["losses"],
        weights=own.get("weights"),
        losses=own.get("losses"),
    )

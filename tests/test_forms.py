"""Answers have the form that honest probes give; anything else fails its own check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grader import forms
from grader.errors import CheckFailed
from grader.forms import require_form
from grader.grade import Grader
from grader.submission import Submission

SOLVER: dict[str, Any] = {"steps": 3}
START = {"X": np.zeros((2, 5)), "y": np.zeros(2), "w0": np.zeros(5)}
NET = {"net.a.weight": np.zeros((2, 3))}


def test_every_fact_of_every_probe_has_a_type(
    grader: Grader, reference: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, set[str]] = {}

    def note(probe: str, params: Any, inputs: Any, facts: Any, arrays: Any) -> None:
        asked.setdefault(probe, set()).update(facts)
        require_form(probe, params, inputs, facts, arrays)

    monkeypatch.setattr("grader.session.require_form", note)
    report = grader.grade(reference)
    assert report.score == 84
    assert len(asked) >= 10
    assert set().union(*asked.values()) <= set(forms._Facts.model_fields)


@pytest.mark.parametrize(
    ("probe", "facts", "arrays"),
    [
        ("lab1.solver", {}, {"weights": np.zeros((4, 5)), "losses": np.zeros(4), "after.w0": np.zeros(5)}),
        ("lab1.solver", {"losses": "has shape (2,)"}, {"weights": np.zeros((4, 5))}),
        ("lab1.plot_loss", {"lines": 1, "legend": ["a"]}, {"0.x": np.zeros(7), "0.y": np.zeros(7)}),
        ("lab2.finetune", {"training": [True, 1], "images": [2, 2]}, {"seen.a": np.zeros((3, 2, 3), np.float32)}),
        ("lab2.evaluate", {"accuracy": float("nan")}, {"net.b.num_batches_tracked": np.array(3)}),
    ],
)
def test_what_probes_give_passes(probe: str, facts: Any, arrays: Any) -> None:
    require_form(probe, SOLVER, START | NET, facts, arrays)


@pytest.mark.parametrize(
    ("probe", "facts", "arrays", "named"),
    [
        ("lab1.solver", {}, {}, "weights"),
        ("lab1.solver", {}, {"weights": np.zeros((5, 4))}, "weights"),
        ("lab1.solver", {}, {"weights": np.zeros((4, 5)), "after.w0": np.zeros(4)}, "after.w0"),
        ("lab1.solver", {}, {"weights": np.zeros((4, 5), int)}, "weights"),
        ("lab1.plot_loss", {"lines": "1"}, {}, "lines"),
        ("lab1.plot_loss", {"legend": ["9" * 5000]}, {}, "legend"),
        ("lab1.plot_loss", {"lines": 1}, {"0.x": np.zeros(0)}, "0.x"),
        ("lab2.finetune", {"training": None}, {}, "training"),
        ("lab2.finetune", {"training": [True], "images": []}, {}, "images"),
        ("lab2.finetune", {"training": [True]}, {"seen.a": np.zeros((3, 2, 3))}, "seen.a"),
        ("lab2.sparsity", {"sparsity": {"a": "b"}}, {}, "sparsity.a"),
        ("lab3.accuracy_by_bits", {"bits": [1, 2], "values": [0.5]}, {}, "values"),
    ],
)
def test_what_no_probe_gives_is_refused_and_named(probe: str, facts: Any, arrays: Any, named: str) -> None:
    with pytest.raises(CheckFailed, match="makes no sense") as caught:
        require_form(probe, SOLVER, START | NET, facts, arrays)
    assert f"({named}" in caught.value.message

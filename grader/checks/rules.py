"""What one step of each Lab 1 solver may do: the optimality conditions, so that every right variant is accepted.

The loss is a quadratic, so its gradient is A w - b; A and b come from the reference's goldens. Each rule takes the
weights before a step and after it, and tells whether some right choice (of subgradient, of trimmed set, of tie-break)
leads from one to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.checks.compare import RTOL
from grader.session import Answer

__all__ = ["Quadratic", "first_wrong_step"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Quadratic:
    """L(w) = w A w / 2 - b w + c, with A (d, d), b (d,) and the number c."""

    A: Array
    b: Array
    c: float

    @classmethod
    def of(cls, answer: Answer) -> Quadratic:
        """The loss of the problem that a solver was run on."""
        golden = answer.case.expected
        return cls(golden["curvature"], golden["slope"], float(golden["constant"]))

    def gradient(self, w: Array) -> Array:
        """The gradient at w (d,)."""
        return np.asarray(self.A @ w - self.b)

    def losses(self, weights: Array) -> Array:
        """L of every row of ``weights`` (steps + 1, d)."""
        quadratic = np.einsum("ki,ij,kj->k", weights, self.A, weights) / 2
        return np.asarray(quadratic - weights @ self.b + self.c)


def _shrinks(v: Array, after: Array, threshold: float, tolerance: float) -> Array:
    """Elementwise: ``after`` minimises (u - v)^2 / 2 + threshold |u|, by its optimality condition."""
    at_zero = (after == 0) & (np.abs(v) <= threshold + tolerance)
    elsewhere = (after != 0) & (np.abs(v - after - threshold * np.sign(after)) <= tolerance)
    return at_zero | elsewhere


def _plain(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> bool:
    return bool((np.abs(after - v) <= tolerance).all())


def _projected(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> bool:
    kept = after != 0
    smallest_kept = np.abs(v)[kept].min(initial=np.inf)
    largest_dropped = np.abs(v)[~kept].max(initial=0.0)
    enough = kept.sum() <= params["scalars"]["k"]
    right = enough and largest_dropped <= smallest_kept + tolerance
    full = kept.sum() == params["scalars"]["k"] or largest_dropped <= tolerance
    return bool(right and full and (np.abs(after - v)[kept] <= tolerance).all())


def _subgradient(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> bool:
    penalty = params["lr"] * params["scalars"]["lam"]
    s = (v - after) / penalty
    at_zero = (before == 0) & (np.abs(s) <= 1 + tolerance / penalty)
    return bool((at_zero | (np.abs(s - np.sign(before)) <= tolerance / penalty)).all())


def _proximal(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> bool:
    return bool(_shrinks(v, after, params["lr"] * params["scalars"]["lam"], tolerance).all())


def _trimmed(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> bool:
    shrunk = _shrinks(v, after, params["lr"] * params["scalars"]["lam"], tolerance)
    kept = np.abs(after - v) <= tolerance
    if not (shrunk | kept).all():
        return False
    count = params["scalars"]["n_penalized"]
    return any(_is_smallest_set(np.abs(key), shrunk, kept, count, tolerance) for key in (before, v))


def _is_smallest_set(key: Array, may: Array, may_not: Array, count: int, tolerance: float) -> bool:
    """Whether ``count`` elements smallest by ``key``, ties broken in some way, can be the penalised ones."""
    must, free = may & ~may_not, may & may_not
    missing = count - int(must.sum())
    if not 0 <= missing <= int(free.sum()):
        return False
    order = np.flatnonzero(free)[np.argsort(key[free], kind="stable")]
    chosen = must.copy()
    chosen[order[:missing]] = True
    return bool(key[chosen].max(initial=0.0) <= key[~chosen].min(initial=np.inf) + tolerance)


Rule = Callable[[Array, Array, Array, Any, float], bool]

RULES: dict[str, Rule] = {
    "gradient_descent": _plain,
    "projected_gradient_descent": _projected,
    "l1_gradient_descent": _subgradient,
    "proximal_gradient_descent": _proximal,
    "trimmed_l1_gradient_descent": _trimmed,
}


def first_wrong_step(answer: Answer, weights: Array) -> int | None:
    """The first k for which no right step leads from row k - 1 of ``weights`` to row k; None if there is none."""
    params, quadratic = answer.case.params, Quadratic.of(answer)
    rule = RULES[params["name"]]
    if not np.isfinite(weights).all():
        return int(np.argwhere(~np.isfinite(weights).all(axis=1))[0, 0])
    for k in range(1, len(weights)):
        before, after = weights[k - 1], weights[k]
        v = before - params["lr"] * quadratic.gradient(before)
        tolerance = RTOL * float(max(1.0, np.abs(before).max(), np.abs(v).max()))
        if not rule(before, v, after, params, tolerance):
            return k
    return None

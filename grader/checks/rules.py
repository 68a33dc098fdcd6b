"""What one step of each Lab 1 solver may do: the optimality conditions, so that every right variant is accepted.

The loss is a quadratic, so its gradient is A w - b; A and b come from the reference's goldens. Each rule takes the
weights before a step and after it, and is silent if some right choice (of subgradient, of trimmed set, of tie-break)
leads from one to the other; otherwise it says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.checks import tolerances
from grader.session import Answer

__all__ = ["Quadratic", "first_wrong_step", "is_projected"]

Array = NDArray[Any]


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
    return np.asarray(at_zero | elsewhere)


def _plain(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> str | None:
    return None if (np.abs(after - v) <= tolerance).all() else "this is not w - lr * gradient"


def is_projected(v: Array, after: Array, k: int) -> bool:
    """Whether ``after`` is v with all but k of its largest magnitudes set to zero."""
    return _wrong_projection(v, after, k, tolerances.RTOL * max(1.0, float(np.abs(v).max()))) is None


def _projected(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> str | None:
    return _wrong_projection(v, after, params["scalars"]["k"], tolerance)


def _wrong_projection(v: Array, after: Array, k: int, tolerance: float) -> str | None:
    kept = after != 0
    if kept.sum() > k:
        return f"more than k = {k} elements are not zero"
    if not (np.abs(after - v)[kept] <= tolerance).all():
        return "a kept element is not that of w - lr * gradient"
    smallest_kept = np.abs(v)[kept].min(initial=np.inf)
    largest_dropped = np.abs(v)[~kept].max(initial=0.0)
    if largest_dropped > smallest_kept + tolerance:
        return "a larger element was dropped while a smaller one was kept"
    return None if kept.sum() == k or largest_dropped <= tolerance else f"fewer than k = {k} elements were kept"


def _subgradient(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> str | None:
    penalty = params["lr"] * params["scalars"]["lam"]
    s = (v - after) / penalty
    at_zero = (before == 0) & (np.abs(s) <= 1 + tolerance / penalty)
    right = at_zero | (np.abs(s - np.sign(before)) <= tolerance / penalty)
    return None if right.all() else "the penalty does not move every element by lr * lam towards zero"


def _proximal(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> str | None:
    shrunk = _shrinks(v, after, params["lr"] * params["scalars"]["lam"], tolerance)
    return None if shrunk.all() else "this is not the proximal operator, with threshold lr * lam, of the gradient step"


def _trimmed(before: Array, v: Array, after: Array, params: Any, tolerance: float) -> str | None:
    shrunk = _shrinks(v, after, params["lr"] * params["scalars"]["lam"], tolerance)
    kept = np.abs(after - v) <= tolerance
    if not (shrunk | kept).all():
        return "an element is neither that of the gradient step nor that shrunk by lr * lam"
    count = params["scalars"]["n_penalized"]
    if shrunk.sum() < count:
        return f"{int(shrunk.sum())} elements are shrunk by lr * lam, not {count}"
    if any(_is_smallest_set(np.abs(key), shrunk, kept, count, tolerance) for key in (before, v)):
        return None
    return f"the penalised elements are not the {count} of smallest magnitude"


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


Rule = Callable[[Array, Array, Array, Any, float], str | None]

RULES: dict[str, Rule] = {
    "gradient_descent": _plain,
    "projected_gradient_descent": _projected,
    "l1_gradient_descent": _subgradient,
    "proximal_gradient_descent": _proximal,
    "trimmed_l1_gradient_descent": _trimmed,
}


def first_wrong_step(answer: Answer, weights: Array) -> tuple[int, str] | None:
    """The first k for which no right step leads from row k - 1 of ``weights`` to row k, and what is wrong with it."""
    params, quadratic = answer.case.params, Quadratic.of(answer)
    rule = RULES[params["name"]]
    finite = np.isfinite(weights).all(axis=1)
    if not finite.all():
        return int(np.argmin(finite)), "w is NaN or infinite"
    for k in range(1, len(weights)):
        before, after = weights[k - 1], weights[k]
        tolerance = tolerances.RTOL * max(1.0, float(np.abs(before).max()))
        v = before - params["lr"] * quadratic.gradient(before)
        if reason := rule(before, v, after, params, tolerance):
            return k, reason
    return None

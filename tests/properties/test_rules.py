"""The rules of Lab 1's solvers: every right step passes, whatever its choices, and no wrong one does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lab1_sparse_optimization as lab1
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from grader.cases import Case
from grader.checks.rules import Quadratic, first_wrong_step
from grader.session import Answer

Array = NDArray[np.float64]
STEPS = 6


@dataclass(frozen=True)
class Problem:
    """X (n, d), y (n,) and w0 (d,) of few distinct numbers, so that equal magnitudes are common."""

    X: Array
    y: Array
    w0: Array
    lr: float
    lam: float
    count: int
    seed: int

    def answer(self, solver: str) -> Answer:
        """An answer that holds what the rules look at: the parameters, and the loss as a quadratic."""
        scalars = {"lam": self.lam, "k": self.count, "n_penalized": self.count}
        params = {"name": solver, "lr": self.lr, "scalars": scalars}
        expected = {
            "curvature": 2 * self.X.T @ self.X,
            "slope": 2 * self.X.T @ self.y,
            "constant": np.array(self.y @ self.y),
        }
        return Answer(Case(id="case", probe="", module="", params=params, expected=expected), {}, {}, {})

    def descended(self, w: Array) -> Array:
        """w after a plain gradient step."""
        return np.asarray(w - self.lr * 2 * self.X.T @ (self.X @ w - self.y))


def integers(*shape: int) -> st.SearchStrategy[Array]:
    """Small whole numbers, as floats."""
    return hnp.arrays(np.int64, shape, elements=st.integers(-3, 3)).map(lambda a: a.astype(np.float64))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    n, d = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    X = draw(integers(n, d))
    assume(X.any())
    lr = draw(st.floats(0.05, 0.45)) / float(np.linalg.norm(X, 2)) ** 2
    w0 = draw(st.sampled_from([0.0, 0.1, 1.0])) * draw(integers(d))
    return Problem(
        X, draw(integers(n)), w0, lr, draw(st.floats(0.1, 5.0)), draw(st.integers(1, d - 1)), draw(st.integers(0, 999))
    )


# --- right steps, each written anew: from w and the gradient step v, with every free choice taken at random

Step = Callable[[Problem, Array, Array, np.random.Generator], Array]


def shrink(v: Array, threshold: float) -> Array:
    return np.asarray(np.maximum(v - threshold, 0) - np.maximum(-v - threshold, 0))


def by_magnitude(key: Array, random: np.random.Generator) -> NDArray[np.int64]:
    """Indices from small to large magnitude; equal ones, up to rounding, in random order."""
    return np.lexsort((random.random(len(key)), np.abs(key).round(12)))


def plain(problem: Problem, w: Array, v: Array, random: np.random.Generator) -> Array:
    return v


def projected(problem: Problem, w: Array, v: Array, random: np.random.Generator) -> Array:
    after = v.copy()
    after[by_magnitude(v, random)[: len(v) - problem.count]] = 0
    return after


def subgradient(problem: Problem, w: Array, v: Array, random: np.random.Generator) -> Array:
    at_zero = random.choice([-1.0, 0.0, 1.0, random.uniform(-1, 1)], size=len(w))
    return np.asarray(v - problem.lr * problem.lam * np.where(w == 0, at_zero, np.sign(w)))


def proximal(problem: Problem, w: Array, v: Array, random: np.random.Generator) -> Array:
    return shrink(v, problem.lr * problem.lam)


def trimmed(problem: Problem, w: Array, v: Array, random: np.random.Generator) -> Array:
    """By the magnitudes before the gradient step, or by those after it."""
    penalized = by_magnitude(w if random.random() < 0.5 else v, random)[: problem.count]
    after = v.copy()
    after[penalized] = shrink(v[penalized], problem.lr * problem.lam)
    return after


RIGHT: dict[str, Step] = {
    "gradient_descent": plain,
    "projected_gradient_descent": projected,
    "l1_gradient_descent": subgradient,
    "proximal_gradient_descent": proximal,
    "trimmed_l1_gradient_descent": trimmed,
}
EXTRA = {
    "gradient_descent": lambda p: (),
    "projected_gradient_descent": lambda p: (p.count,),
    "l1_gradient_descent": lambda p: (p.lam,),
    "proximal_gradient_descent": lambda p: (p.lam,),
    "trimmed_l1_gradient_descent": lambda p: (p.lam, p.count),
}


def right_run(problem: Problem, solver: str) -> Array:
    """Steps that are all right, shape (STEPS + 1, d)."""
    random = np.random.default_rng(problem.seed)
    rows = [problem.w0]
    for _ in range(STEPS):
        rows.append(RIGHT[solver](problem, rows[-1], problem.descended(rows[-1]), random))
    return np.stack(rows)


@pytest.mark.parametrize("solver", RIGHT)
@given(problem=problems())
def test_every_golden_step_passes(solver: str, problem: Problem) -> None:
    run: Any = getattr(lab1, solver)
    history = run(problem.X, problem.y, problem.w0, problem.lr, STEPS, *EXTRA[solver](problem))
    assert first_wrong_step(problem.answer(solver), history.weights) is None


@pytest.mark.parametrize("solver", RIGHT)
@given(problem=problems())
def test_every_right_choice_passes(solver: str, problem: Problem) -> None:
    assert first_wrong_step(problem.answer(solver), right_run(problem, solver)) is None


@given(problem=problems())
def test_the_quadratic_is_the_loss(problem: Problem) -> None:
    quadratic = Quadratic.of(problem.answer("gradient_descent"))
    weights = right_run(problem, "gradient_descent")
    scale = 1 + float(problem.y @ problem.y) + float(np.abs(weights).max()) ** 2 * 100
    expected = [lab1.loss(problem.X, problem.y, w) for w in weights]
    np.testing.assert_allclose(quadratic.losses(weights), expected, rtol=0, atol=1e-13 * scale)
    gradient = lab1.gradient(problem.X, problem.y, weights[-1])
    np.testing.assert_allclose(quadratic.gradient(weights[-1]), gradient, rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("solver", RIGHT)
@given(
    problem=problems(),
    k=st.integers(1, STEPS),
    where=st.integers(0, 5),
    size=st.floats(1e-7, 1e-2),
    sign=st.sampled_from([-1, 1]),
)
def test_a_step_that_is_slightly_off_fails(
    solver: str, problem: Problem, k: int, where: int, size: float, sign: int
) -> None:
    """By 1e-7 of the weights, which is far below anything that a mistake does."""
    weights = right_run(problem, solver)[: k + 1]
    before, i = weights[k - 1], where % len(problem.w0)
    v, threshold = problem.descended(before)[i], problem.lr * problem.lam
    change = sign * size * max(1.0, float(np.abs(before).max()))
    if solver == "l1_gradient_descent" and before[i] == 0:  # anything within the threshold would be right
        weights[k, i] = v + sign * (threshold + abs(change))
    else:
        weights[k, i] += change
    if solver == "projected_gradient_descent":
        assume(weights[k, i] != change)  # what was not kept has no value to be off from
    if solver == "trimmed_l1_gradient_descent":
        others = np.array([v, *shrink(np.array([v]), threshold)])
        assume((np.abs(weights[k, i] - others) > abs(change) / 10).all())
    wrong = first_wrong_step(problem.answer(solver), weights)
    assert wrong is not None and wrong[0] == k


@pytest.mark.parametrize("solver", RIGHT)
@given(
    problem=problems(),
    k=st.integers(0, STEPS),
    where=st.integers(0, 5),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_nan_and_infinity_fail(solver: str, problem: Problem, k: int, where: int, value: float) -> None:
    weights = right_run(problem, solver)
    weights[k, where % len(problem.w0)] = value
    assert first_wrong_step(problem.answer(solver), weights) == (k, "w is NaN or infinite")


# --- wrong choices, where the problem leaves none


def first_step(problem: Problem) -> tuple[Array, NDArray[np.int64]]:
    """The gradient step v from w0, of distinct non-zero magnitudes, and its order from small to large."""
    v = problem.descended(problem.w0)
    magnitudes = np.sort(np.abs(v))
    assume(magnitudes[0] > 1e-6 and np.diff(magnitudes).min() > 1e-6)
    return v, np.argsort(np.abs(v))


@given(problem=problems(), pick=st.integers(0, 99))
def test_keeping_another_set_than_the_largest_fails(problem: Problem, pick: int) -> None:
    v, order = first_step(problem)
    answer, dropped = problem.answer("projected_gradient_descent"), len(v) - problem.count
    sets = {
        "a larger element was dropped": [*order[: dropped - 1], order[dropped + pick % problem.count]],
        "fewer than k": order[: dropped + 1],
        "more than k": order[: dropped - 1],
    }
    for reason, zeros in sets.items():
        after = v.copy()
        after[np.asarray(zeros, dtype=np.int64)] = 0
        wrong = first_wrong_step(answer, np.stack([problem.w0, after]))
        assert wrong is not None and wrong[1].startswith(reason)


@given(problem=problems(), size=st.integers(0, 6), seed=st.integers(0, 99))
def test_penalising_another_set_than_the_smallest_fails(problem: Problem, size: int, seed: int) -> None:
    """A set passes if, and only if, it is that of the smallest magnitudes before the gradient step or after it."""
    v, _ = first_step(problem)
    chosen = np.random.default_rng(seed).permutation(len(v))[:size]
    after = v.copy()
    after[chosen] = shrink(v[chosen], problem.lr * problem.lam)
    others = np.delete(np.arange(len(v)), chosen)
    right = len(chosen) == problem.count and any(
        np.abs(key)[chosen].max(initial=0) <= np.abs(key)[others].min(initial=np.inf) for key in (problem.w0, v)
    )
    wrong = first_wrong_step(problem.answer("trimmed_l1_gradient_descent"), np.stack([problem.w0, after]))
    assert (wrong is None) is right


@given(w0=integers(5), v=integers(5), count=st.integers(1, 4), size=st.integers(1, 5), seed=st.integers(0, 99))
def test_what_was_penalised_at_zero_cannot_be_seen(w0: Array, v: Array, count: int, size: int, seed: int) -> None:
    """A step passes if any set of the right size explains it; with X = 1 and lr = 1/2, y is where it leads."""
    problem = Problem(np.eye(5), v, w0, 0.5, 0.5, count, seed)
    chosen = np.random.default_rng(seed).permutation(5)[:size]
    after = v.copy()
    after[chosen] = shrink(v[chosen], 0.25)

    def explains(penalized: tuple[int, ...], key: Array) -> bool:
        inside = np.isin(np.arange(5), penalized)
        smallest = np.abs(key)[inside].max() <= np.abs(key)[~inside].min()
        return bool(smallest and (after == np.where(inside, shrink(v, 0.25), v)).all())

    right = any(explains(s, key) for s in itertools.combinations(range(5), count) for key in (w0, v))
    wrong = first_wrong_step(problem.answer("trimmed_l1_gradient_descent"), np.stack([w0, after]))
    assert (wrong is None) is right


@given(problem=problems(), factor=st.sampled_from([0.0, 0.5, 2.0, -1.0]))
def test_another_strength_of_the_penalty_fails(problem: Problem, factor: float) -> None:
    w0 = np.where(problem.w0 == 0, 1.0, problem.w0)
    v = problem.descended(w0)
    other = problem.lr * problem.lam * factor
    assume((np.abs(v) > 1e-3).any())
    steps = {
        "l1_gradient_descent": v - other * np.sign(w0),
        "proximal_gradient_descent": shrink(v, other) if factor >= 0 else v - other * np.sign(v),
    }
    same = np.abs(v).max() <= min(1.0, factor) * problem.lr * problem.lam  # both thresholds give zeros
    for solver, after in steps.items():
        assume(solver != "proximal_gradient_descent" or not same)
        wrong = first_wrong_step(problem.answer(solver), np.stack([w0, after]))
        assert wrong is not None and wrong[0] == 1

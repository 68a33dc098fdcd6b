"""The cases of Lab 1: the problem of the assignment, and random ones of other shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.assignment import Term
from grader.cases import Arrays, Case

__all__ = ["hidden", "public"]

_MODULE = "lab1_sparse_optimization"
_COURSE_X = [[-1, 2, 1, 1, -1], [-2, 1, -2, 0, 2], [1, 0, -2, -2, -1]]
_COURSE_Y = [5, 1, 1]


@dataclass(frozen=True)
class _Problem:
    """X (n, d), y (n,), a starting point w0 (d,), and a step size for which descent converges."""

    name: str
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    w0: NDArray[np.float64]
    lr: float
    steps: int

    @property
    def inputs(self) -> Arrays:
        return {"X": self.X, "y": self.y, "w0": self.w0}


def _course(term: Term) -> _Problem:
    X, y = np.array(_COURSE_X, dtype=np.float64), np.array(_COURSE_Y, dtype=np.float64)
    return _Problem("course", X, y, np.zeros(5), term.learning_rate, term.steps)


def _random(name: str, n: int, d: int, seed: int, steps: int) -> _Problem:
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d))
    lr = round(0.4 / float(np.linalg.norm(X, 2)) ** 2, 4)  # below 1 / (largest eigenvalue of the Hessian)
    return _Problem(name, X, random.normal(size=n) * 2, random.normal(size=d), lr, steps)


def _call(
    name: str, case: str, inputs: Arrays, scalars: Mapping[str, float] | None = None, returns: str = "vector"
) -> Case:
    params = {"name": name, "scalars": dict(scalars or {}), "returns": returns}
    return Case(id=f"lab1/{name}/{case}", probe="lab1.function", module=_MODULE, params=params, inputs=inputs)


def _values(problem: _Problem, seed: int) -> Iterator[Case]:
    """loss, gradient and gradient_step at a random w."""
    w = np.random.default_rng(seed).normal(size=len(problem.w0))
    inputs = {"X": problem.X, "y": problem.y, "w": w}
    yield _call("loss", problem.name, inputs, returns="number")
    yield _call("gradient", problem.name, inputs)
    yield _call("gradient_step", problem.name, inputs, {"lr": problem.lr})


def _solver(name: str, case: str, problem: _Problem, scalars: Mapping[str, float]) -> Case:
    params: dict[str, Any] = {"name": name, "lr": problem.lr, "steps": problem.steps, "scalars": dict(scalars)}
    inputs = problem.inputs
    return Case(id=f"lab1/{name}/{case}", probe="lab1.solver", module=_MODULE, params=params, inputs=inputs)


def _solvers(problem: _Problem, term: Term) -> Iterator[Case]:
    yield _solver("gradient_descent", problem.name, problem, {})
    yield _solver("projected_gradient_descent", problem.name, problem, {"k": term.top_k})
    for lam in term.l1_lambdas:
        yield _solver("l1_gradient_descent", f"{problem.name}/{lam:g}", problem, {"lam": lam})
    for lam in term.proximal_lambdas:
        yield _solver("proximal_gradient_descent", f"{problem.name}/{lam:g}", problem, {"lam": lam})
    for lam in term.trimmed_lambdas:
        scalars = {"lam": lam, "n_penalized": term.trimmed_n_penalized}
        yield _solver("trimmed_l1_gradient_descent", f"{problem.name}/{lam:g}", problem, scalars)


def _with_scalars(term: Term, *, top_k: int, n_penalized: int, lam: float) -> Term:
    """Lab 1 of the term with other scalars, so that none of the assignment's can stand in the code."""
    lambdas = dict.fromkeys(("l1_lambdas", "proximal_lambdas", "trimmed_lambdas"), (lam,))
    return term.model_copy(update={"top_k": top_k, "trimmed_n_penalized": n_penalized, **lambdas})


def _operators(case: str, w: NDArray[np.float64], k: int, threshold: float, n_penalized: int) -> Iterator[Case]:
    yield _call("project_top_k", case, {"w": w}, {"k": k})
    yield _call("soft_threshold", case, {"w": w}, {"threshold": threshold})
    yield _call("trimmed_soft_threshold", case, {"w": w}, {"threshold": threshold, "n_penalized": n_penalized})


def _figures(term: Term) -> Iterator[Case]:
    """Two runs to draw, made up: what is drawn matters, not how it came about."""
    random = np.random.default_rng(7)
    weights = random.normal(size=(2, term.steps + 1, 5)).cumsum(axis=1)
    losses = np.exp(-np.linspace(0, 9, term.steps + 1))[None] * np.array([[30.0], [7.0]])
    runs = {f"{i}.weights": weights[i] for i in range(2)} | {f"{i}.losses": losses[i] for i in range(2)}
    labels = {"labels": ["gradient descent", "k = 2"]}
    yield Case(id="lab1/plot_loss", probe="lab1.plot_loss", module=_MODULE, params=labels, inputs=runs)
    one = {"weights": weights[0], "losses": losses[0]}
    yield Case(id="lab1/plot_weights", probe="lab1.plot_weights", module=_MODULE, params={}, inputs=one)


def public(term: Term) -> Iterator[Case]:
    """Cases that students may see."""
    course, small = _course(term), _random("small", 4, 3, 1, 50)
    for problem in (course, small):
        yield from _values(problem, 2)
    yield from _solvers(course, term)
    yield _solver("gradient_descent", "small", small, {})
    yield from _operators("mixed", np.array([0.5, -3.0, 0.02, 1.2, -0.7, 0.0, 2.0, -1.6]), 2, 0.6, 5)
    yield from _operators("negative", np.array([-0.9, -2.5, -0.1, 0.3]), 1, 0.25, 2)
    yield from _figures(term)


def hidden(term: Term) -> Iterator[Case]:
    """Other shapes, step sizes, starting points and scalars than the assignment's; edge cases of the operators."""
    wide, tall = _random("wide", 3, 7, 11, 60), _random("tall", 8, 4, 12, 60)
    for problem in (wide, tall):
        yield from _values(problem, 13)
    yield from _solvers(wide, _with_scalars(term, top_k=3, n_penalized=5, lam=0.35))
    yield from _solvers(tall, _with_scalars(term, top_k=1, n_penalized=2, lam=2.3))
    w = np.array([0.5, -3.0, 0.25, 1.2])
    yield from _operators("none", w, 0, 0.0, 0)
    yield from _operators("all", w, 4, 0.25, 4)
    yield from _operators("more", -w, 9, 0.5, 1)

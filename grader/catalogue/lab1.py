"""Mistakes in Lab 1. Names such as ``np`` and ``gradient`` are those of the module that an entry is appended to."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it is appended to)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception


@misconception(
    "lab1_sparse_optimization.loss",
    fails=("loss_is_exact", "loss_on_other_problems"),
)
def mean_instead_of_sum(X, y, w):
    """The loss is a sum over the samples here, not a mean."""
    return float(np.mean((X @ w - y) ** 2))


@misconception(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent",
    fails=("trimmed_trajectory", "trimmed_zeros_are_exact", "trimmed_on_other_problems"),
)
def trimmed_set_by_gradient(X, y, w0, lr, steps, lam, n_penalized):
    """The trimmed set is chosen by the magnitude of the weights, not of their gradients."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        g = gradient(X, y, w)
        v = w - lr * g
        penalized = np.argsort(np.abs(g))[:n_penalized]
        v[penalized] = soft_threshold(v[penalized], lr * lam)
        weights.append(v)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))

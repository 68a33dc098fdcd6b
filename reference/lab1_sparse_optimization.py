"""Lab 1: sparse linear regression with five variants of gradient descent.

Find w that minimises L(w) = sum_i (x_i w - y_i)^2, a sum and not a mean, over n = 3 samples with d = 5 features.
There are more unknowns than equations, so many w reach L = 0; the question of this lab is which method finds a
*sparse* one. Everything is numpy float64 and full batch: each step uses all samples.

Shapes, throughout: X (n, d), y (n,), w (d,). ``lr`` is the learning rate, ``lam`` the strength lambda of the L1
penalty. No function changes its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

# --- Provided: the problem, and what a solver returns

Array = NDArray[np.float64]

X: Array = np.array([[-1, 2, 1, 1, -1], [-2, 1, -2, 0, 2], [1, 0, -2, -2, -1]], dtype=np.float64)
Y: Array = np.array([5, 1, 1], dtype=np.float64)
W0: Array = np.zeros(5)
LEARNING_RATE = 0.02
STEPS = 200


class History(NamedTuple):
    """A run of a solver; row k holds the state after k steps, so row 0 is the starting point.

    Attributes:
        weights: the trajectory w_0, w_1, ..., shape (steps + 1, d).
        losses: L(w_0), L(w_1), ... for the same w, without any penalty, shape (steps + 1,).
    """

    weights: Array
    losses: Array


# --- 1(a): loss, gradient, one step


def loss(X: Array, y: Array, w: Array) -> float:
    """The squared error L(w) = sum_i (x_i w - y_i)^2, summed over the samples.

    Solution:
        With the residual r = X w - y the sum of squares is r . r.
    """
    # BEGIN SOLUTION 1(a)
    residual = X @ w - y
    return float(residual @ residual)
    # END SOLUTION


def gradient(X: Array, y: Array, w: Array) -> Array:
    """The gradient of ``loss`` with respect to w, shape (d,).

    Solution:
        dL/dw_j = sum_i 2 (x_i w - y_i) x_ij, which is row j of 2 X^T (X w - y).
    """
    # BEGIN SOLUTION 1(a)
    return 2 * X.T @ (X @ w - y)
    # END SOLUTION


def gradient_step(X: Array, y: Array, w: Array, lr: float) -> Array:
    """The weights after one step of gradient descent from w, shape (d,); w itself stays as it is.

    Solution:
        Steepest descent: w_{k+1} = w_k - lr dL/dw(w_k).
    """
    # BEGIN SOLUTION 1(a)
    return w - lr * gradient(X, y, w)
    # END SOLUTION


# BEGIN SOLUTION
def _descend(X: Array, y: Array, w0: Array, steps: int, update: Callable[[Array], Array]) -> History:
    """Apply ``update`` ``steps`` times from w0; each w is a new array, so the history holds no aliases."""
    weights = [np.array(w0, dtype=np.float64)]
    for _ in range(steps):
        weights.append(update(weights[-1]))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


# END SOLUTION
# --- 1(b): gradient descent


def gradient_descent(X: Array, y: Array, w0: Array, lr: float, steps: int) -> History:
    """Plain gradient descent from w0.

    Solution:
        From w_0 = 0 every step adds a combination of the rows of X, so the limit is the solution of X w = y with
        the smallest ||w||_2. It is optimal, and dense.
    """
    # BEGIN SOLUTION 1(b)
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr))
    # END SOLUTION


def plot_loss(histories: Mapping[str, History]) -> Figure:
    """Draw the loss of one or more runs over the steps: one line each, a logarithmic y-axis, labels, a legend.

    Args:
        histories: runs by the label that the legend gives them.

    Solution:
        Linear convergence, L_k ~ c rho^k, is a straight line on a logarithmic axis.
    """
    # BEGIN SOLUTION 1(b)
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.plot(history.losses, label=label)
    axes.set(yscale="log", xlabel="step", ylabel="loss")
    axes.legend()
    return figure
    # END SOLUTION


def plot_weights(history: History) -> Figure:
    """Draw every element of w over the steps: d lines, each of steps + 1 points, with axis labels and a legend.

    Solution:
        Column i of the trajectory is the path of w_i.
    """
    # BEGIN SOLUTION 1(b)
    figure, axes = plt.subplots()
    for i, path in enumerate(history.weights.T, start=1):
        axes.plot(path, label=f"$w_{i}$")
    axes.set(xlabel="step", ylabel="weight")
    axes.legend()
    return figure
    # END SOLUTION


# --- 1(c): projected gradient descent


def project_top_k(w: Array, k: int) -> Array:
    """The nearest vector with at most k non-zero elements: the k largest in magnitude stay, the rest become 0.

    Ties between equal magnitudes may be broken in any way.

    Solution:
        Dropping element i costs w_i^2 in squared distance, so the cheapest to drop are the smallest magnitudes.
    """
    # BEGIN SOLUTION 1(c)
    kept = np.argsort(-np.abs(w), kind="stable")[:k]
    projected = np.zeros_like(w)
    projected[kept] = w[kept]
    return projected
    # END SOLUTION


def projected_gradient_descent(X: Array, y: Array, w0: Array, lr: float, steps: int, k: int) -> History:
    """Gradient descent in which every step is followed by ``project_top_k``: no w_k has more than k non-zeros.

    Solution:
        Iterative hard thresholding: w_{k+1} = P_k(w_k - lr dL/dw).
    """
    # BEGIN SOLUTION 1(c)
    return _descend(X, y, w0, steps, lambda w: project_top_k(gradient_step(X, y, w, lr), k))
    # END SOLUTION


# --- 1(d): L1 regularisation by subgradient descent


def l1_gradient_descent(X: Array, y: Array, w0: Array, lr: float, steps: int, lam: float) -> History:
    """Subgradient descent on L(w) + lam ||w||_1. At w_i = 0 any subgradient in [-1, 1] is right.

    Solution:
        d|w|/dw = sign(w) away from zero: w_{k+1} = w_k - lr (dL/dw + lam sign(w_k)). A step jumps over zero rather
        than landing on it, so elements oscillate around zero with an amplitude of about lr lam.
    """
    # BEGIN SOLUTION 1(d)
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr) - lr * lam * np.sign(w))
    # END SOLUTION


# --- 1(e): proximal gradient descent


def soft_threshold(w: Array, threshold: float) -> Array:
    """The proximal operator of threshold * ||w||_1, shape (d,).

    It is the minimiser over v of 1/2 ||v - w||^2 + threshold ||v||_1.

    Solution:
        Per element, 0 in v - w + threshold d|v| gives v = w - threshold sign(w) where |w| > threshold, else v = 0.
    """
    # BEGIN SOLUTION 1(e)
    return np.sign(w) * np.maximum(np.abs(w) - threshold, 0.0)
    # END SOLUTION


def proximal_gradient_descent(X: Array, y: Array, w0: Array, lr: float, steps: int, lam: float) -> History:
    """Minimise L(w) + lam ||w||_1: a gradient step on L alone, then the proximal operator of the penalty.

    Solution:
        Minimising the quadratic model 1/(2 lr) ||v - (w - lr dL/dw)||^2 + lam ||v||_1 over v, times lr, is
        ``soft_threshold`` with the threshold lr lam.
    """
    # BEGIN SOLUTION 1(e)
    return _descend(X, y, w0, steps, lambda w: soft_threshold(gradient_step(X, y, w, lr), lr * lam))
    # END SOLUTION


# --- 1(f): trimmed L1


def trimmed_soft_threshold(w: Array, threshold: float, n_penalized: int) -> Array:
    """Soft-threshold only the ``n_penalized`` elements of smallest magnitude; the others stay as they are.

    Ties between equal magnitudes may be broken in any way.

    Solution:
        The trimmed penalty leaves the largest elements out of the norm, so they are not shrunk: no bias.
    """
    # BEGIN SOLUTION 1(f)
    penalized = np.argsort(np.abs(w), kind="stable")[:n_penalized]
    trimmed = w.copy()
    trimmed[penalized] = soft_threshold(w[penalized], threshold)
    return trimmed
    # END SOLUTION


def trimmed_l1_gradient_descent(
    X: Array, y: Array, w0: Array, lr: float, steps: int, lam: float, n_penalized: int
) -> History:
    """Proximal gradient descent with a penalty on the ``n_penalized`` smallest magnitudes only.

    In every step the penalised set is chosen anew, by the magnitudes of the weights before or after the
    gradient step.

    Solution:
        w_{k+1} = trimmed_soft_threshold(w_k - lr dL/dw, lr lam, n_penalized).
    """
    # BEGIN SOLUTION 1(f)
    return _descend(
        X, y, w0, steps, lambda w: trimmed_soft_threshold(gradient_step(X, y, w, lr), lr * lam, n_penalized)
    )
    # END SOLUTION

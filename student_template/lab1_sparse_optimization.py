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
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(a): `loss` is still to be written")
    # YOUR CODE ENDS HERE


def gradient(X: Array, y: Array, w: Array) -> Array:
    """The gradient of ``loss`` with respect to w, shape (d,).
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(a): `gradient` is still to be written")
    # YOUR CODE ENDS HERE


def gradient_step(X: Array, y: Array, w: Array, lr: float) -> Array:
    """The weights after one step of gradient descent from w, shape (d,); w itself stays as it is.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(a): `gradient_step` is still to be written")
    # YOUR CODE ENDS HERE


# --- 1(b): gradient descent


def gradient_descent(X: Array, y: Array, w0: Array, lr: float, steps: int) -> History:
    """Plain gradient descent from w0.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(b): `gradient_descent` is still to be written")
    # YOUR CODE ENDS HERE


def plot_loss(histories: Mapping[str, History]) -> Figure:
    """Draw the loss of one or more runs over the steps: one line each, a logarithmic y-axis, labels, a legend.

    Args:
        histories: runs by the label that the legend gives them.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(b): `plot_loss` is still to be written")
    # YOUR CODE ENDS HERE


def plot_weights(history: History) -> Figure:
    """Draw every element of w over the steps: d lines, each of steps + 1 points, with axis labels and a legend.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(b): `plot_weights` is still to be written")
    # YOUR CODE ENDS HERE


# --- 1(c): projected gradient descent


def project_top_k(w: Array, k: int) -> Array:
    """The nearest vector with at most k non-zero elements: the k largest in magnitude stay, the rest become 0.

    Ties between equal magnitudes may be broken in any way.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(c): `project_top_k` is still to be written")
    # YOUR CODE ENDS HERE


def projected_gradient_descent(X: Array, y: Array, w0: Array, lr: float, steps: int, k: int) -> History:
    """Gradient descent in which every step is followed by ``project_top_k``: no w_k has more than k non-zeros.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(c): `projected_gradient_descent` is still to be written")
    # YOUR CODE ENDS HERE


# --- 1(d): L1 regularisation by subgradient descent


def l1_gradient_descent(X: Array, y: Array, w0: Array, lr: float, steps: int, lam: float) -> History:
    """Subgradient descent on L(w) + lam ||w||_1. At w_i = 0 any subgradient in [-1, 1] is right.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(d): `l1_gradient_descent` is still to be written")
    # YOUR CODE ENDS HERE


# --- 1(e): proximal gradient descent


def soft_threshold(w: Array, threshold: float) -> Array:
    """The proximal operator of threshold * ||w||_1, shape (d,).

    It is the minimiser over v of 1/2 ||v - w||^2 + threshold ||v||_1.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(e): `soft_threshold` is still to be written")
    # YOUR CODE ENDS HERE


def proximal_gradient_descent(X: Array, y: Array, w0: Array, lr: float, steps: int, lam: float) -> History:
    """Minimise L(w) + lam ||w||_1: a gradient step on L alone, then the proximal operator of the penalty.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(e): `proximal_gradient_descent` is still to be written")
    # YOUR CODE ENDS HERE


# --- 1(f): trimmed L1


def trimmed_soft_threshold(w: Array, threshold: float, n_penalized: int) -> Array:
    """Soft-threshold only the ``n_penalized`` elements of smallest magnitude; the others stay as they are.

    Ties between equal magnitudes may be broken in any way.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(f): `trimmed_soft_threshold` is still to be written")
    # YOUR CODE ENDS HERE


def trimmed_l1_gradient_descent(
    X: Array, y: Array, w0: Array, lr: float, steps: int, lam: float, n_penalized: int
) -> History:
    """Proximal gradient descent with a penalty on the ``n_penalized`` smallest magnitudes only.

    In every step the penalised set is chosen anew, by the magnitudes of the weights before or after the
    gradient step.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 1(f): `trimmed_l1_gradient_descent` is still to be written")
    # YOUR CODE ENDS HERE

"""Mistakes in Lab 1. Names such as ``np`` and ``gradient`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception

# --- 1(a)


@misconception(
    "lab1_sparse_optimization.loss",
    fails=("loss_is_exact", "loss_on_other_problems"),
)
def mean_instead_of_sum(X, y, w):
    """The loss is a sum over the samples here, not a mean."""
    return float(np.mean((X @ w - y) ** 2))


@misconception(
    "lab1_sparse_optimization.gradient",
    fails=(
        "gradient_is_exact",
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        "gradient_descent_trajectory",
        "gradient_descent_on_other_problems",
        "projected_trajectory",
        "projected_on_other_problems",
        "l1_trajectory",
        "l1_on_other_problems",
        "proximal_trajectory",
        "proximal_zeros_are_exact",
        "proximal_on_other_problems",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_on_other_problems",
    ),
)
def factor_two_missing(X, y, w):
    """The derivative of a square brings down a factor of 2."""
    return X.T @ (X @ w - y)


@misconception(
    "lab1_sparse_optimization.gradient_step",
    fails=(
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        "gradient_descent_trajectory",
        "gradient_descent_converges",
        "gradient_descent_on_other_problems",
        "projected_trajectory",
        "projected_on_other_problems",
        "l1_trajectory",
        "l1_on_other_problems",
        "proximal_trajectory",
        "proximal_zeros_are_exact",
        "proximal_on_other_problems",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_on_other_problems",
    ),
)
def sign_error(X, y, w, lr):
    """Descent goes against the gradient: this step goes uphill, and the run diverges."""
    return w + lr * gradient(X, y, w)


@misconception(
    "lab1_sparse_optimization.gradient_step",
    fails=(
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        "gradient_descent_trajectory",
        "gradient_descent_on_other_problems",
        "projected_trajectory",
        "projected_is_sparse_at_every_step",
        "projected_on_other_problems",
        "l1_trajectory",
        "l1_on_other_problems",
        "proximal_trajectory",
        "proximal_on_other_problems",
        "trimmed_trajectory",
        "trimmed_on_other_problems",
        "gradient_descent_losses",
    ),
)
def step_in_place(X, y, w, lr):
    """`w -= ...` changes the caller's array, so that every row of the history is the same array
    in the end.
    """
    w -= lr * gradient(X, y, w)
    return w


# --- 1(b)


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_trajectory",
        "gradient_descent_on_other_problems",
    ),
)
def stochastic(X, y, w0, lr, steps):
    """Every step should use all samples; this one uses a single sample at a time."""
    weights = [np.array(w0, dtype=float)]
    for k in range(steps):
        i = k % len(X)
        weights.append(gradient_step(X[i : i + 1], y[i : i + 1], weights[-1], lr))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_losses",
        "gradient_descent_on_other_problems",
    ),
)
def loss_after_the_step(X, y, w0, lr, steps):
    """losses[k] should be the loss of weights[k]; here it is the loss after one more step."""
    w, weights, losses = np.array(w0, dtype=float), [], []
    for _ in range(steps + 1):
        weights.append(w)
        w = gradient_step(X, y, w, lr)
        losses.append(loss(X, y, w))
    return History(np.stack(weights), np.array(losses))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_trajectory",
        "gradient_descent_on_other_problems",
    ),
)
def single_precision(X, y, w0, lr, steps):
    """float32 holds only seven digits, so that every step is rounded; the lab asks for float64."""
    weights = [np.array(w0, dtype=np.float32)]
    for _ in range(steps):
        weights.append(gradient_step(X, y, weights[-1], lr).astype(np.float32))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_trajectory",
        "gradient_descent_losses",
        "gradient_descent_converges",
        "gradient_descent_on_other_problems",
    ),
)
def start_is_left_out(X, y, w0, lr, steps):
    """Row 0 of the history is the starting point: 200 steps give 201 rows."""
    w, weights = np.array(w0, dtype=float), []
    for _ in range(steps):
        w = gradient_step(X, y, w, lr)
        weights.append(w)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.plot_loss",
    fails=(
        "loss_plot_shows_the_losses",
        "loss_plot_is_logarithmic",
    ),
)
def log_on_a_linear_axis(histories):
    """The losses themselves belong on a logarithmic axis, not their logarithms on a linear one."""
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.plot(np.log10(history.losses), label=label)
    axes.set(xlabel="step", ylabel="log10 of the loss")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_is_labelled",))
def no_legend(histories):
    """Without labels and a legend nobody can tell which line is which run."""
    figure, axes = plt.subplots()
    for history in histories.values():
        axes.semilogy(history.losses)
    return figure


@misconception("lab1_sparse_optimization.plot_weights", fails=("weights_plot_shows_the_elements",))
def samples_and_elements_swapped(history):
    """One line per element of w over the steps, not one line per step over the elements."""
    figure, axes = plt.subplots()
    axes.plot(history.weights.T)
    axes.set(xlabel="step", ylabel="weight")
    return figure


@misconception("lab1_sparse_optimization.plot_weights", fails=("weights_plot_shows_the_elements",))
def figure_is_not_returned(history):
    """`plt.show()` empties the figure and returns nothing; the figure itself should be returned."""
    for i in range(history.weights.shape[1]):
        plt.plot(history.weights[:, i], label=f"w{i + 1}")
    plt.xlabel("step")
    plt.ylabel("weight")
    plt.legend()
    plt.show()


# --- 1(c)


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projected_on_other_problems",
    ),
)
def largest_signed_values(w, k):
    """The k largest *magnitudes* stay; a large negative weight is as important as a positive one."""
    kept = np.argsort(-w)[:k]
    projected = np.zeros_like(w)
    projected[kept] = w[kept]
    return projected


@misconception("lab1_sparse_optimization.project_top_k", fails=("projection_edge_cases",))
def minus_zero_is_everything(w, k):
    """With k = 0 the slice [-k:] is the whole array, so that nothing is dropped."""
    projected = np.zeros_like(w)
    kept = np.argsort(np.abs(w))[-k:]
    projected[kept] = w[kept]
    return projected


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projection_edge_cases",
        "projected_on_other_problems",
        "projected_is_sparse_at_every_step",
        "projected_losses",
    ),
)
def integers_truncate(w, k):
    """`np.zeros(..., dtype=int)` makes an integer array, which cuts off the fraction of every weight put into
    it.
    """
    projected = np.zeros(len(w), dtype=int)
    for i in np.argsort(-np.abs(w))[:k]:
        projected[i] = w[i]
    return projected


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent",
    fails=(
        "projected_trajectory",
        "projected_is_sparse_at_every_step",
        "projected_on_other_problems",
    ),
)
def projects_the_gradient(X, y, w0, lr, steps, k):
    """The weights are projected after the step; here the gradient is projected instead."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        weights.append(weights[-1] - lr * project_top_k(gradient(X, y, weights[-1]), k))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent",
    fails=(
        "projected_trajectory",
        "projected_is_sparse_at_every_step",
        "projected_on_other_problems",
    ),
)
def projects_only_at_the_end(X, y, w0, lr, steps, k):
    """The projection follows every step; applied to the last w only, it is no part of the search."""
    weights = gradient_descent(X, y, w0, lr, steps).weights
    weights[-1] = project_top_k(weights[-1], k)
    return History(weights, np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent",
    fails=(
        "projected_losses",
        "projected_on_other_problems",
    ),
)
def loss_before_the_projection(X, y, w0, lr, steps, k):
    """The recorded loss is that of the step before its projection, not that of w_k."""
    weights, losses = [np.array(w0, dtype=float)], [loss(X, y, w0)]
    for _ in range(steps):
        v = gradient_step(X, y, weights[-1], lr)
        losses.append(loss(X, y, v))
        weights.append(project_top_k(v, k))
    return History(np.stack(weights), np.array(losses))


# --- 1(d)


@misconception(
    "lab1_sparse_optimization.l1_gradient_descent",
    fails=(
        "l1_losses",
        "l1_on_other_problems",
    ),
)
def penalty_in_the_losses(X, y, w0, lr, steps, lam):
    """The history holds L(w) alone; here the penalty is part of it."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        weights.append(w - lr * (gradient(X, y, w) + lam * np.sign(w)))
    return History(np.stack(weights), np.array([loss(X, y, w) + lam * np.abs(w).sum() for w in weights]))


@misconception(
    "lab1_sparse_optimization.l1_gradient_descent",
    fails=(
        "l1_trajectory",
        "l1_oscillates",
        "l1_on_other_problems",
    ),
)
def subgradient_and_soft_threshold(X, y, w0, lr, steps, lam):
    """The penalty acts twice: once by its subgradient, once by soft thresholding. Subgradient descent has no
    zeros.
    """
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        weights.append(soft_threshold(w - lr * (gradient(X, y, w) + lam * np.sign(w)), lr * lam))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.l1_gradient_descent",
    fails=(
        "l1_trajectory",
        "l1_on_other_problems",
    ),
)
def penalty_once_per_sample(X, y, w0, lr, steps, lam):
    """The penalty belongs to the loss once; inside the sum over the samples it counts n times."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        g = sum(2 * x * (x @ w - t) + lam * np.sign(w) for x, t in zip(X, y, strict=True))
        weights.append(w - lr * g)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.l1_gradient_descent",
    fails=(
        "l1_trajectory",
        "l1_on_other_problems",
    ),
)
def ridge_instead_of_lasso(X, y, w0, lr, steps, lam):
    """The derivative of the L1 norm is the sign of w; 2 w belongs to the squared L2 norm."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        weights.append(w - lr * (gradient(X, y, w) + 2 * lam * w))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


# --- 1(e)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=(
        "soft_threshold_shrinks",
        "proximal_trajectory",
        "proximal_zeros_are_exact",
        "soft_threshold_edge_cases",
        "proximal_on_other_problems",
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
    ),
)
def hard_threshold(w, threshold):
    """A hard threshold keeps large elements as they are; the soft one moves them towards zero as well."""
    return np.where(np.abs(w) > threshold, w, 0.0)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=(
        "soft_threshold_shrinks",
        "soft_threshold_zeroes",
        "proximal_trajectory",
        "proximal_zeros_are_exact",
        "soft_threshold_edge_cases",
        "proximal_on_other_problems",
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
        "trimmed_threshold_spares_the_largest",
    ),
)
def only_clips(w, threshold):
    """Clipping keeps the small elements and caps the large ones: the opposite of a threshold."""
    return np.clip(w, -threshold, threshold)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=(
        "soft_threshold_zeroes",
        "proximal_trajectory",
        "proximal_zeros_are_exact",
        "soft_threshold_edge_cases",
        "proximal_on_other_problems",
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
    ),
)
def shrinks_beyond_zero(w, threshold):
    """An element smaller than the threshold becomes zero; here it crosses zero and comes out on the other
    side.
    """
    return w - threshold * np.sign(w)


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent",
    fails=(
        "proximal_trajectory",
        "proximal_zeros_are_exact",
        "proximal_on_other_problems",
    ),
)
def threshold_without_learning_rate(X, y, w0, lr, steps, lam):
    """The threshold of a proximal step is lr * lambda, not lambda."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        weights.append(soft_threshold(gradient_step(X, y, weights[-1], lr), lam))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent",
    fails=(
        "proximal_losses",
        "proximal_on_other_problems",
    ),
)
def losses_lag_behind(X, y, w0, lr, steps, lam):
    """losses[k] should be the loss of weights[k]; here it is that of the weights one step earlier."""
    weights, losses = [np.array(w0, dtype=float)], [loss(X, y, w0)]
    for _ in range(steps):
        losses.append(loss(X, y, weights[-1]))
        weights.append(soft_threshold(gradient_step(X, y, weights[-1], lr), lr * lam))
    return History(np.stack(weights), np.array(losses))


# --- 1(f)


@misconception(
    "lab1_sparse_optimization.trimmed_soft_threshold",
    fails=(
        "trimmed_threshold_spares_the_largest",
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
    ),
)
def penalizes_the_largest(w, threshold, n_penalized):
    """The trimmed penalty spares the largest magnitudes; here it shrinks exactly those."""
    penalized = np.argsort(-np.abs(w))[:n_penalized]
    trimmed = w.copy()
    trimmed[penalized] = soft_threshold(w[penalized], threshold)
    return trimmed


@misconception(
    "lab1_sparse_optimization.trimmed_soft_threshold",
    fails=(
        "trimmed_threshold_spares_the_largest",
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
    ),
)
def penalizes_all(w, threshold, n_penalized):
    """Only n elements are penalised; shrinking all of them is plain L1 again."""
    return soft_threshold(w, threshold)


@misconception(
    "lab1_sparse_optimization.trimmed_soft_threshold",
    fails=(
        "trimmed_threshold_spares_the_largest",
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
    ),
)
def smallest_signed_values(w, threshold, n_penalized):
    """The penalised elements are smallest in *magnitude*; sorting by signed value takes the most negative
    ones.
    """
    penalized = np.argsort(w)[:n_penalized]
    trimmed = w.copy()
    trimmed[penalized] = soft_threshold(w[penalized], threshold)
    return trimmed


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


@misconception(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent",
    fails=(
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_on_other_problems",
    ),
)
def trimmed_set_fixed(X, y, w0, lr, steps, lam, n_penalized):
    """The trimmed set is chosen anew in every step; here the one of the first step is kept for ever."""
    weights = [np.array(w0, dtype=float)]
    penalized = np.argsort(np.abs(weights[0]))[:n_penalized]
    for _ in range(steps):
        v = gradient_step(X, y, weights[-1], lr)
        v[penalized] = soft_threshold(v[penalized], lr * lam)
        weights.append(v)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent",
    fails=(
        "trimmed_losses",
        "trimmed_on_other_problems",
    ),
)
def trimmed_penalty_in_the_losses(X, y, w0, lr, steps, lam, n_penalized):
    """The history holds L(w) alone; here the penalty of the smallest elements is part of it."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        weights.append(trimmed_soft_threshold(gradient_step(X, y, weights[-1], lr), lr * lam, n_penalized))
    penalties = [lam * np.sort(np.abs(w))[:n_penalized].sum() for w in weights]
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]) + penalties)

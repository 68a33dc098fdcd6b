"""Off by a little more than a tolerance of Lab 1 allows; see ``grader.catalogue.near_miss``."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import near_miss


@near_miss(
    "lab1_sparse_optimization.loss",
    guards=("RTOL",),
    fails=("loss_is_exact", "loss_on_other_problems"),
)
def loss_three_tolerances_off(X, y, w):
    """The loss is too large by 3e-9 of itself."""
    residual = X @ w - y
    return float(residual @ residual) * (1 + 3e-9)


@near_miss(
    "lab1_sparse_optimization.gradient_descent",
    guards=("RTOL",),
    fails=("gradient_descent_trajectory", "gradient_descent_on_other_problems"),
)
def steps_three_tolerances_off(X, y, w0, lr, steps):
    """Every step misses by 3e-9 in one element."""
    off = 3e-9 * (np.arange(len(w0)) == 0)
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr) + off)


@near_miss(
    "lab1_sparse_optimization.gradient_descent",
    guards=("RTOL",),
    fails=("gradient_descent_losses", "gradient_descent_on_other_problems"),
)
def losses_three_tolerances_off(X, y, w0, lr, steps):
    """Every recorded loss is too large by 3e-9 of the largest of them, or of that of w = 0."""
    run = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr))
    return History(run.weights, run.losses + 3e-9 * max(run.losses.max(), loss(X, y, np.zeros(len(w0)))))


@near_miss(
    "lab1_sparse_optimization.projected_gradient_descent",
    guards=("RTOL",),
    fails=("projected_trajectory", "projected_on_other_problems"),
)
def projected_three_tolerances_off(X, y, w0, lr, steps, k):
    """Every kept element misses by 3e-9 in every step."""

    def update(w):
        v = project_top_k(gradient_step(X, y, w, lr), k)
        return v + 3e-9 * (v != 0)

    return _descend(X, y, w0, steps, update)


@near_miss(
    "lab1_sparse_optimization.l1_gradient_descent",
    guards=("RTOL",),
    fails=("l1_trajectory", "l1_on_other_problems"),
)
def subgradient_three_tolerances_off(X, y, w0, lr, steps, lam):
    """Every step misses by 3e-9 in every element."""
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr) - lr * lam * np.sign(w) + 3e-9)


@near_miss(
    "lab1_sparse_optimization.proximal_gradient_descent",
    guards=("RTOL",),
    fails=("proximal_trajectory", "proximal_on_other_problems"),
)
def threshold_three_tolerances_off(X, y, w0, lr, steps, lam):
    """The threshold is too large by 3e-9 in every step."""
    return _descend(X, y, w0, steps, lambda w: soft_threshold(gradient_step(X, y, w, lr), lr * lam + 3e-9))


@near_miss(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent",
    guards=("RTOL",),
    fails=("trimmed_trajectory", "trimmed_on_other_problems"),
)
def trimmed_three_tolerances_off(X, y, w0, lr, steps, lam, n_penalized):
    """The largest element misses by 3e-9 in every step."""

    def update(w):
        v = trimmed_soft_threshold(gradient_step(X, y, w, lr), lr * lam, n_penalized)
        v[np.argmax(np.abs(v))] -= 3e-9
        return v

    return _descend(X, y, w0, steps, update)


@near_miss(
    "lab1_sparse_optimization.gradient_descent",
    guards=("CONVERGED",),
    fails=("gradient_descent_trajectory", "gradient_descent_converges", "gradient_descent_on_other_problems"),
)
def loss_of_three_times_zero(X, y, w0, lr, steps):
    """The last w is moved by 7e-7 in one element, which brings the loss from 1e-30 to 3e-12."""
    weights = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr)).weights
    weights[-1, 0] += 7e-7
    return History(weights, np.array([loss(X, y, w) for w in weights]))


@near_miss("lab1_sparse_optimization.plot_loss", guards=("RTOL",), fails=("loss_plot_shows_the_losses",))
def line_three_tolerances_off(histories):
    """The lines are too high by 3e-9 of what they show."""
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.plot(history.losses * (1 + 3e-9), label=label)
    axes.set(yscale="log", xlabel="step", ylabel="loss")
    axes.legend()
    return figure

"""Right in another way, Lab 1. Names such as ``np`` and ``plt`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import equivalent

# --- 1(a)


@equivalent("lab1_sparse_optimization.loss")
def loss_in_a_loop(X, y, w):
    """The same sum, term by term, as a numpy scalar."""
    total = np.float64(0)
    for x_i, y_i in zip(X, y, strict=True):
        total += (np.dot(x_i, w) - y_i) ** 2
    return total


@equivalent("lab1_sparse_optimization.gradient")
def gradient_by_autograd(X, y, w):
    """Automatic differentiation gives the same gradient, as a torch tensor of float64."""
    import torch

    W = torch.tensor(np.asarray(w, dtype=np.float64), requires_grad=True)
    ((torch.as_tensor(X) @ W - torch.as_tensor(y)) ** 2).sum().backward()
    return W.grad.numpy()


@equivalent("lab1_sparse_optimization.gradient")
def gradient_by_einsum(X, y, w):
    """2 sum_i x_ij (x_i w - y_i), with the expanded normal equations."""
    return 2 * (np.einsum("ij,ik,k->j", X, X, w) - np.einsum("ij,i->j", X, y))


@equivalent("lab1_sparse_optimization.gradient_step")
def step_on_a_copy(X, y, w, lr):
    """In place, but on a copy: the caller's array stays as it is."""
    v = np.copy(w)
    v -= 2 * lr * X.T @ (X @ v - y)
    return v


@equivalent("lab1_sparse_optimization")
def column_vectors():
    """Weights and targets as columns (d, 1) and (n, 1) throughout, as in the formulas of the lecture."""

    def loss(X, y, w):
        assert w.shape == (X.shape[1], 1)
        return ((X @ w - y) ** 2).sum()

    def gradient(X, y, w):
        assert w.shape == (X.shape[1], 1)
        return 2 * X.T @ (X @ w - y)

    def gradient_step(X, y, w, lr):
        return w - lr * gradient(X, y, w)

    def project_top_k(w, k):
        assert w.shape[1] == 1
        projected = w.copy()
        projected[np.argsort(np.abs(w), axis=0)[: max(len(w) - k, 0), 0]] = 0
        return projected

    def trimmed_soft_threshold(w, threshold, n_penalized):
        assert w.shape[1] == 1
        trimmed = w.copy()
        order = np.argsort(np.abs(w), axis=0)[:n_penalized, 0]
        trimmed[order] = soft_threshold(w[order], threshold)
        return trimmed


# --- the solvers


@equivalent("lab1_sparse_optimization.gradient_descent")
def plain_tuple_of_lists(X, y, w0, lr, steps):
    """A pair of lists instead of a History."""
    w, weights, losses = np.array(w0, dtype=float), [], []
    for _ in range(steps + 1):
        weights.append(w.tolist())
        losses.append(float(np.linalg.norm(X @ w - y) ** 2))
        w = w - lr * 2 * np.dot(X.T, X.dot(w) - y)
    return weights, losses


@equivalent("lab1_sparse_optimization.gradient_descent")
def in_torch(X, y, w0, lr, steps):
    """torch with autograd and an optimizer, in float64, takes the same steps."""
    import torch

    X, y = torch.tensor(X), torch.tensor(y)
    w = torch.tensor(np.array(w0, dtype=float), requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=lr)
    weights, losses = [w.detach().clone()], [((X @ w - y) ** 2).sum().detach()]
    for _ in range(steps):
        optimizer.zero_grad()
        ((X @ w - y) ** 2).sum().backward()
        optimizer.step()
        weights.append(w.detach().clone())
        losses.append(((X @ w - y) ** 2).sum().detach())
    return History(torch.stack(weights), torch.stack(losses))


@equivalent("lab1_sparse_optimization.gradient_descent")
def matrix_filled_row_by_row(X, y, w0, lr, steps, verbose=False):
    """A preallocated matrix, the gradient sample by sample, and an extra argument with a default."""
    weights = np.zeros((steps + 1, len(w0)))
    losses = np.zeros((steps + 1, 1))
    weights[0] = w0
    for k in range(steps + 1):
        losses[k] = loss(X, y, weights[k])
        if k < steps:
            g = np.zeros(len(w0))
            for i in range(X.shape[0]):
                g += 2 * (X[i] @ weights[k] - y[i]) * X[i]
            weights[k + 1] = weights[k] - lr * g
    return History(weights=weights, losses=losses)


@equivalent("lab1_sparse_optimization.projected_gradient_descent")
def projected_with_other_ties(X, y, w0, lr, steps, k):
    """Of equal magnitudes the last ones are kept instead of the first."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        v = weights[-1] - lr * gradient(X, y, weights[-1])
        order = np.argsort(np.abs(v), kind="stable")
        v[order[: len(v) - k]] = 0
        weights.append(v)
    return History(np.array(weights), np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.project_top_k")
def top_k_by_partition(w, k):
    """The k-th largest magnitude as a threshold."""
    if k <= 0:
        return np.zeros(len(w))
    if k >= len(w):
        return np.array(w)
    threshold = np.partition(np.abs(w), len(w) - k)[len(w) - k]
    return np.where(np.abs(w) >= threshold, w, 0)


@equivalent("lab1_sparse_optimization.project_top_k")
def top_k_by_sorted(w, k):
    """Python's sorted, ties to the last, zeros that keep the sign of the weight."""
    kept = sorted(range(len(w)), key=lambda i: (abs(w[i]), i), reverse=True)[:k]
    return [w[i] if i in kept else 0.0 * w[i] for i in range(len(w))]


@equivalent("lab1_sparse_optimization.l1_gradient_descent")
def subgradient_plus_one(X, y, w0, lr, steps, lam):
    """At zero +1 is a subgradient of |w|."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        weights.append(w - lr * (gradient(X, y, w) + lam * np.where(w >= 0, 1.0, -1.0)))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.l1_gradient_descent")
def subgradient_minus_one(X, y, w0, lr, steps, lam):
    """At zero -1 is a subgradient of |w|."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        weights.append(w - lr * (gradient(X, y, w) + lam * np.where(w > 0, 1.0, -1.0)))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.l1_gradient_descent")
def subgradient_in_between(X, y, w0, lr, steps, lam):
    """At zero every number between -1 and 1 is a subgradient of |w|, 0.3 for example."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        weights.append(w - lr * (gradient(X, y, w) + lam * np.where(w == 0, 0.3, np.sign(w))))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.soft_threshold")
def soft_threshold_in_three_cases(w, threshold):
    """The proximal operator case by case; it works for one number as well."""
    return np.where(w > threshold, w - threshold, np.where(w < -threshold, w + threshold, 0.0))


@equivalent("lab1_sparse_optimization.soft_threshold")
def soft_threshold_by_relu(w, threshold):
    """relu(w - t) - relu(-w - t), as torch would write it."""
    return np.maximum(w - threshold, 0) - np.maximum(-w - threshold, 0)


@equivalent("lab1_sparse_optimization.soft_threshold")
def soft_threshold_by_clipping(w, threshold):
    """What clipping cuts out is what the soft threshold leaves."""
    return w - np.clip(w, -threshold, threshold)


@equivalent("lab1_sparse_optimization.trimmed_l1_gradient_descent")
def trimmed_set_before_the_step(X, y, w0, lr, steps, lam, n_penalized):
    """The trimmed set is chosen from the weights before the gradient step; both orders are common."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        penalized = np.argsort(np.abs(w), kind="stable")[:n_penalized]
        v = w - lr * gradient(X, y, w)
        v[penalized] = soft_threshold(v[penalized], lr * lam)
        weights.append(v)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.trimmed_l1_gradient_descent")
def trimmed_set_with_other_ties(X, y, w0, lr, steps, lam, n_penalized):
    """As before the step, and of equal magnitudes (all zero at the start) the last ones are penalised."""
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        w = weights[-1]
        spared = np.argsort(-np.abs(w), kind="stable")[: len(w) - n_penalized]
        v = w - lr * gradient(X, y, w)
        shrunk = soft_threshold(v, lr * lam)
        shrunk[spared] = v[spared]
        weights.append(shrunk)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.trimmed_soft_threshold")
def trimmed_by_mask(w, threshold, n_penalized):
    """A mask from the ranks, and np.where instead of indexing."""
    ranks = np.argsort(np.argsort(np.abs(w), kind="stable"), kind="stable")
    return np.where(ranks < n_penalized, soft_threshold(w, threshold), w)


# --- the figures


@equivalent("lab1_sparse_optimization.plot_loss")
def semilogy_from_one(histories):
    """pyplot's own state machine, semilogy, steps counted from 1."""
    plt.figure(figsize=(8, 5))
    for label in histories:
        losses = histories[label].losses
        plt.semilogy(np.arange(1, len(losses) + 1), losses, label=f"run: {label}")
    plt.title("Loss")
    plt.xlabel("iteration")
    plt.ylabel("log loss")
    plt.grid(True)
    plt.legend(loc="upper right")
    return plt.gcf()


@equivalent("lab1_sparse_optimization.plot_loss")
def yscale_in_black_and_white(histories):
    """plt.yscale, lines that differ by dashes and markers, a helper line, a legend of the figure; axes
    returned.
    """
    figure, axes = plt.subplots()
    for (label, history), dash in zip(histories.items(), ("-", "--", ":", "-."), strict=False):
        axes.plot(range(len(history.losses)), history.losses, dash, color="black", label=label)
    axes.axhline(1e-3, color="grey", linewidth=0.5)
    plt.yscale("log")
    axes.set_xlabel("step k")
    axes.set_ylabel("L(w_k)")
    figure.legend()
    return axes


@equivalent("lab1_sparse_optimization.plot_weights")
def matrix_in_one_call(history):
    """One call draws all columns; the labels go to the legend; the layout is tightened."""
    figure = plt.figure()
    axes = figure.add_subplot(111)
    lines = axes.plot(np.asarray(history.weights), marker=".", markersize=2)
    axes.legend(lines, [f"w[{i}]" for i in range(len(lines))])
    axes.set_xlabel("k")
    axes.set_ylabel("value")
    figure.tight_layout()
    return figure


@equivalent("lab1_sparse_optimization.plot_weights")
def one_subplot_per_element(history):
    """One subplot per element, labels and legend for the figure as a whole."""
    d = history.weights.shape[1]
    figure, grid = plt.subplots(d, 1, sharex=True)
    for i in range(d):
        grid[i].plot(np.arange(len(history.weights)), history.weights[:, i], color=f"C{i}", label=f"w{i + 1}")
    figure.supxlabel("step")
    figure.supylabel("weight")
    figure.legend()
    return figure

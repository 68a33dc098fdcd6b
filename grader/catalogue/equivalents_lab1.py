"""Right in another way, Lab 1. Names such as ``np`` and ``plt`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# ruff: noqa: F841  (what an entry for a whole module assigns becomes part of that module)
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


@equivalent("lab1_sparse_optimization.loss")
def loss_by_norm(X, y, w):
    """The squared length of the vector of errors."""
    return np.linalg.norm(y - np.dot(X, w)) ** 2


@equivalent("lab1_sparse_optimization.loss")
def loss_multiplied_out(X, y, w):
    """w X^T X w - 2 y X w + y y: the square, multiplied out."""
    return w.T @ (X.T @ X) @ w - 2 * y.T @ X @ w + y.T @ y


@equivalent("lab1_sparse_optimization.loss")
def loss_by_einsum(X, y, w):
    """Products and sums by einsum; the result is an array without dimensions."""
    r = np.einsum("ij,j->i", X, w) - y
    return np.einsum("i,i->", r, r)


@equivalent("lab1_sparse_optimization.loss")
def loss_from_torch(X, y, w):
    """torch's own sum of squared errors, as a tensor of one element."""
    import torch

    X, y, w = (torch.as_tensor(a, dtype=torch.float64) for a in (X, y, w))
    return torch.nn.MSELoss(reduction="sum")(X @ w, y)


@equivalent("lab1_sparse_optimization.loss")
def loss_of_plain_lists(X, y, w):
    """Plain Python numbers and math.fsum, whose order of summation differs."""
    import math

    X, y, w = np.asarray(X).tolist(), np.ravel(y).tolist(), np.ravel(w).tolist()
    return math.fsum((math.fsum(a * b for a, b in zip(x, w, strict=True)) - t) ** 2 for x, t in zip(X, y, strict=True))


@equivalent("lab1_sparse_optimization.loss")
def loss_averaged_and_scaled_back(X, y, w, reduction="sum"):
    """A mean times the number of samples is the sum; an extra argument has a default."""
    errors = np.square(X.dot(w) - y)
    return errors.mean() * (len(y) if reduction == "sum" else 1)


@equivalent("lab1_sparse_optimization.gradient")
def gradient_in_two_loops(X, y, w):
    """Element by element and sample by sample."""
    g = [0.0] * len(w)
    for j in range(len(w)):
        for i in range(len(y)):
            g[j] += 2 * X[i][j] * (sum(X[i][m] * w[m] for m in range(len(w))) - y[i])
    return np.array(g)


@equivalent("lab1_sparse_optimization.gradient")
def gradient_from_the_left(X, y, w):
    """A row times X instead of X^T times a column, and two minus signs that cancel."""
    return -2 * (y - X @ w) @ X


@equivalent("lab1_sparse_optimization.gradient")
def gradient_by_broadcasting(X, y, w):
    """One row per sample, scaled by its error and summed over the samples."""
    errors = (X * w).sum(axis=1) - y
    return (2 * errors[:, np.newaxis] * X).sum(axis=0)


@equivalent("lab1_sparse_optimization.gradient")
def gradient_by_wide_differences(X, y, w):
    """The central difference of a quadratic is exact for every distance, 1 too."""
    return np.array([(loss(X, y, w + e) - loss(X, y, w - e)) / 2 for e in np.eye(len(w))])


@equivalent("lab1_sparse_optimization.gradient")
def gradient_by_torch_func(X, y, w):
    """torch.func differentiates a function of w."""
    import torch

    X, y, w = (torch.as_tensor(a, dtype=torch.float64) for a in (X, y, w))
    return torch.func.grad(lambda v: torch.sum((X @ v - y) ** 2))(w).numpy()


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


@equivalent("lab1_sparse_optimization.gradient_step")
def step_with_greek_names(X, y, w, lr=0.02):
    """Greek local names, a type hint, and a default for the learning rate."""
    η: float = lr
    Δ = gradient(X, y, w)
    return np.subtract(w, η * Δ)


@equivalent("lab1_sparse_optimization.gradient_step")
def step_by_matrix(X, y, w, lr):
    """The step is affine in w: (I - 2 lr X^T X) w + 2 lr X^T y."""
    return (np.eye(len(w)) - 2 * lr * X.T @ X) @ w + 2 * lr * X.T @ y


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


@equivalent("lab1_sparse_optimization")
def history_as_a_dataclass():
    """History as a dataclass with a property and defaults of its own; all solvers fill it."""
    from dataclasses import dataclass, field

    @dataclass
    class History:
        weights: list = field(default_factory=list)
        losses: list = field(default_factory=list)

        @property
        def _last(self):
            return self.weights[-1]

    def gradient_descent(X, y, w0, lr, steps):
        history = History()
        history.weights.append(np.array(w0, dtype=float))
        for _ in range(steps):
            history.weights.append(gradient_step(X, y, history._last, lr))
        history.losses = [loss(X, y, w) for w in history.weights]
        return history


@equivalent("lab1_sparse_optimization")
def solver_class():
    """A class whose objects are the solvers: __call__ runs the loop, a function of its own makes the step."""

    class _Solver:
        def __init__(self, after=None):
            self.after = after or (lambda w, lr: w)

        def __call__(self, X, y, w0, lr, steps, **others):
            w = np.array(w0, dtype=float)
            weights, losses = [w], [loss(X, y, w)]
            for _ in range(steps):
                w = self.after(gradient_step(X, y, w, lr), lr, **others)
                weights.append(w)
                losses.append(loss(X, y, w))
            return History(np.vstack(weights), np.array(losses))

    _trimmed = _Solver(lambda v, lr, lam, n_penalized: trimmed_soft_threshold(v, lr * lam, n_penalized))
    gradient_descent = _Solver()
    projected_gradient_descent = _Solver(lambda v, lr, k: project_top_k(v, k))
    proximal_gradient_descent = _Solver(lambda v, lr, lam: soft_threshold(v, lr * lam))

    def trimmed_l1_gradient_descent(X, y, w0, lr, steps, lam, n_penalized):
        return _trimmed(X, y, w0, lr, steps, lam=lam, n_penalized=n_penalized)


@equivalent("lab1_sparse_optimization")
def helpers_for_all_solvers():
    """A generator of iterates, a recorder, and one line per solver; penalties in Greek."""
    from itertools import islice

    def _iterates(step, w0):
        w = np.array(w0, dtype=float)
        while True:
            yield w.copy()
            w = step(w)

    def _record(X, y, w0, steps, step):
        weights = np.stack(list(islice(_iterates(step, w0), steps + 1)))
        return History(weights, ((weights @ X.T - y) ** 2).sum(axis=1))

    def gradient_descent(X, y, w0, lr, steps):
        return _record(X, y, w0, steps, lambda w: w - lr * gradient(X, y, w))

    def projected_gradient_descent(X, y, w0, lr, steps, k):
        return _record(X, y, w0, steps, lambda w: project_top_k(w - lr * gradient(X, y, w), k))

    def l1_gradient_descent(X, y, w0, lr, steps, lam):
        λ = lam
        return _record(X, y, w0, steps, lambda w: w - lr * (gradient(X, y, w) + λ * np.sign(w)))

    def proximal_gradient_descent(X, y, w0, lr, steps, lam):
        λ = lam
        return _record(X, y, w0, steps, lambda w: soft_threshold(w - lr * gradient(X, y, w), λ * lr))

    def trimmed_l1_gradient_descent(X, y, w0, lr, steps, lam, n_penalized):
        def step(w):
            return trimmed_soft_threshold(w - lr * gradient(X, y, w), lr * lam, n_penalized)

        return _record(X, y, w0, steps, step)


@equivalent("lab1_sparse_optimization.gradient_descent")
def in_place_with_copies(X, y, w0, lr, steps):
    """In place, but on a copy of w0, and copies are recorded."""
    w = w0.copy()
    weights, losses = [w.copy()], [loss(X, y, w)]
    for _ in range(steps):
        w -= lr * gradient(X, y, w)
        weights.append(w.copy())
        losses.append(loss(X, y, w))
    return History(np.array(weights), np.array(losses))


@equivalent("lab1_sparse_optimization.gradient_descent")
def columns_inside(X, y, w0, lr=0.02, steps=200, *, verbose=False):
    """Columns inside, whose shape stays in the result; defaults, and an argument that only a keyword reaches."""
    w, t = np.array(w0, dtype=float).reshape(-1, 1), np.reshape(y, (-1, 1))
    weights, losses = [w], [(X @ w - t).T @ (X @ w - t)]
    for _ in range(steps):
        w = w - lr * 2 * X.T @ (X @ w - t)
        weights.append(w)
        losses.append((X @ w - t).T @ (X @ w - t))
    return History(np.array(weights), np.array(losses))


@equivalent("lab1_sparse_optimization.gradient_descent")
def closed_form(X, y, w0, lr, steps):
    """The k-th power of the affine map of a step gives w_k without the steps between."""
    d = len(w0)
    step = np.eye(d + 1)
    step[:d, :d] -= 2 * lr * X.T @ X
    step[:d, d] = 2 * lr * X.T @ y
    start = np.append(w0, 1.0)
    weights = np.array([(np.linalg.matrix_power(step, k) @ start)[:d] for k in range(steps + 1)])
    return History(weights, np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.gradient_descent")
def in_eigenvectors(X, y, w0, lr, steps):
    """In the eigenvectors of the Hessian every coordinate shrinks by a factor of its own."""
    values, vectors = np.linalg.eigh(2 * X.T @ X)
    limit = w0 - np.linalg.pinv(X) @ (X @ w0 - y)
    factors = (1 - lr * values) ** np.arange(steps + 1)[:, None]
    weights = limit + (factors * (vectors.T @ (w0 - limit))) @ vectors.T
    weights[0] = w0
    return History(weights, np.sum((weights @ X.T - y) ** 2, axis=1))


@equivalent("lab1_sparse_optimization.gradient_descent")
def in_extended_precision(X, y, w0, lr, steps):
    """More digits than asked for, which round to the same."""
    w, weights = np.array(w0, dtype=np.longdouble), []
    for _ in range(steps + 1):
        weights.append(w)
        w = w - lr * gradient(X, y, w)
    return History(np.array(weights), [float(loss(X, y, w)) for w in weights])


@equivalent("lab1_sparse_optimization.gradient_descent")
def by_accumulate(X, y, w0, lr, steps):
    """itertools.accumulate instead of a loop, and a namespace instead of a History."""
    from itertools import accumulate, repeat
    from types import SimpleNamespace

    weights = list(accumulate(repeat(lr, steps), lambda w, rate: gradient_step(X, y, w, rate), initial=1.0 * w0))
    return SimpleNamespace(weights=weights, losses=[loss(X, y, w) for w in weights], final=weights[-1])


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


@equivalent("lab1_sparse_optimization.projected_gradient_descent")
def projected_in_place(X, y, w0, lr, steps, k):
    """The d - k smallest of a new array are zeroed in it."""
    weights = [np.array(w0, dtype=float)]
    while len(weights) <= steps:
        w = gradient_step(X, y, weights[-1], lr)
        w[np.argpartition(np.abs(w), len(w) - k)[: len(w) - k]] = 0
        weights.append(w)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.project_top_k")
def top_k_by_mask(w, k):
    """A mask of ones, with zeros for what goes; the product gives -0.0 for negative weights."""
    mask = np.ones(np.shape(w))
    mask[np.argsort(np.abs(w))[: max(len(w) - k, 0)]] = 0
    return w * mask


@equivalent("lab1_sparse_optimization.project_top_k")
def top_k_one_by_one(w, k):
    """The smallest non-zero element is dropped until no more than k are left."""
    projected = np.array(w)
    while np.count_nonzero(projected) > k:
        magnitudes = np.where(projected == 0, np.inf, np.abs(projected))
        projected[np.argmin(magnitudes)] = 0.0
    return projected


@equivalent("lab1_sparse_optimization.project_top_k")
def top_k_from_torch(w, k):
    """torch.topk of the squares, scattered into zeros."""
    import torch

    v = torch.as_tensor(w)
    kept = torch.topk(v**2, min(k, len(v))).indices
    return torch.zeros_like(v).scatter(0, kept, v[kept]).numpy()


@equivalent("lab1_sparse_optimization.project_top_k")
def top_k_from_a_heap(w, k):
    """heapq.nlargest finds the elements."""
    import heapq

    kept = heapq.nlargest(k, range(len(w)), key=lambda i: abs(w[i]))
    return np.where(np.isin(np.arange(len(w)), kept), w, 0)


@equivalent("lab1_sparse_optimization.project_top_k")
def top_k_of_a_masked_array(w, k):
    """A masked array whose masked elements are filled with zeros."""
    ranks = np.argsort(np.argsort(-np.abs(w), kind="stable"), kind="stable")
    return np.ma.masked_where(ranks >= k, w).filled(0.0)


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


@equivalent("lab1_sparse_optimization.l1_gradient_descent")
def subgradient_at_random(X, y, w0, lr, steps, lam):
    """At zero another subgradient of |w| in every step."""
    generator = np.random.default_rng(0)

    def update(w):
        s = np.where(w == 0, generator.uniform(-1, 1, size=len(w)), np.sign(w))
        return w - lr * (gradient(X, y, w) + lam * s)

    return _descend(X, y, w0, steps, update)


@equivalent("lab1_sparse_optimization.l1_gradient_descent")
def subgradient_by_division(X, y, w0, lr, steps, lam):
    """w / |w| is the sign, with zero where that is not defined; the penalty as a step of its own."""

    def update(w):
        s = np.divide(w, np.abs(w), out=np.zeros(len(w)), where=w != 0)
        return gradient_step(X, y, w, lr) - lr * lam * s

    return _descend(X, y, w0, steps, update)


@equivalent("lab1_sparse_optimization.l1_gradient_descent")
def subgradient_by_autograd(X, y, w0, lr, steps, lam=1.0):
    """Automatic differentiation of the whole objective; torch takes 0 as the derivative of |w| at zero."""
    import torch

    X, y = torch.as_tensor(X), torch.as_tensor(y)
    w = torch.tensor(np.array(w0, dtype=float), requires_grad=True)
    weights, losses = [], []
    for _ in range(steps + 1):
        fit = torch.sum((X @ w - y) ** 2)
        weights.append(w.detach().numpy().copy())
        losses.append(fit.item())
        (grad,) = torch.autograd.grad(fit + lam * torch.norm(w, p=1), w)
        with torch.no_grad():
            w -= lr * grad
    return History(np.stack(weights), np.array(losses))


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


@equivalent("lab1_sparse_optimization.soft_threshold")
def soft_threshold_by_boolean_indexing(w, threshold):
    """Zeros, into which the shrunk elements are written."""
    v = np.zeros_like(w)
    v[w > threshold] = w[w > threshold] - threshold
    v[w < -threshold] = w[w < -threshold] + threshold
    return v


@equivalent("lab1_sparse_optimization.soft_threshold")
def soft_threshold_in_a_loop(w, threshold=0.0):
    """One number after another, with math.copysign, as a list."""
    import math

    return [math.copysign(max(abs(x) - threshold, 0.0), x) for x in w]


@equivalent("lab1_sparse_optimization.soft_threshold")
def soft_threshold_from_torch(w, threshold):
    """torch has it under the name softshrink."""
    import torch

    return torch.nn.functional.softshrink(torch.as_tensor(np.array(w)), float(threshold)).numpy()


@equivalent("lab1_sparse_optimization.soft_threshold")
def soft_threshold_on_a_copy(w, threshold):
    """A copy is shrunk by the whole threshold, and what has crossed zero is put on zero."""
    v = np.array(w, dtype=float)
    v -= threshold * np.sign(w)
    v[v * w <= 0] = 0
    return v


@equivalent("lab1_sparse_optimization.proximal_gradient_descent")
def proximal_of_the_model(X, y, w0, lr, steps, lam):
    """The minimum of the quadratic model plus the penalty, by the optimality condition of each element."""
    λ, w = lam, np.array(w0, dtype=float)
    weights = [w]
    for _ in range(steps):
        g = gradient(X, y, w)
        w = np.select([w / lr - g > λ, w / lr - g < -λ], [w - lr * (g + λ), w - lr * (g - λ)], default=0.0)
        weights.append(w)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@equivalent("lab1_sparse_optimization.proximal_gradient_descent")
def proximal_filled_row_by_row(X, y, w0, lr, steps, lam, tolerance=None):
    """Preallocated arrays, the loss recorded before each step and once at the end, an extra default."""
    weights, losses = np.empty((steps + 1, len(w0))), np.empty(steps + 1)
    weights[0] = w0
    for k in range(steps):
        losses[k] = loss(X, y, weights[k])
        weights[k + 1] = soft_threshold(gradient_step(X, y, weights[k], lr), lam * lr)
    losses[steps] = loss(X, y, weights[steps])
    return History(weights, losses)


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


@equivalent("lab1_sparse_optimization.trimmed_l1_gradient_descent")
def trimmed_with_a_threshold_per_element(X, y, w0, lr, steps, lam, n_penalized):
    """A threshold for every element: lr * lambda for the smallest, zero for the others."""

    def update(w):
        v = gradient_step(X, y, w, lr)
        thresholds = np.zeros(len(v))
        thresholds[np.argpartition(np.abs(v), n_penalized)[:n_penalized]] = lr * lam
        return np.sign(v) * np.maximum(np.abs(v) - thresholds, 0)

    return _descend(X, y, w0, steps, update)


@equivalent("lab1_sparse_optimization.trimmed_soft_threshold")
def trimmed_by_restoring(w, threshold, n_penalized):
    """All elements are shrunk, and the largest get their values back."""
    trimmed = np.array(soft_threshold(w, threshold))
    largest = np.argsort(-np.abs(w))[: len(w) - n_penalized]
    trimmed[largest] = w[largest]
    return trimmed


@equivalent("lab1_sparse_optimization.trimmed_soft_threshold")
def trimmed_in_a_loop(w, threshold, n_penalized):
    """A sorted list of indices, and one number after another."""
    order = sorted(range(len(w)), key=lambda i: abs(w[i]))
    result = list(w)
    for i in order[:n_penalized]:
        sign = 1.0 if w[i] > 0 else -1.0
        result[i] = 0.0 if abs(w[i]) <= threshold else w[i] - sign * threshold
    return result


@equivalent("lab1_sparse_optimization.trimmed_soft_threshold")
def trimmed_from_torch(w, threshold, n_penalized):
    """torch.topk of the smallest magnitudes, and a mask."""
    import torch

    v = torch.as_tensor(np.array(w))
    penalized = torch.zeros(len(v), dtype=torch.bool)
    penalized[torch.topk(v.abs(), n_penalized, largest=False).indices] = True
    return torch.where(penalized, torch.nn.functional.softshrink(v, float(threshold)), v).numpy()


@equivalent("lab1_sparse_optimization")
def tensors_everywhere():
    """torch from end to end: every function takes and returns tensors of float64."""
    import torch

    def _tensors(*arrays):
        return [torch.as_tensor(np.asarray(a), dtype=torch.float64) for a in arrays]

    def loss(X, y, w):
        X, y, w = _tensors(X, y, w)
        return (X @ w - y).square().sum()

    def gradient(X, y, w):
        X, y, w = _tensors(X, y, w)
        return 2 * X.mT @ (X @ w - y)

    def gradient_step(X, y, w, lr):
        return _tensors(w)[0] - lr * gradient(X, y, w)

    def project_top_k(w, k):
        (w,) = _tensors(w)
        kept = w.abs().topk(min(k, len(w))).indices
        return torch.zeros_like(w).index_put((kept,), w[kept])

    def soft_threshold(w, threshold):
        (w,) = _tensors(w)
        return w.sign() * (w.abs() - threshold).clamp(min=0)

    def trimmed_soft_threshold(w, threshold, n_penalized):
        (w,) = _tensors(w)
        penalized = w.abs().argsort()[:n_penalized]
        return w.index_put((penalized,), soft_threshold(w[penalized], threshold))


@equivalent("lab1_sparse_optimization")
def lists_everywhere():
    """Lists instead of arrays, in and out of every operator."""

    def project_top_k(w, k):
        w = list(w)
        kept = sorted(range(len(w)), key=lambda i: -abs(w[i]))[:k]
        return [x if i in kept else 0.0 for i, x in enumerate(w)]

    def soft_threshold(w, threshold):
        return [max(x - threshold, 0.0) if x > 0 else min(x + threshold, 0.0) for x in w]

    def trimmed_soft_threshold(w, threshold, n_penalized):
        w = list(w)
        smallest = sorted(range(len(w)), key=lambda i: abs(w[i]))[:n_penalized]
        shrunk = soft_threshold(w, threshold)
        return [shrunk[i] if i in smallest else x for i, x in enumerate(w)]

    def gradient_step(X, y, w, lr):
        g = gradient(np.array(X), np.array(y), np.array(w))
        return [float(a - lr * b) for a, b in zip(w, g, strict=True)]


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


@equivalent("lab1_sparse_optimization.plot_loss")
def legend_from_the_keys(histories):
    """The legend is given the labels; the figure is shown before it is returned."""
    fig = plt.figure()
    for run in histories.values():
        plt.plot(list(run.losses))
    plt.gca().set_yscale("log")
    plt.legend(list(histories))
    plt.xlabel("Iterations")
    plt.ylabel("Loss")
    plt.show()
    return fig


@equivalent("lab1_sparse_optimization.plot_loss")
def without_pyplot(histories, title="Loss"):
    """A Figure made without pyplot, a floor far below every loss, symlog, and a title by default."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for label, run in histories.items():
        steps = np.arange(len(run.losses))
        axes.plot(steps, np.asarray(run.losses) + 1e-16, label=f"{label} ({len(steps) - 1} steps)")
    axes.set_yscale("symlog", linthresh=1e-16)
    axes.set_title(title)
    axes.set_xlabel("$k$")
    axes.set_ylabel("$L(w_k)$")
    axes.legend(title="run")
    return figure


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


@equivalent("lab1_sparse_optimization.plot_weights")
def step_by_pyplot(history, names=None):
    """pyplot's own functions, steps as x, dashes as well as colours, a zero line, names by default."""
    figure = plt.figure(figsize=(7, 4))
    weights = np.array(history.weights)
    for i in range(weights.shape[1]):
        name = names[i] if names else f"w{i}"
        plt.plot(range(weights.shape[0]), weights[:, i], linestyle=["-", "--"][i % 2], linewidth=1, label=name)
    plt.axhline(0, color="black", linewidth=0.5)
    plt.xlabel("step")
    plt.ylabel("element of w")
    plt.legend(loc="best", ncol=2, fontsize="small")
    plt.show()
    return figure


@equivalent("lab1_sparse_optimization.plot_weights")
def axes_instead_of_figure(history):
    """The axes instead of the figure that they are part of; elements counted from 0."""
    _, ax = plt.subplots()
    for i, path in enumerate(zip(*history.weights, strict=True)):
        ax.plot(path, label=f"element {i}")
    ax.set_xlabel("step k")
    ax.set_ylabel("w")
    ax.legend()
    return ax


@equivalent("lab1_sparse_optimization.l1_gradient_descent")
def subgradient_of_minimal_norm(X, y, w0, lr, steps, lam):
    """At zero the subgradient of the objective that is closest to zero, so that a weight may stay there for a while."""

    def update(w):
        g = gradient(X, y, w)
        s = np.where(w == 0, np.clip(-g / lam, -1, 1), np.sign(w))
        return w - lr * (g + lam * s)

    return _descend(X, y, w0, steps, update)


@equivalent("lab1_sparse_optimization.projected_gradient_descent")
def projects_the_start_too(X, y, w0, lr, steps, k):
    """The starting point is projected as well: then really no w_k has more than k non-zero elements."""
    return _descend(X, y, project_top_k(w0, k), steps, lambda w: project_top_k(gradient_step(X, y, w, lr), k))

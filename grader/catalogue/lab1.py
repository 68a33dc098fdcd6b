"""Mistakes in Lab 1. Names such as ``np`` and ``gradient`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception

_STEPS = (
    "gradient_descent_trajectory",
    "gradient_descent_on_other_problems",
    "projected_trajectory",
    "projected_on_other_problems",
    "l1_trajectory",
    "l1_on_other_problems",
    "proximal_trajectory",
    "proximal_on_other_problems",
    "trimmed_trajectory",
    "trimmed_on_other_problems",
)
"""What every wrong step changes."""

_ZEROS = ("proximal_zeros_are_exact", "trimmed_zeros_are_exact")
"""What a wrong step may change besides."""

_LOSSES = ("gradient_descent_losses", "projected_losses", "l1_losses", "proximal_losses", "trimmed_losses")
"""The recorded losses of every solver."""

_OTHER_PROBLEMS = (
    "gradient_descent_on_other_problems",
    "projected_on_other_problems",
    "l1_on_other_problems",
    "proximal_on_other_problems",
    "trimmed_on_other_problems",
)
"""The hidden runs of every solver."""

_RUNS = (
    "gradient_descent_trajectory",
    "gradient_descent_losses",
    "gradient_descent_converges",
    "gradient_descent_on_other_problems",
    "projected_trajectory",
    "projected_is_sparse_at_every_step",
    "projected_losses",
    "projected_on_other_problems",
    "l1_trajectory",
    "l1_losses",
    "l1_oscillates",
    "l1_on_other_problems",
    "proximal_trajectory",
    "proximal_zeros_are_exact",
    "proximal_losses",
    "proximal_on_other_problems",
    "trimmed_trajectory",
    "trimmed_zeros_are_exact",
    "trimmed_losses",
    "trimmed_on_other_problems",
)
"""All that is checked of the solvers: it is lost with a run that has no usable History, or never moves."""

_THRESHOLDED = (
    "proximal_trajectory",
    "soft_threshold_edge_cases",
    "proximal_on_other_problems",
    "trimmed_trajectory",
    "trimmed_threshold_edge_cases",
    "trimmed_on_other_problems",
)
"""What every wrong soft threshold changes in the runs and at the edges."""

# --- 1(a)


@misconception("lab1_sparse_optimization.loss", fails=("loss_is_exact", "loss_on_other_problems"))
def mean_instead_of_sum(X, y, w):
    """The mean instead of the sum

    The squared errors are averaged over the samples. The loss of this lab is their sum, so that every value is too
    small by a factor of the number of samples.

    Hint: Compare the formula of the loss in the docstring with what numpy does to the squared errors here.
    """
    return float(np.mean((X @ w - y) ** 2))


@misconception("lab1_sparse_optimization.loss", fails=("loss_is_exact", "loss_on_other_problems"))
def half_the_sum(X, y, w):
    """Half the sum of squares

    Many textbooks put 1/2 before the sum of squares, so that the 2 of the derivative cancels. The loss of this lab
    has no such factor; every value is half of what it should be.

    Hint: Compute the loss of one sample with the error 1 by hand.
    """
    residual = X @ w - y
    return 0.5 * float(residual @ residual)


@misconception("lab1_sparse_optimization.loss", fails=("loss_is_exact", "loss_on_other_problems"))
def errors_not_squared(X, y, w):
    """Absolute errors instead of squared ones

    The magnitudes of the errors are summed. That is another loss, which weighs large errors less and has no derivative
    where an error is zero; the lab's loss squares every error first.

    Hint: Compute the loss of one sample with the error 3 by hand.
    """
    return float(np.abs(X @ w - y).sum())


@misconception("lab1_sparse_optimization.loss", fails=("loss_is_exact", "loss_on_other_problems"))
def square_root_of_the_sum(X, y, w):
    """The square root of the sum of squares

    This is the length of the vector of errors. The loss is the square of that length, without a root.

    Hint: Look up what `np.linalg.norm` computes, if you use it.
    """
    return float(np.linalg.norm(X @ w - y))


@misconception("lab1_sparse_optimization.loss", fails=("loss_is_exact", "loss_on_other_problems"))
def square_of_the_sum(X, y, w):
    """The square of the sum instead of the sum of squares

    The errors are added up before they are squared, so that positive and negative ones cancel. A loss of zero then
    does not mean that any sample is fitted.

    Hint: Try errors of 1 and -1: is the loss zero?
    """
    return float(np.sum(X @ w - y) ** 2)


@misconception(
    "lab1_sparse_optimization.loss", fails=("loss_is_exact", "loss_on_other_problems", *_LOSSES, *_OTHER_PROBLEMS)
)
def one_number_per_sample(X, y, w):
    """One loss per sample instead of one number

    The function returns an array with a number for each sample. The loss of the whole data set is one number.

    Hint: Print the shape of what `loss` returns.
    """
    return (X @ w - y) ** 2


@misconception("lab1_sparse_optimization.loss", fails=("loss_is_exact", "loss_on_other_problems"))
def broadcast_to_a_matrix(X, y, w):
    """Every prediction is compared with every target

    A column minus a row is broadcast to a matrix in numpy: with n samples there are n * n differences instead of n,
    and all of them enter the sum.

    Hint: Print the shapes of the predictions, of the targets and of their difference.
    """
    return float(((X @ w - y[:, None]) ** 2).sum())


@misconception(
    "lab1_sparse_optimization.gradient",
    fails=(
        "gradient_is_exact",
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        *_STEPS,
        "proximal_zeros_are_exact",
    ),
)
def factor_two_missing(X, y, w):
    """The factor 2 is missing

    The gradient is half of what it should be. The derivative of a square brings down a factor of 2, which nothing
    cancels here; with half the gradient every step is half as long.

    Hint: Differentiate (x w - y)^2 for a single number w, and compare.
    """
    return X.T @ (X @ w - y)


@misconception(
    "lab1_sparse_optimization.gradient",
    fails=(
        "gradient_is_exact",
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        "gradient_descent_converges",
        *_STEPS,
        *_ZEROS,
    ),
)
def gradient_of_the_mean(X, y, w):
    """The gradient of the mean

    The gradient is divided by the number of samples. That belongs to a mean squared error; the loss of this lab is a
    sum, and steps along this gradient are too short.

    Hint: Compare the formula of the loss in the docstring with the one that you differentiated.
    """
    return 2 / len(y) * X.T @ (X @ w - y)


@misconception(
    "lab1_sparse_optimization.gradient",
    fails=(
        "gradient_is_exact",
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        "gradient_descent_converges",
        *_STEPS,
        *_ZEROS,
    ),
)
def points_downhill(X, y, w):
    """The gradient has the wrong sign

    The gradient points to where the loss grows. This one points the other way, so that subtracting it goes uphill
    and the runs diverge.

    Hint: Check which way round the error is: prediction minus target, or target minus prediction.
    """
    return 2 * X.T @ (y - X @ w)


@misconception(
    "lab1_sparse_optimization.gradient",
    fails=("gradient_is_exact", "gradient_step_is_exact", "gradient_on_other_problems", *_RUNS),
)
def transpose_missing(X, y, w):
    """A matrix product whose shapes do not fit

    Two arrays are multiplied whose inner dimensions differ. X has one row per sample and one column per feature, the
    error has one element per sample, and the gradient needs one per feature.

    Hint: Write the shape of every factor below the formula.
    """
    return 2 * X @ (X @ w - y)


@misconception(
    "lab1_sparse_optimization.gradient",
    fails=(
        "gradient_is_exact",
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        "gradient_descent_converges",
        *_STEPS,
    ),
)
def forward_difference(X, y, w):
    """A difference quotient instead of the derivative

    The gradient is estimated from the loss at two points a small distance apart. The estimate is off by an amount
    proportional to that distance, in every step of every run.

    Hint: The loss is a sum of squares: differentiate it on paper.
    """
    h = 1e-5
    return np.array([(loss(X, y, w + h * e) - loss(X, y, w)) / h for e in np.eye(len(w))])


@misconception(
    "lab1_sparse_optimization.gradient_step",
    fails=("gradient_step_is_exact", "gradient_on_other_problems", "gradient_descent_converges", *_STEPS, *_ZEROS),
)
def sign_error(X, y, w, lr):
    """A step uphill

    The gradient is added. It points to where the loss grows, and descent goes the other way; here every step raises
    the loss, and the run diverges.

    Hint: Print the loss before and after one step.
    """
    return w + lr * gradient(X, y, w)


@misconception(
    "lab1_sparse_optimization.gradient_step",
    fails=(
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        "gradient_descent_converges",
        *_STEPS,
        *_ZEROS,
    ),
)
def learning_rate_left_out(X, y, w, lr):
    """The learning rate is not used

    The whole gradient is subtracted, as with a learning rate of 1. The step jumps far beyond the minimum, and the run
    diverges.

    Hint: Change `lr` and see whether the step changes.
    """
    return w - gradient(X, y, w)


@misconception(
    "lab1_sparse_optimization.gradient_step",
    fails=(
        "gradient_step_is_exact",
        "gradient_on_other_problems",
        "gradient_descent_losses",
        "projected_is_sparse_at_every_step",
        *_STEPS,
    ),
)
def step_in_place(X, y, w, lr):
    """The step changes the caller's array

    The result is right, but it is written into the array that was passed in. Whoever still holds that array, such as
    a history that collects all of them, sees only the newest values.

    Hint: Print the argument w after the call; in numpy `w -= ...` and `w = w - ...` are not the same.
    """
    w -= lr * gradient(X, y, w)
    return w


@misconception(
    "lab1_sparse_optimization.gradient_step",
    fails=("gradient_step_is_exact", "gradient_on_other_problems", "gradient_descent_converges", *_STEPS, *_ZEROS),
)
def only_the_change(X, y, w, lr):
    """The change of w instead of the new w

    What is returned is how far w moves, not where it arrives. A run that takes it for the new weights forgets where
    it was.

    Hint: Take a learning rate of 0: what should the function return?
    """
    return -lr * gradient(X, y, w)


@misconception(
    "lab1_sparse_optimization.gradient_step", fails=("gradient_step_is_exact", "gradient_on_other_problems", *_RUNS)
)
def step_returns_nothing(X, y, w, lr):
    """The step returns nothing

    The result is None: a `return` is missing, or it returns the result of something that has none. Assigning to w
    inside a function does not change the caller's w.

    Hint: Look at the last line of the function.
    """
    w = w - lr * gradient(X, y, w)


# --- 1(b)


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_on_other_problems"),
)
def stochastic(X, y, w0, lr, steps):
    """One sample per step

    Every step uses a single sample, one after another. The lab asks for full-batch steps: each uses the gradient of
    the whole sum.

    Hint: Check what you pass to the gradient in each step.
    """
    weights = [np.array(w0, dtype=float)]
    for k in range(steps):
        i = k % len(X)
        weights.append(gradient_step(X[i : i + 1], y[i : i + 1], weights[-1], lr))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.gradient_descent", fails=("gradient_descent_losses", "gradient_descent_on_other_problems")
)
def loss_after_the_step(X, y, w0, lr, steps):
    """Every loss belongs to the next weights

    losses[k] should be the loss of weights[k]. Here it is the loss after one more step, so that the loss of the
    starting point is missing.

    Hint: Compare losses[0] with the loss of w0.
    """
    w, weights, losses = np.array(w0, dtype=float), [], []
    for _ in range(steps + 1):
        weights.append(w)
        w = gradient_step(X, y, w, lr)
        losses.append(loss(X, y, w))
    return History(np.stack(weights), np.array(losses))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_losses",
        "gradient_descent_on_other_problems",
    ),
)
def one_loss_too_few(X, y, w0, lr, steps):
    """One loss too few

    The history holds one loss per step, but it has one row more than there are steps: the starting point has a loss
    as well.

    Hint: Compare the lengths of `weights` and `losses`.
    """
    weights, losses = [np.array(w0, dtype=float)], []
    for _ in range(steps):
        losses.append(loss(X, y, weights[-1]))
        weights.append(gradient_step(X, y, weights[-1], lr))
    return History(np.stack(weights), np.array(losses))


@misconception(
    "lab1_sparse_optimization.gradient_descent", fails=("gradient_descent_losses", "gradient_descent_on_other_problems")
)
def mean_loss_in_the_history(X, y, w0, lr, steps):
    """The history holds mean losses

    The weights are right, but the recorded losses are divided by the number of samples. The loss of this lab is a
    sum.

    Hint: Compare losses[0] with what your `loss` says of w0.
    """
    weights = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr)).weights
    return History(weights, np.mean((weights @ X.T - y) ** 2, axis=1))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_on_other_problems"),
    may_fail=("gradient_descent_converges",),
)
def single_precision(X, y, w0, lr, steps):
    """Weights in single precision

    float32 holds only about seven digits, so that every step is rounded and the weights drift away from the right
    ones. The lab asks for float64.

    Hint: Print the dtype of the weights after the first step.
    """
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
def whole_numbers_in_the_history(X, y, w0, lr, steps):
    """Recorded weights are cut to whole numbers

    The steps are taken in floating point, but each row of the history has lost everything after the decimal point.
    An integer array does that to whatever is written into it.

    Hint: Print the dtype of the array that collects the weights.
    """
    w, weights, losses = w0, np.zeros((steps + 1, len(w0)), dtype=int), np.zeros(steps + 1)
    for k in range(steps + 1):
        weights[k], losses[k] = w, loss(X, y, w)
        w = gradient_step(X, y, w, lr)
    return History(weights, losses)


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_trajectory",
        "gradient_descent_losses",
        "gradient_descent_converges",
        "gradient_descent_on_other_problems",
    ),
)
def steps_of_whole_numbers(X, y, w0, lr, steps):
    """Every w is cut to whole numbers

    Each step starts from weights that have lost everything after the decimal point, so that w hardly moves or does not
    move at all. An integer array does that to whatever is written into it.

    Hint: Print the dtype of the array that w is kept in.
    """
    weights = np.zeros((steps + 1, len(w0)), dtype=int)
    weights[0] = w0
    for k in range(steps):
        weights[k + 1] = gradient_step(X, y, weights[k], lr)
    return History(weights, np.array([loss(X, y, w) for w in weights]))


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
    """The history is one row short

    Row 0 of the history is the starting point and row k the weights after k steps: 200 steps give 201 rows. Here
    there is one row fewer.

    Hint: Ask for 0 steps: how many rows should there be, and what is in them?
    """
    w, weights = np.array(w0, dtype=float), []
    for _ in range(steps):
        w = gradient_step(X, y, w, lr)
        weights.append(w)
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
def one_step_too_many(X, y, w0, lr, steps):
    """The history has one row too many

    With the starting point 200 steps give 201 rows. Here there is one more.

    Hint: Ask for 1 step and count the rows.
    """
    return _descend(X, y, w0, steps + 1, lambda w: gradient_step(X, y, w, lr))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_trajectory",
        "gradient_descent_losses",
        "gradient_descent_converges",
        "gradient_descent_on_other_problems",
    ),
)
def stops_early(X, y, w0, lr, steps):
    """The run ends before all steps are done

    The history has fewer rows than steps were asked for. Runs that stop as soon as the loss is small have different
    lengths and cannot be compared step by step.

    Hint: Look for a `break` or a condition that ends the loop.
    """
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        weights.append(gradient_step(X, y, weights[-1], lr))
        if loss(X, y, weights[-1]) < 1e-6:
            break
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
def one_column_per_step(X, y, w0, lr, steps):
    """One column per step instead of one row

    `weights` is the transpose of what it should be: row k of it should hold the weights after k steps.

    Hint: Print the shape of `weights` and compare it with the docstring of History.
    """
    run = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr))
    return History(run.weights.T, run.losses)


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_trajectory",
        "gradient_descent_losses",
        "gradient_descent_converges",
        "gradient_descent_on_other_problems",
    ),
)
def losses_before_weights(X, y, w0, lr, steps):
    """The first field holds no weights

    The first field of the result has one number per step, as losses do. A History holds the weights first, one row
    per step, and then the losses.

    Hint: Check the order of the fields in the definition of History.
    """
    run = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr))
    return run.losses, run.weights


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=(
        "gradient_descent_trajectory",
        "gradient_descent_losses",
        "gradient_descent_converges",
        "gradient_descent_on_other_problems",
    ),
)
def array_instead_of_history(X, y, w0, lr, steps):
    """An array instead of a History

    The solver returns a single array. It should return the weights and the losses of every step, as a History.

    Hint: Look at the return type in the signature.
    """
    w = np.array(w0, dtype=float)
    for _ in range(steps):
        w = gradient_step(X, y, w, lr)
    return w


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_losses", "gradient_descent_on_other_problems"),
)
def same_array_in_every_row(X, y, w0, lr, steps):
    """Every row of the history is the last w

    Row k should be w after k steps, but all rows show its last values. That happens when w is changed in place and the
    same array is appended again and again: the list then holds one array many times over.

    Hint: Use `is` to compare the first and the last element of your list of weights.
    """
    w = np.array(w0, dtype=float)
    weights, losses = [w], [loss(X, y, w)]
    for _ in range(steps):
        w -= lr * gradient(X, y, w)
        weights.append(w)
        losses.append(loss(X, y, w))
    return History(np.stack(weights), np.array(losses))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_on_other_problems"),
)
def start_changed_in_place(X, y, w0, lr, steps):
    """The run changes the caller's w0

    The steps are right, but they are taken in the array that was passed in as the starting point. The next run that
    starts there starts from where this one ended.

    Hint: Print w0 before and after the run.
    """
    w, weights = w0, [w0.copy()]
    for _ in range(steps):
        w -= lr * gradient(X, y, w)
        weights.append(w.copy())
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_on_other_problems"),
)
def starts_from_zero(X, y, w0, lr, steps):
    """The run starts from zero instead of w0

    The starting point is an argument. On the lab's own problem it is zero, which hides the mistake; on any other the
    whole run is another one.

    Hint: Start from a vector of ones and look at row 0 of the history.
    """
    return _descend(X, y, np.zeros(X.shape[1]), steps, lambda w: gradient_step(X, y, w, lr))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_on_other_problems"),
)
def lab_learning_rate(X, y, w0, lr, steps):
    """The learning rate of the lab, not the argument's

    The step size is always 0.02, whatever `lr` is. That is right on the lab's own problem only.

    Hint: Call the solver with lr = 0 and see whether w moves.
    """
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, LEARNING_RATE))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_losses", "gradient_descent_on_other_problems"),
)
def lab_number_of_steps(X, y, w0, lr, steps):
    """Always 200 steps

    The run takes 200 steps, whatever `steps` is. That is right on the lab's own problem only.

    Hint: Ask for 10 steps and count the rows of the history.
    """
    return _descend(X, y, w0, STEPS, lambda w: gradient_step(X, y, w, lr))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_converges", "gradient_descent_on_other_problems"),
)
def gradient_only_once(X, y, w0, lr, steps):
    """The gradient of the starting point in every step

    The gradient is computed once and subtracted again and again, so that w moves along a straight line, past the
    minimum. Every step needs the gradient at the current w.

    Hint: Check which lines stand inside the loop, and which w they use.
    """
    g = gradient(X, y, w0)
    return _descend(X, y, w0, steps, lambda w: w - lr * g)


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_converges", "gradient_descent_on_other_problems"),
)
def momentum(X, y, w0, lr, steps):
    """Momentum is added

    Every step keeps 90 % of the last one's velocity. That is another method; plain gradient descent has no memory.

    Hint: Given w_k, the next w should depend on nothing that happened before.
    """
    w, v, weights = np.array(w0, dtype=float), 0.0, [np.array(w0, dtype=float)]
    for _ in range(steps):
        v = 0.9 * v - lr * gradient(X, y, w)
        w = w + v
        weights.append(w)
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_converges", "gradient_descent_on_other_problems"),
)
def learning_rate_decays(X, y, w0, lr, steps):
    """The learning rate shrinks from step to step

    Step k uses the learning rate divided by k. The lab asks for the same one in all steps; with one that shrinks this
    fast, w slows down before it arrives.

    Hint: Divide the change of w in some steps by the gradient before them.
    """
    weights = [np.array(w0, dtype=float)]
    for k in range(1, steps + 1):
        weights.append(gradient_step(X, y, weights[-1], lr / k))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.gradient_descent",
    fails=("gradient_descent_trajectory", "gradient_descent_converges", "gradient_descent_on_other_problems"),
)
def averaged_weights(X, y, w0, lr, steps):
    """The history holds running means of the weights

    Row k is the mean of all weights up to step k. It lags behind and approaches the minimum much more slowly than the
    weights themselves, which the history should hold.

    Hint: Take one step by hand and compare the result with row 1.
    """
    weights = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr)).weights
    means = np.cumsum(weights, axis=0) / np.arange(1, steps + 2)[:, None]
    return History(means, np.array([loss(X, y, w) for w in means]))


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_shows_the_losses", "loss_plot_is_logarithmic"))
def log_on_a_linear_axis(histories):
    """The logarithm of the loss on a linear axis

    The lines show the logarithms, so that the numbers on the axis are exponents. The losses themselves belong on a
    logarithmic axis, where they can be read off.

    Hint: Take the logarithm out of the data, and let the axis do it.
    """
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.plot(np.log10(history.losses), label=label)
    axes.set(xlabel="step", ylabel="log10 of the loss")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_shows_the_losses",))
def log_of_the_log(histories):
    """The logarithm is taken twice

    The lines show logarithms of the losses, and the axis is logarithmic as well. The logarithm of a loss below 1 is
    negative, so that most of the run cannot be drawn at all.

    Hint: Look at the figure where the loss falls below 1.
    """
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.semilogy(np.log10(history.losses), label=label)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_is_logarithmic",))
def linear_axis(histories):
    """A linear y-axis

    The loss falls by many powers of ten. On a linear axis all but the first steps lie on the zero line, and runs that
    end at 1e-3 and at 1e-28 look the same.

    Hint: Can you read off the last loss of each run?
    """
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.plot(history.losses, label=label)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_shows_the_losses", "loss_plot_is_labelled"))
def only_the_last_run(histories):
    """Only the last run is drawn

    The figure that is returned shows one run of several. A figure that is made anew for every run holds only that
    one.

    Hint: Call the function with two runs and count the lines; check what stands inside the loop.
    """
    for label, history in histories.items():
        figure, axes = plt.subplots()
        axes.semilogy(history.losses, label=label)
        axes.set(xlabel="step", ylabel="loss")
        axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_is_logarithmic",))
def logarithm_of_the_steps(histories):
    """A logarithmic x-axis

    The steps are on a logarithmic axis as well. Step 0 cannot be drawn there, and a loss that falls by the same factor
    in every step is no straight line any more.

    Hint: Which of the two quantities changes by powers of ten?
    """
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.loglog(history.losses, label=label)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_shows_the_losses",))
def start_is_not_drawn(histories):
    """The loss of the starting point is not drawn

    The lines begin after the first step. The loss of w_0 shows how far the run had to go, and every run has it in
    common.

    Hint: Compare the number of points of a line with the number of losses.
    """
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.semilogy(np.arange(1, len(history.losses)), history.losses[1:], label=label)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_is_labelled",))
def no_legend(histories):
    """No axis labels and no legend

    Nobody can tell what the axes show, nor which line is which run.

    Hint: Show the figure to someone who has not seen your code.
    """
    figure, axes = plt.subplots()
    for history in histories.values():
        axes.semilogy(history.losses)
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_is_labelled",))
def legend_left_out(histories):
    """No legend that names the runs

    The axes have labels, but no legend names the lines, so that nobody can tell which one is which run. A label that
    is given to a line appears only when the legend is drawn, after the lines.

    Hint: Where, and in which order, are the lines and the legend made?
    """
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.semilogy(history.losses, label=label)
    axes.set(xlabel="step", ylabel="loss")
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_is_labelled",))
def axes_without_labels(histories):
    """No axis labels

    The legend names the runs, but nothing says what the two axes show.

    Hint: What would a reader who sees only the figure take the numbers for?
    """
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.semilogy(history.losses, label=label)
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_is_labelled",))
def same_label_for_all(histories):
    """The same words for every line of the legend

    All lines have one label, so that the legend does not say which one is which run. The keys of `histories` are the
    labels that were asked for.

    Hint: Call the function with two runs and read the legend.
    """
    figure, axes = plt.subplots()
    for history in histories.values():
        axes.semilogy(history.losses, label="loss")
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_loss", fails=("loss_plot_is_labelled",))
def all_lines_alike(histories):
    """All lines look the same

    The legend names every run, but the lines have one colour and one style, so that it does not help.

    Hint: Which line belongs to the first entry of the legend?
    """
    figure, axes = plt.subplots()
    for label, history in histories.items():
        axes.semilogy(history.losses, "b-", label=label)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return figure


@misconception(
    "lab1_sparse_optimization.plot_loss",
    fails=("loss_plot_shows_the_losses", "loss_plot_is_logarithmic", "loss_plot_is_labelled"),
)
def loss_figure_is_not_returned(histories):
    """The figure of the losses is not returned

    The result is None: a `return` is missing, or it returns what `plt.show()` returns. A figure that is only shown is
    lost to whoever called the function.

    Hint: Look at the last line of the function.
    """
    for label, history in histories.items():
        plt.semilogy(history.losses, label=label)
    plt.xlabel("step")
    plt.ylabel("loss")
    plt.legend()
    plt.show()


@misconception("lab1_sparse_optimization.plot_weights", fails=("weights_plot_shows_the_elements",))
def samples_and_elements_swapped(history):
    """Steps and elements are swapped

    There is one line per step, drawn over the elements of w. The question is how each element changes: one line per
    element, drawn over the steps.

    Hint: Print the shape of `history.weights` and count the lines of the figure.
    """
    figure, axes = plt.subplots()
    axes.plot(history.weights.T)
    axes.set(xlabel="step", ylabel="weight")
    return figure


@misconception("lab1_sparse_optimization.plot_weights", fails=("weights_plot_shows_the_elements",))
def only_the_last_weights(history):
    """Only one row of the history is drawn

    The figure has a single line, over the elements of w. The way that they took to get there, one line per element
    over the steps, is missing.

    Hint: Count the lines of the figure, and the points of each.
    """
    figure, axes = plt.subplots()
    axes.plot(history.weights[-1], marker="o", label="w")
    axes.set(xlabel="element", ylabel="weight")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_weights", fails=("weights_plot_shows_the_elements",))
def magnitudes_of_the_weights(history):
    """The magnitudes of the weights are drawn

    Negative weights appear as positive ones, so that the figure does not show which elements end below zero and
    which cross it.

    Hint: Is any point of the figure below zero?
    """
    figure, axes = plt.subplots()
    for i, path in enumerate(np.abs(history.weights).T, start=1):
        axes.plot(path, label=f"w{i}")
    axes.set(xlabel="step", ylabel="weight")
    axes.legend()
    return figure


@misconception("lab1_sparse_optimization.plot_weights", fails=("weights_plot_shows_the_elements",))
def elements_without_names(history):
    """No legend that names the elements

    The lines are right and the axes have labels, but nobody can tell which line is which element of w.

    Hint: Which line is w_2?
    """
    figure, axes = plt.subplots()
    axes.plot(history.weights)
    axes.set(xlabel="step", ylabel="weight")
    return figure


@misconception("lab1_sparse_optimization.plot_weights", fails=("weights_plot_shows_the_elements",))
def figure_is_not_returned(history):
    """The figure of the weights is not returned

    The result is None: a `return` is missing, or it returns what `plt.show()` returns. A figure that is only shown is
    lost to whoever called the function.

    Hint: Look at the last line of the function.
    """
    for i in range(history.weights.shape[1]):
        plt.plot(history.weights[:, i], label=f"w{i + 1}")
    plt.xlabel("step")
    plt.ylabel("weight")
    plt.legend()
    plt.show()


# --- 1(c)


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=("projection_keeps_the_largest", "projected_trajectory", "projected_on_other_problems"),
)
def largest_signed_values(w, k):
    """The largest signed values are kept

    Negative weights count as small, however far from zero they are. The nearest sparse vector keeps the largest
    magnitudes.

    Hint: Project a vector whose largest element in magnitude is negative.
    """
    kept = np.argsort(-w)[:k]
    projected = np.zeros_like(w)
    projected[kept] = w[kept]
    return projected


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=("projection_keeps_the_largest", "projected_trajectory", "projected_on_other_problems"),
)
def keeps_the_smallest(w, k):
    """The smallest magnitudes are kept

    What stays is what matters least, and the large weights are lost. The result is as far from w as a selection of k
    elements can be.

    Hint: Check in which order the sort puts the magnitudes, and which end you take.
    """
    projected = np.zeros_like(w)
    kept = np.argsort(np.abs(w))[:k]
    projected[kept] = w[kept]
    return projected


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projected_is_sparse_at_every_step",
        "projection_edge_cases",
        "projected_on_other_problems",
    ),
)
def zeroes_k_elements(w, k):
    """k elements are zeroed instead of kept

    The k smallest magnitudes become zero and all others stay. k is the number of elements that may stay.

    Hint: Count the non-zero elements of the result.
    """
    projected = w.copy()
    projected[np.argsort(np.abs(w))[:k]] = 0
    return projected


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projection_edge_cases",
        "projected_on_other_problems",
    ),
)
def one_element_too_few(w, k):
    """One element too few is kept

    The k-th largest magnitude is dropped as well. A comparison that demands more than the k-th largest leaves k - 1
    elements.

    Hint: Count the non-zero elements for k = 1.
    """
    threshold = np.sort(np.abs(w))[-k]
    return np.where(np.abs(w) > threshold, w, 0.0)


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projected_is_sparse_at_every_step",
        "projection_edge_cases",
        "projected_on_other_problems",
    ),
)
def one_element_too_many(w, k):
    """One element too many is kept

    k + 1 elements stay. The (k + 1)-th largest magnitude is the largest that has to go.

    Hint: Count the non-zero elements for k = 1.
    """
    threshold = np.sort(np.abs(w))[-k - 1]
    return np.where(np.abs(w) >= threshold, w, 0.0)


@misconception("lab1_sparse_optimization.project_top_k", fails=("projection_edge_cases",))
def minus_zero_is_everything(w, k):
    """With k = 0 everything is kept

    The slice `[-k:]` is the whole array when k is 0, because -0 is 0. A projection onto no element at all should
    return zeros.

    Hint: Print `np.arange(5)[-0:]`.
    """
    projected = np.zeros_like(w)
    kept = np.argsort(np.abs(w))[-k:]
    projected[kept] = w[kept]
    return projected


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projected_is_sparse_at_every_step",
        "projected_losses",
        "projection_edge_cases",
        "projected_on_other_problems",
    ),
)
def integers_truncate(w, k):
    """Kept weights are cut to whole numbers

    The right elements are kept, but they have lost everything after the decimal point. An integer array does that to
    whatever is written into it.

    Hint: Print the dtype of the result.
    """
    projected = np.zeros(len(w), dtype=int)
    for i in np.argsort(-np.abs(w))[:k]:
        projected[i] = w[i]
    return projected


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projection_edge_cases",
        "projected_on_other_problems",
    ),
)
def keeps_magnitudes(w, k):
    """Kept weights lose their sign

    The right elements are kept, but negative ones come back positive. Magnitudes choose the elements; the values
    themselves stay.

    Hint: Project a vector of negative numbers.
    """
    projected = np.zeros_like(w)
    kept = np.argsort(-np.abs(w))[:k]
    projected[kept] = np.abs(w)[kept]
    return projected


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projection_edge_cases",
        "projected_on_other_problems",
    ),
)
def mask_instead_of_weights(w, k):
    """The mask instead of the weights

    The result is 1 where an element is kept and 0 elsewhere. The projection keeps the values of w.

    Hint: With k equal to the number of elements, what should the function return?
    """
    projected = np.zeros_like(w)
    projected[np.argsort(-np.abs(w))[:k]] = 1
    return projected


@misconception(
    "lab1_sparse_optimization.project_top_k",
    fails=(
        "projection_keeps_the_largest",
        "projected_trajectory",
        "projected_is_sparse_at_every_step",
        "projected_losses",
        "projection_edge_cases",
        "projected_on_other_problems",
    ),
)
def only_kept_elements_returned(w, k):
    """A result of k elements

    The result is as short as k. The projection is a vector of the same shape as w, with zeros where an element was
    dropped.

    Hint: Print the shape of the result.
    """
    return w[np.sort(np.argsort(-np.abs(w))[:k])]


@misconception(
    "lab1_sparse_optimization.project_top_k", fails=("projection_keeps_the_largest", "projection_edge_cases")
)
def projects_in_place(w, k):
    """The projection changes the caller's array

    The result is right, but the elements are zeroed in the array that was passed in. The caller has lost them.

    Hint: Print the argument w after the call.
    """
    w[np.argsort(-np.abs(w), kind="stable")[k:]] = 0
    return w


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent",
    fails=("projected_trajectory", "projected_is_sparse_at_every_step", "projected_on_other_problems"),
)
def projects_the_gradient(X, y, w0, lr, steps, k):
    """The gradient is projected instead of the weights

    Every step changes only the k elements with the largest gradient. The other elements keep what they have, so that
    more and more of them become non-zero.

    Hint: Count the non-zero elements of the last w.
    """
    return _descend(X, y, w0, steps, lambda w: w - lr * project_top_k(gradient(X, y, w), k))


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent", fails=("projected_trajectory", "projected_on_other_problems")
)
def kept_set_by_gradient(X, y, w0, lr, steps, k):
    """The kept elements are chosen by their gradient

    What stays after a step are the k elements with the largest gradient. Large weights with a small gradient, the
    very ones that have settled, are thrown away.

    Hint: Which vector's magnitudes does the projection compare?
    """

    def update(w):
        kept = project_top_k(gradient(X, y, w), k) != 0
        return np.where(kept, gradient_step(X, y, w, lr), 0.0)

    return _descend(X, y, w0, steps, update)


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent", fails=("projected_trajectory", "projected_on_other_problems")
)
def kept_set_fixed(X, y, w0, lr, steps, k):
    """The kept elements are chosen once and for all

    The elements that are non-zero after the first step stay the same ones to the end. The projection should choose
    anew in every step, so that an early choice can be corrected.

    Hint: On another problem, compare which elements are non-zero in an early and in a late step.
    """
    kept = project_top_k(gradient_step(X, y, np.array(w0), lr), k) != 0
    return _descend(X, y, w0, steps, lambda w: np.where(kept, gradient_step(X, y, w, lr), 0.0))


@misconception("lab1_sparse_optimization.projected_gradient_descent", fails=("projected_on_other_problems",))
def k_written_out(X, y, w0, lr, steps, k):
    """A number instead of the argument k

    The projection keeps as many elements as the assignment asks for, whatever k is.

    Hint: Change `k` and see whether the run changes.
    """
    return _descend(X, y, w0, steps, lambda w: project_top_k(gradient_step(X, y, w, lr), 2))


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent",
    fails=("projected_trajectory", "projected_is_sparse_at_every_step", "projected_on_other_problems"),
)
def projects_before_the_step(X, y, w0, lr, steps, k):
    """The projection comes before the step

    w is projected first, and then a full gradient step makes all elements non-zero again. No row after row 0 is sparse.

    Hint: Count the non-zero elements of every row.
    """
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, project_top_k(w, k), lr))


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent", fails=("projected_trajectory", "projected_on_other_problems")
)
def dense_run_goes_on(X, y, w0, lr, steps, k):
    """The run goes on from the weights before the projection

    Projected weights are recorded, but the next step starts from the dense ones. This is plain gradient descent seen
    through a projection, and its sparse weights are not fitted to the data.

    Hint: Check which w the next step starts from.
    """
    dense = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr)).weights
    weights = np.array([dense[0], *(project_top_k(w, k) for w in dense[1:])])
    return History(weights, np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent",
    fails=("projected_trajectory", "projected_is_sparse_at_every_step", "projected_on_other_problems"),
)
def projects_only_at_the_end(X, y, w0, lr, steps, k):
    """Only the last w is projected

    The run is plain gradient descent, and its last w is cut down to k elements. They were fitted together with the
    others, and do not fit without them.

    Hint: Count the non-zero elements of a row in the middle, and compare the last two losses.
    """
    weights = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr)).weights
    weights[-1] = project_top_k(weights[-1], k)
    return History(weights, np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.projected_gradient_descent", fails=("projected_losses", "projected_on_other_problems")
)
def loss_before_the_projection(X, y, w0, lr, steps, k):
    """The loss is recorded before the projection

    The weights are right, but losses[k] is that of the gradient step before its projection. The projection raises the
    loss, which the history then hides.

    Hint: Compare losses[k] with what your `loss` says of weights[k].
    """
    weights, losses = [np.array(w0, dtype=float)], [loss(X, y, w0)]
    for _ in range(steps):
        v = gradient_step(X, y, weights[-1], lr)
        losses.append(loss(X, y, v))
        weights.append(project_top_k(v, k))
    return History(np.stack(weights), np.array(losses))


# --- 1(d)


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def lambda_forgotten(X, y, w0, lr, steps, lam):
    """The subgradient without lambda

    The sign of w enters the step as it is, so that all runs are the one with lambda 1.

    Hint: Change `lam` and see whether the run changes.
    """
    return _descend(X, y, w0, steps, lambda w: w - lr * (gradient(X, y, w) + np.sign(w)))


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def clears_the_data(X, y, w0, lr, steps, lam):
    """The arguments X and y are overwritten

    The run is right, but X and y are not what they were afterwards, so that whatever comes next computes with other
    data.

    Hint: Print X and y before and after the call.
    """
    history = _descend(X, y, w0, steps, lambda w: w - lr * (gradient(X, y, w) + lam * np.sign(w)))
    X *= 0
    y *= 0
    return history


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_losses", "l1_on_other_problems"))
def penalty_in_the_losses(X, y, w0, lr, steps, lam):
    """The recorded losses include the penalty

    The weights are right, but the history holds L(w) plus the penalty. It should hold L(w) alone, so that runs with
    different lambda can be compared.

    Hint: Compare losses[k] with what your `loss` says of weights[k].
    """
    weights = _descend(X, y, w0, steps, lambda w: w - lr * (gradient(X, y, w) + lam * np.sign(w))).weights
    return History(weights, np.array([loss(X, y, w) + lam * np.abs(w).sum() for w in weights]))


@misconception(
    "lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_oscillates", "l1_on_other_problems")
)
def subgradient_and_soft_threshold(X, y, w0, lr, steps, lam):
    """Subgradient and soft threshold at once

    The penalty acts twice in every step: by its subgradient, and by a soft threshold after it. That is twice the
    shrinkage, and exact zeros, which subgradient descent does not reach.

    Hint: Count how often lambda enters one step.
    """
    return _descend(
        X, y, w0, steps, lambda w: soft_threshold(w - lr * (gradient(X, y, w) + lam * np.sign(w)), lr * lam)
    )


@misconception(
    "lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_oscillates", "l1_on_other_problems")
)
def soft_threshold_for_subgradient(X, y, w0, lr, steps, lam):
    """A soft threshold instead of the subgradient

    This is the proximal method of 1(e). Part 1(d) asks for subgradient descent on the whole objective, to see why it
    does not reach exact zeros.

    Hint: Compare the runs of 1(d) and 1(e): they should not be the same.
    """
    return _descend(X, y, w0, steps, lambda w: soft_threshold(gradient_step(X, y, w, lr), lr * lam))


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def penalty_once_per_sample(X, y, w0, lr, steps, lam):
    """The penalty counts once per sample

    The penalty stands inside the sum over the samples, so that it counts n times: the run is that of n times
    lambda. It belongs to the objective once.

    Hint: Check what your loop, or your sum, over the samples adds up.
    """

    def update(w):
        return w - lr * sum(2 * x * (x @ w - t) + lam * np.sign(w) for x, t in zip(X, y, strict=True))

    return _descend(X, y, w0, steps, update)


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def ridge_instead_of_lasso(X, y, w0, lr, steps, lam):
    """The squared L2 norm instead of the L1 norm

    The penalty pulls each weight in proportion to its size, as the derivative 2 w of w^2 does. That hardly moves
    small weights; the L1 norm pulls all of them equally hard.

    Hint: Differentiate |w|, not w^2.
    """
    return _descend(X, y, w0, steps, lambda w: w - lr * (gradient(X, y, w) + 2 * lam * w))


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def magnitude_instead_of_sign(X, y, w0, lr, steps, lam):
    """The penalty itself instead of its derivative

    A step subtracts lambda times |w|. That is the penalty; the step needs its derivative. Negative weights are even
    pushed away from zero.

    Hint: Differentiate |w| for a positive and for a negative w.
    """
    return _descend(X, y, w0, steps, lambda w: w - lr * (gradient(X, y, w) + lam * np.abs(w)))


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def same_slope_for_all(X, y, w0, lr, steps, lam):
    """The penalty pulls negative weights the wrong way

    A step subtracts the same amount from every weight, as if all were positive. Negative weights are pushed away from
    zero.

    Hint: Which way should the penalty move a weight of -1?
    """
    return _descend(X, y, w0, steps, lambda w: w - lr * (gradient(X, y, w) + lam))


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def penalty_rewards_large_weights(X, y, w0, lr, steps, lam):
    """The penalty has the wrong sign

    The penalty pushes every weight away from zero, so that the weights grow instead of shrinking.

    Hint: Compare the sum of magnitudes at the end for a small and for a large lambda.
    """
    return _descend(X, y, w0, steps, lambda w: w - lr * (gradient(X, y, w) - lam * np.sign(w)))


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def penalty_without_learning_rate(X, y, w0, lr, steps, lam):
    """The penalty is not scaled by the learning rate

    Every weight is moved by the whole lambda, while the gradient is scaled by the learning rate. The penalty is then
    1/lr times too strong, and the weights jump about zero.

    Hint: Print how far the penalty alone moves a weight in one step.
    """
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr) - lam * np.sign(w))


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def penalty_left_out(X, y, w0, lr, steps, lam):
    """The penalty is left out

    The steps are those of plain gradient descent, whatever lambda is.

    Hint: Compare the runs for two values of lambda.
    """
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr))


@misconception("lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_on_other_problems"))
def sign_after_the_step(X, y, w0, lr, steps, lam):
    """The sign is taken after the gradient step

    The penalty uses the sign that a weight has after the gradient step, not at w_k. Where a step crosses zero the
    two differ, and the step is no longer along a subgradient of the objective at w_k.

    Hint: At which w is every term of the subgradient evaluated?
    """

    def update(w):
        v = gradient_step(X, y, w, lr)
        return v - lr * lam * np.sign(v)

    return _descend(X, y, w0, steps, update)


@misconception(
    "lab1_sparse_optimization.l1_gradient_descent", fails=("l1_trajectory", "l1_oscillates", "l1_on_other_problems")
)
def stops_at_zero(X, y, w0, lr, steps, lam):
    """Weights that cross zero are set to zero

    A weight whose sign changes in a step is put exactly on zero. Subgradient descent does no such thing: its weights
    jump over zero, which is what 1(d) is to show.

    Hint: Look for a line that writes zeros into w.
    """

    def update(w):
        v = w - lr * (gradient(X, y, w) + lam * np.sign(w))
        return np.where(v * w < 0, 0.0, v)

    return _descend(X, y, w0, steps, update)


# --- 1(e)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=("soft_threshold_shrinks", "trimmed_threshold_is_exact", *_THRESHOLDED, *_ZEROS),
)
def hard_threshold(w, threshold):
    """A hard threshold instead of a soft one

    Small elements become zero, but large ones stay as they are. The soft threshold moves the large ones towards zero
    as well, so that nothing jumps at the threshold.

    Hint: What should become of an element that is just above the threshold?
    """
    return np.where(np.abs(w) > threshold, w, 0.0)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=(
        "soft_threshold_shrinks",
        "soft_threshold_zeroes",
        "trimmed_threshold_is_exact",
        *_THRESHOLDED,
        *_ZEROS,
    ),
)
def only_clips(w, threshold):
    """Clipping instead of a threshold

    Small elements stay and large ones are cut down to the threshold: the opposite of what is asked for. No element
    becomes zero.

    Hint: Try one element below and one above the threshold.
    """
    return np.clip(w, -threshold, threshold)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=("soft_threshold_zeroes", "trimmed_threshold_is_exact", *_THRESHOLDED, *_ZEROS),
)
def shrinks_beyond_zero(w, threshold):
    """Small elements cross zero

    Every element is moved by the whole threshold. One that is smaller than that crosses zero and comes out on the
    other side, where it should stop at zero.

    Hint: Try an element of half the threshold.
    """
    return w - threshold * np.sign(w)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=(
        "soft_threshold_zeroes",
        "trimmed_threshold_is_exact",
        *_THRESHOLDED,
        *_ZEROS,
    ),
)
def small_elements_stay(w, threshold):
    """Small elements stay as they are

    Large elements shrink, as they should, but those below the threshold are returned unchanged. No element becomes
    zero, so that nothing gets sparse.

    Hint: Try an element of half the threshold.
    """
    return np.where(np.abs(w) > threshold, w - threshold * np.sign(w), w)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=("soft_threshold_shrinks", "trimmed_threshold_is_exact", *_THRESHOLDED, *_ZEROS),
)
def negative_elements_lost(w, threshold):
    """Negative elements become zero

    Only positive elements above the threshold survive. The penalty is symmetric: a large negative element shrinks
    towards zero too, but stays negative.

    Hint: Compare the results for w and for -w.
    """
    return np.maximum(w - threshold, 0.0)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=("soft_threshold_shrinks", "trimmed_threshold_is_exact", *_THRESHOLDED, *_ZEROS),
)
def sign_is_lost(w, threshold):
    """Negative elements come out positive

    The magnitudes are right, but the sign is gone.

    Hint: Compare the results for w and for -w.
    """
    return np.maximum(np.abs(w) - threshold, 0.0)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=("soft_threshold_shrinks", "trimmed_threshold_is_exact", *_THRESHOLDED, *_ZEROS),
)
def away_from_zero(w, threshold):
    """Large elements grow

    Elements above the threshold are moved away from zero. The penalty makes elements smaller, never larger.

    Hint: Compare the magnitudes before and after.
    """
    return np.where(w > threshold, w + threshold, np.where(w < -threshold, w - threshold, 0.0))


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=(
        "soft_threshold_shrinks",
        "soft_threshold_zeroes",
        "proximal_zeros_are_exact",
        "trimmed_threshold_is_exact",
        *_THRESHOLDED,
    ),
)
def half_the_threshold(w, threshold):
    """Half the threshold

    Elements shrink by half the threshold only. That is the minimiser of the squared distance plus the penalty; the
    proximal operator takes half the squared distance.

    Hint: Differentiate the function in the docstring once more, with its factor 1/2.
    """
    return np.sign(w) * np.maximum(np.abs(w) - threshold / 2, 0.0)


@misconception(
    "lab1_sparse_optimization.soft_threshold",
    fails=("soft_threshold_shrinks", "soft_threshold_zeroes", "trimmed_threshold_is_exact", *_THRESHOLDED, *_ZEROS),
)
def shrinks_by_a_factor(w, threshold):
    """All elements shrink by one factor

    Every element is divided by the same number. That is the proximal operator of a squared L2 norm; it makes nothing
    exactly zero.

    Hint: By how much should an element of 10 and one of 100 shrink?
    """
    return w / (1 + threshold)


@misconception("lab1_sparse_optimization.soft_threshold", fails=("soft_threshold_zeroes", "soft_threshold_edge_cases"))
def thresholds_in_place(w, threshold):
    """The threshold changes the caller's array

    The result is right, but it is written into the array that was passed in.

    Hint: Print the argument w after the call.
    """
    w[:] = np.sign(w) * np.maximum(np.abs(w) - threshold, 0.0)
    return w


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent",
    fails=("proximal_trajectory", "proximal_zeros_are_exact", "proximal_on_other_problems"),
)
def threshold_without_learning_rate(X, y, w0, lr, steps, lam):
    """The threshold is lambda alone

    The threshold lacks the learning rate. The proximal operator of a step is that of the step size times the penalty;
    a threshold of the whole lambda is 1/lr times too large and holds many weights at zero.

    Hint: How far does the gradient move a weight in one step, and how far the threshold?
    """
    weights = [np.array(w0, dtype=float)]
    for _ in range(steps):
        weights.append(soft_threshold(gradient_step(X, y, weights[-1], lr), lam))
    return History(np.stack(weights), np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent",
    fails=("proximal_trajectory", "proximal_zeros_are_exact", "proximal_on_other_problems"),
)
def threshold_without_lambda(X, y, w0, lr, steps, lam):
    """The threshold does not depend on lambda

    The threshold is the learning rate, as it would be for a lambda of 1. All values of lambda give the same run.

    Hint: Compare the runs for two values of lambda.
    """
    return _descend(X, y, w0, steps, lambda w: soft_threshold(gradient_step(X, y, w, lr), lr))


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent",
    fails=("proximal_trajectory", "proximal_zeros_are_exact", "proximal_on_other_problems"),
)
def threshold_before_the_step(X, y, w0, lr, steps, lam):
    """The threshold comes before the gradient step

    The weights are thresholded first, and then the gradient step makes all of them non-zero again. The recorded
    weights are not sparse.

    Hint: Count the zeros of the last w.
    """
    return _descend(X, y, w0, steps, lambda w: gradient_step(X, y, soft_threshold(w, lr * lam), lr))


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent",
    fails=("proximal_trajectory", "proximal_zeros_are_exact", "proximal_on_other_problems"),
)
def thresholds_the_gradient(X, y, w0, lr, steps, lam):
    """The gradient is thresholded instead of the weights

    Small gradients are set to zero and large ones shortened. Nothing pulls the weights towards zero; they merely stop
    early.

    Hint: Which vector should become sparse?
    """
    return _descend(X, y, w0, steps, lambda w: w - lr * soft_threshold(gradient(X, y, w), lam))


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent",
    fails=("proximal_trajectory", "proximal_zeros_are_exact", "proximal_on_other_problems"),
)
def subgradient_before_the_threshold(X, y, w0, lr, steps, lam):
    """The penalty is in the gradient and in the threshold

    The gradient step uses the subgradient of the penalty, and the soft threshold applies the penalty once more. The
    weights shrink twice as much as they should.

    Hint: Count how often lambda enters one step.
    """
    return _descend(
        X, y, w0, steps, lambda w: soft_threshold(w - lr * (gradient(X, y, w) + lam * np.sign(w)), lr * lam)
    )


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent",
    fails=("proximal_trajectory", "proximal_zeros_are_exact", "proximal_on_other_problems"),
)
def threshold_only_at_the_end(X, y, w0, lr, steps, lam):
    """Only the last w is thresholded

    The run is plain gradient descent, and the soft threshold is applied to its last w. The penalty then has no part
    in the search.

    Hint: Compare the rows in the middle of the runs for two values of lambda.
    """
    weights = _descend(X, y, w0, steps, lambda w: gradient_step(X, y, w, lr)).weights
    weights[-1] = soft_threshold(weights[-1], lr * lam)
    return History(weights, np.array([loss(X, y, w) for w in weights]))


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent", fails=("proximal_losses", "proximal_on_other_problems")
)
def losses_lag_behind(X, y, w0, lr, steps, lam):
    """Every loss belongs to the weights one step earlier

    losses[k] should be the loss of weights[k]. Here it is that of weights[k - 1], and the loss of the last w is
    missing.

    Hint: Compare the last of the losses with what your `loss` says of the last w.
    """
    weights, losses = [np.array(w0, dtype=float)], [loss(X, y, w0)]
    for _ in range(steps):
        losses.append(loss(X, y, weights[-1]))
        weights.append(soft_threshold(gradient_step(X, y, weights[-1], lr), lr * lam))
    return History(np.stack(weights), np.array(losses))


@misconception(
    "lab1_sparse_optimization.proximal_gradient_descent", fails=("proximal_losses", "proximal_on_other_problems")
)
def proximal_penalty_in_the_losses(X, y, w0, lr, steps, lam):
    """The recorded losses of the proximal run include the penalty

    The weights are right, but the history holds L(w) plus the penalty. It should hold L(w) alone, so that runs with
    different lambda can be compared.

    Hint: Compare losses[k] with what your `loss` says of weights[k].
    """
    weights = _descend(X, y, w0, steps, lambda w: soft_threshold(gradient_step(X, y, w, lr), lr * lam)).weights
    return History(weights, np.array([loss(X, y, w) + lam * np.abs(w).sum() for w in weights]))


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
    """The largest elements are penalised

    The largest magnitudes shrink and the smallest stay. The trimmed penalty is meant the other way round: it spares
    the large ones, so that they are not biased.

    Hint: Check in which order the sort puts the magnitudes, and which end you take.
    """
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
    """All elements are penalised

    The largest elements shrink too, so that this is plain L1 again, with its bias.

    Hint: Change `n_penalized` and see whether the result changes.
    """
    return soft_threshold(w, threshold)


@misconception(
    "lab1_sparse_optimization.trimmed_soft_threshold",
    fails=(
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
    ),
)
def penalizes_one_too_few(w, threshold, n_penalized):
    """One element too few is penalised

    The largest of the elements that should shrink stays as it is.

    Hint: Count the elements that change under a small threshold.
    """
    penalized = np.argsort(np.abs(w), kind="stable")[: max(n_penalized - 1, 0)]
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
def penalizes_none(w, threshold, n_penalized):
    """No element is penalised

    w comes back as it was, so that every run is plain gradient descent. A frequent cause: in numpy `w[index]` with an
    index array is a copy, and what is done to the copy does not reach w.

    Hint: Print w before and after with a large threshold.
    """
    trimmed = w.copy()
    smallest = trimmed[np.argsort(np.abs(w))[:n_penalized]]
    smallest[:] = soft_threshold(smallest, threshold)
    return trimmed


@misconception(
    "lab1_sparse_optimization.trimmed_soft_threshold",
    fails=(
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
    ),
)
def spares_n_instead(w, threshold, n_penalized):
    """The number of penalised elements is taken as spared ones

    The n largest elements are spared and all others penalised. n is the number of elements that are penalised.

    Hint: With 5 elements and n = 3, count the elements that shrink.
    """
    penalized = np.argsort(np.abs(w), kind="stable")[: max(len(w) - n_penalized, 0)]
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
def smallest_signed_values(w, threshold, n_penalized):
    """The smallest signed values are penalised

    Sorted by signed value, the most negative elements come first, however large they are. The penalised elements are
    those of smallest magnitude.

    Hint: Try a vector whose largest element in magnitude is negative.
    """
    penalized = np.argsort(w)[:n_penalized]
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
def argsort_taken_for_ranks(w, threshold, n_penalized):
    """The result of argsort is taken for ranks

    `np.argsort` gives the positions of the elements in sorted order, not the rank of each element. Comparing it with n
    penalises elements that need not be small.

    Hint: Print `np.argsort([30, 10, 20])` and say what each number means.
    """
    is_small = np.argsort(np.abs(w)) < n_penalized
    return np.where(is_small, soft_threshold(w, threshold), w)


@misconception(
    "lab1_sparse_optimization.trimmed_soft_threshold",
    fails=(
        "trimmed_threshold_is_exact",
        "trimmed_trajectory",
        "trimmed_zeros_are_exact",
        "trimmed_threshold_edge_cases",
        "trimmed_on_other_problems",
    ),
)
def zeroes_the_smallest(w, threshold, n_penalized):
    """The smallest elements are set to zero

    The right elements are chosen, but all of them become zero, however large they are. That is a projection; the
    penalty moves an element by the threshold at most.

    Hint: Try a threshold of 0: nothing should change.
    """
    trimmed = w.copy()
    trimmed[np.argsort(np.abs(w), kind="stable")[:n_penalized]] = 0
    return trimmed


@misconception(
    "lab1_sparse_optimization.trimmed_soft_threshold",
    fails=("trimmed_threshold_is_exact", "trimmed_threshold_edge_cases"),
)
def trims_in_place(w, threshold, n_penalized):
    """The trimmed threshold changes the caller's array

    The result is right, but it is written into the array that was passed in.

    Hint: Print the argument w after the call.
    """
    penalized = np.argsort(np.abs(w), kind="stable")[:n_penalized]
    w[penalized] = soft_threshold(w[penalized], threshold)
    return w


@misconception(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent",
    fails=("trimmed_trajectory", "trimmed_zeros_are_exact", "trimmed_on_other_problems"),
)
def trimmed_set_by_gradient(X, y, w0, lr, steps, lam, n_penalized):
    """The penalised elements are chosen by their gradient

    The n elements with the smallest gradient are penalised. Near the end of a run those are the ones that have
    settled, large ones too; the smallest weights should be penalised.

    Hint: Which vector's magnitudes do you sort?
    """
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
    fails=("trimmed_trajectory", "trimmed_zeros_are_exact", "trimmed_on_other_problems"),
)
def trimmed_set_fixed(X, y, w0, lr, steps, lam, n_penalized):
    """The penalised elements are chosen once and for all

    The smallest elements of the starting point are penalised in every step, however large they grow. The set should
    be chosen anew in each step.

    Hint: Print which elements are penalised in the first and in the last step.
    """
    penalized = np.argsort(np.abs(w0), kind="stable")[:n_penalized]

    def update(w):
        v = gradient_step(X, y, w, lr)
        v[penalized] = soft_threshold(v[penalized], lr * lam)
        return v

    return _descend(X, y, w0, steps, update)


@misconception(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent",
    fails=("trimmed_trajectory", "trimmed_zeros_are_exact", "trimmed_on_other_problems"),
)
def forgets_to_trim(X, y, w0, lr, steps, lam, n_penalized):
    """Plain L1, without trimming

    Every element is penalised in every step, as in 1(e). The largest ones should be spared.

    Hint: Change `n_penalized` and see whether the run changes.
    """
    return _descend(X, y, w0, steps, lambda w: soft_threshold(gradient_step(X, y, w, lr), lr * lam))


@misconception(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent",
    fails=("trimmed_trajectory", "trimmed_zeros_are_exact", "trimmed_on_other_problems"),
)
def trimmed_by_subgradient(X, y, w0, lr, steps, lam, n_penalized):
    """A subgradient step for the trimmed penalty

    The smallest elements are moved by the sign of w, as in 1(d), and jump over zero instead of stopping there. The
    trimmed method is a proximal one: a gradient step, then a soft threshold.

    Hint: Count the exact zeros of the last w.
    """

    def update(w):
        is_small = np.isin(np.arange(len(w)), np.argsort(np.abs(w))[:n_penalized])
        return gradient_step(X, y, w, lr) - lr * lam * np.sign(w) * is_small

    return _descend(X, y, w0, steps, update)


@misconception(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent",
    fails=("trimmed_trajectory", "trimmed_zeros_are_exact", "trimmed_on_other_problems"),
)
def trimmed_threshold_is_lambda(X, y, w0, lr, steps, lam, n_penalized):
    """The trimmed threshold lacks the learning rate

    The threshold is the whole lambda, 1/lr times too large. Elements that are penalised in the first steps may never
    leave zero again.

    Hint: How far does the gradient move a weight in one step, and how far the threshold?
    """
    return _descend(X, y, w0, steps, lambda w: trimmed_soft_threshold(gradient_step(X, y, w, lr), lam, n_penalized))


@misconception("lab1_sparse_optimization.trimmed_l1_gradient_descent", fails=("trimmed_on_other_problems",))
def n_penalized_written_out(X, y, w0, lr, steps, lam, n_penalized):
    """A number instead of the argument n_penalized

    As many elements are penalised as the assignment asks for, whatever `n_penalized` is.

    Hint: Change `n_penalized` and see whether the run changes.
    """
    return _descend(X, y, w0, steps, lambda w: trimmed_soft_threshold(gradient_step(X, y, w, lr), lr * lam, 3))


@misconception(
    "lab1_sparse_optimization.trimmed_l1_gradient_descent", fails=("trimmed_losses", "trimmed_on_other_problems")
)
def trimmed_penalty_in_the_losses(X, y, w0, lr, steps, lam, n_penalized):
    """The recorded losses include the trimmed penalty

    The weights are right, but the history holds L(w) plus the penalty of the smallest elements. It should hold L(w)
    alone.

    Hint: Compare losses[k] with what your `loss` says of weights[k].
    """
    weights = _descend(
        X, y, w0, steps, lambda w: trimmed_soft_threshold(gradient_step(X, y, w, lr), lr * lam, n_penalized)
    ).weights
    penalties = [lam * np.sort(np.abs(w))[:n_penalized].sum() for w in weights]
    return History(weights, np.array([loss(X, y, w) for w in weights]) + penalties)

"""Checks of Lab 1, on the problem of the assignment and a small random one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.checks import tolerances
from grader.checks.compare import close, require, require_close, require_unchanged, show
from grader.checks.rules import Quadratic, first_wrong_step, is_projected
from grader.errors import CheckFailed
from grader.session import Answer, Session

Array = NDArray[Any]

# --- comparators that the hidden checks share


def require_value(answer: Answer) -> None:
    """The function's value equals the golden, and it left its arguments alone."""
    name = answer.case.params["name"]
    require_close(answer.array("value"), answer.case.expected["value"], f"`{name}`{_where(answer)}")
    for key, before in answer.inputs.items():
        require_unchanged(answer.array(f"after.{key}"), before, f"the argument {key} of `{name}`")


def runs(session: Session, prefix: str, *, hidden: bool = False) -> list[Answer]:
    """The answers below ``prefix``, provided that some run moves: ones that never do show nothing."""
    answers = list(session.each(prefix, hidden=hidden))
    require(
        any((answer.array("weights")[1:] != answer.array("weights")[0]).any() for answer in answers),
        f"every row of the History of `{answers[0].case.params['name']}` is the same",
        advice="Take a step each time, and append a copy of w: arrays changed in place are one and the same.",
    )
    return answers


def require_trajectory(answer: Answer) -> None:
    """Every step of the run is the golden's, or right in another way."""
    weights, golden = answer.array("weights"), answer.case.expected["weights"]
    start, k = answer.inputs["w0"], answer.case.params["scalars"].get("k")
    if k is not None and is_projected(start, weights[0], k):  # "no w_k has more than k non-zeros", w_0 neither
        start = weights[0]
    scale = max(1.0, float(np.abs(start).max()))
    require_close(weights[0], start, "row 0 of History.weights, which is the starting point w0,", scale=scale)
    for key, before in answer.inputs.items():
        require_unchanged(answer.array(f"after.{key}"), before, f"the argument {key}")
    if close(weights, golden).all():
        return
    wrong = first_wrong_step(answer, weights)
    if wrong is not None:
        _fail_at(answer, *wrong, weights, golden)


def _fail_at(answer: Answer, k: int, reason: str, weights: Array, golden: Array) -> None:
    agrees = close(weights[:k], golden[:k]).all()
    expected = f"w_{k} = {show(golden[k])}" if agrees else "the step that the docstring describes"
    require(
        False,
        f"`{answer.case.params['name']}`{_where(answer)} goes wrong at step {k}: {reason}",
        expected=expected,
        received=f"w_{k} = {show(weights[k])}, from w_{k - 1} = {show(weights[k - 1])}",
    )


def require_losses(session: Session, answer: Answer) -> None:
    """losses[k] is L(weights[k]), by the formula or by the student's own `loss`, which has its own check."""
    weights = answer.array("weights")
    require("losses" in answer.arrays, str(answer.facts.get("losses"))[:300])
    losses = answer.array("losses")
    quadratic = Quadratic.of(answer)
    expected = quadratic.losses(weights)
    finite = np.isfinite(expected)  # a run that diverges overflows in the end
    require(finite[1:].any(), "no loss after the first step is finite")
    scale = max(quadratic.c, float(np.abs(expected[finite]).max(initial=0.0)))
    agrees = np.where(finite, close(losses, expected, scale=scale), ~np.isfinite(losses))
    if agrees.all() or (not _loss_is_right(session) and _is_own_loss(session, answer, losses, scale)):
        return
    k = int(np.argwhere(~agrees)[0, 0])
    require(
        False,
        f"`{answer.case.params['name']}`{_where(answer)}: losses[{k}] is not the loss of weights[{k}]",
        expected=expected[k],
        received=losses[k],
        advice="Record L(w_k), without the penalty, for the same k as the weights: row 0 is the start.",
    )


def _loss_is_right(session: Session) -> bool:
    """Whether the student's `loss` passed its own check: then nothing but the right losses comes of it."""
    answers = session.asked("lab1/loss").values()
    try:
        for answer in answers:
            if answer is None:
                return False
            require_value(answer)
    except CheckFailed:
        return False
    return bool(answers)


def _is_own_loss(session: Session, answer: Answer, losses: Array, scale: float) -> bool:
    """Whether the losses are what the student's `loss` makes of the weights; one that is constant shows nothing."""
    problem = {name: answer.inputs[name] for name in ("X", "y")}
    try:
        _, arrays = session.follow_up("lab1.losses", {}, problem | {"weights": answer.array("weights")})
    except CheckFailed:
        return False
    own = arrays.get("losses", np.zeros(0))
    return own.shape == losses.shape and np.ptp(own) > 0 and bool(close(losses, own, scale=scale).all())


def _where(answer: Answer) -> str:
    """The scalars of a case, to say on which input a property failed."""
    scalars = answer.case.params.get("scalars", {})
    listed = ", ".join(f"{name}={value:g}" for name, value in scalars.items())
    return f" with {listed}" if listed else ""


# --- 1(a)


def check_loss_is_exact(session: Session) -> None:
    """`loss` is the sum of squared errors"""
    for answer in session.each("lab1/loss"):
        require_value(answer)


def check_gradient_is_exact(session: Session) -> None:
    """`gradient` is the gradient of the loss"""
    for answer in session.each("lab1/gradient"):
        require_value(answer)


def check_gradient_step_is_exact(session: Session) -> None:
    """`gradient_step` goes one step against the gradient and leaves w as it was"""
    for answer in session.each("lab1/gradient_step"):
        require_value(answer)


# --- 1(b)


def check_gradient_descent_trajectory(session: Session) -> None:
    """`gradient_descent` takes the right 200 steps"""
    for answer in runs(session, "lab1/gradient_descent"):
        require_trajectory(answer)


def check_gradient_descent_losses(session: Session) -> None:
    """`gradient_descent` records the loss of every w_k"""
    for answer in runs(session, "lab1/gradient_descent"):
        require_losses(session, answer)


def check_gradient_descent_converges(session: Session) -> None:
    """`gradient_descent` reaches a loss of zero, with no element of w at zero"""
    answer = session.one("lab1/gradient_descent/course")
    final = Quadratic.of(answer).losses(answer.array("weights"))[-1]
    expected = f"below {tolerances.CONVERGED:g}"
    require(final <= tolerances.CONVERGED, "the loss of the last w is not zero", expected=expected, received=final)
    require((answer.array("weights")[-1] != 0).all(), "an element of the last w is exactly zero")


def _figure_shows(answer: Answer, runs: list[Array], what: str) -> None:
    """Each run is the data of one line, and no line shows anything else."""
    drawn = [answer.array(f"{i}.y") for i in range(int(answer.fact("lines")))]
    require(len(drawn) == len(runs), f"the figure has {len(drawn)} lines, but should have {len(runs)}")
    for i, run in enumerate(runs):
        shown = any(y.shape == run.shape and close(y, run).all() for y in drawn)
        require(shown, f"no line of the figure is {what} {i + 1}", expected=run, received=drawn[min(i, len(drawn) - 1)])


def _require_steps(answer: Answer) -> None:
    """The x-axis counts steps, from 0 or from 1."""
    for i in range(int(answer.fact("lines"))):
        x = answer.array(f"{i}.x")
        require((np.diff(x) == 1).all() and x[0] in (0, 1), "the x-axis does not count steps", received=x)


def _require_words(answer: Answer, lines: int) -> None:
    require(answer.fact("xlabel") and answer.fact("ylabel"), "an axis of the figure has no label")
    require(len(answer.fact("legend")) == lines, "the legend does not name every line", expected=lines,
            received=len(answer.fact("legend")))  # fmt: skip
    require(answer.fact("distinct") == lines, "two lines of the figure look the same")


def _require_numbers(answer: Answer, lines: int) -> None:
    """Where every text of the legend holds one number, these count the elements, from 0 or from 1."""
    found = [re.findall(r"\d+", str(text)) for text in answer.fact("legend")]
    if all(len(numbers) == 1 for numbers in found):
        counted = sorted(int(number) for (number,) in found)
        right = counted in (list(range(lines)), list(range(1, lines + 1)))
        require(right, "the legend does not count the elements from 0 or from 1", received=counted)


def _losses_drawn(session: Session) -> tuple[Answer, list[Array]]:
    answer = session.one("lab1/plot_loss")
    return answer, [answer.inputs[f"{i}.losses"] for i in range(len(answer.case.params["labels"]))]


def check_loss_plot_shows_the_losses(session: Session) -> None:
    """The figure of `plot_loss` has one line per run, whose data are its losses"""
    answer, runs = _losses_drawn(session)
    _figure_shows(answer, runs, "the loss of run")
    _require_steps(answer)


def check_loss_plot_is_logarithmic(session: Session) -> None:
    """The figure of `plot_loss` has a logarithmic y-axis"""
    answer, _ = _losses_drawn(session)
    scale = answer.fact("yscale")
    require(scale in ("log", "symlog"), "the y-axis is not logarithmic", expected="log", received=str(scale))
    across = answer.fact("xscale")
    require(across == "linear", "the x-axis is not linear", expected="linear", received=str(across))


def check_loss_plot_is_labelled(session: Session) -> None:
    """The figure of `plot_loss` labels its axes, and its legend names every run"""
    answer, runs = _losses_drawn(session)
    _require_words(answer, len(runs))
    for label in answer.case.params["labels"]:
        named = any(label in text for text in map(str, answer.fact("legend")))
        require(named, "the legend does not name every run", expected=label, received=str(answer.fact("legend")))


def check_weights_plot_shows_the_elements(session: Session) -> None:
    """The figure of `plot_weights` has one labelled line per element of w, whose data are its trajectory"""
    answer = session.one("lab1/plot_weights")
    weights = answer.inputs["weights"]
    _figure_shows(answer, list(weights.T), "the trajectory of element")
    _require_steps(answer)
    _require_words(answer, weights.shape[1])
    _require_numbers(answer, weights.shape[1])


# --- 1(c)


def check_projection_keeps_the_largest(session: Session) -> None:
    """`project_top_k` keeps the k largest magnitudes as they are and zeroes the rest"""
    for answer in session.each("lab1/project_top_k"):
        require_value(answer)


def check_projected_trajectory(session: Session) -> None:
    """`projected_gradient_descent` takes the right 200 steps"""
    for answer in runs(session, "lab1/projected_gradient_descent"):
        require_trajectory(answer)


def check_projected_is_sparse_at_every_step(session: Session) -> None:
    """In the projected run no w_k has more than k non-zero elements"""
    for answer in runs(session, "lab1/projected_gradient_descent"):
        k = answer.case.params["scalars"]["k"]
        nonzero = (answer.array("weights") != 0).sum(axis=1)
        step = int(np.argmax(nonzero > k))
        require((nonzero <= k).all(), f"w_{step} has too many non-zero elements", expected=f"at most {k}",
                received=nonzero[step])  # fmt: skip


def check_projected_losses(session: Session) -> None:
    """`projected_gradient_descent` records the loss of every w_k"""
    for answer in runs(session, "lab1/projected_gradient_descent"):
        require_losses(session, answer)


# --- 1(d)


def check_l1_trajectory(session: Session) -> None:
    """`l1_gradient_descent` takes the right 200 steps, for every lambda"""
    for answer in runs(session, "lab1/l1_gradient_descent"):
        require_trajectory(answer)


def check_l1_losses(session: Session) -> None:
    """`l1_gradient_descent` records the loss of every w_k, without the penalty"""
    for answer in runs(session, "lab1/l1_gradient_descent"):
        require_losses(session, answer)


def check_l1_oscillates(session: Session) -> None:
    """With L1 and a subgradient no element of w comes to rest at zero"""
    for answer in runs(session, "lab1/l1_gradient_descent/course"):
        weights = answer.array("weights")
        landed = ((weights[1:] == 0) & (weights[:-1] != 0)).any(axis=0)
        require(not landed.any(), f"element {int(landed.argmax())} of w lands exactly on zero")


# --- 1(e)


def check_soft_threshold_shrinks(session: Session) -> None:
    """`soft_threshold` moves elements above the threshold towards zero by the threshold"""
    for answer in session.each("lab1/soft_threshold"):
        large = np.abs(answer.inputs["w"]) > answer.case.params["scalars"]["threshold"]
        expected, received = answer.case.expected["value"][large], answer.array("value")[large]
        require_close(received, expected, f"`soft_threshold`{_where(answer)} of {show(answer.inputs['w'][large])}")


def check_soft_threshold_zeroes(session: Session) -> None:
    """`soft_threshold` makes elements up to the threshold exactly zero"""
    for answer in session.each("lab1/soft_threshold"):
        small = np.abs(answer.inputs["w"]) <= answer.case.params["scalars"]["threshold"]
        require((answer.array("value") != 0).any(), "every element becomes zero, large ones too")
        received = answer.array("value")[small]
        require((received == 0).all(), "small elements are not exactly zero", expected="zeros", received=received)
        require_unchanged(answer.array("after.w"), answer.inputs["w"], "the argument w of `soft_threshold`")


def check_proximal_trajectory(session: Session) -> None:
    """`proximal_gradient_descent` takes the right 200 steps, for every lambda"""
    for answer in runs(session, "lab1/proximal_gradient_descent"):
        require_trajectory(answer)


def check_proximal_zeros_are_exact(session: Session) -> None:
    """In the proximal runs the right elements of the last w are exactly zero"""
    for answer in runs(session, "lab1/proximal_gradient_descent"):
        _require_zeros(answer)


def check_proximal_losses(session: Session) -> None:
    """`proximal_gradient_descent` records the loss of every w_k, without the penalty"""
    for answer in runs(session, "lab1/proximal_gradient_descent"):
        require_losses(session, answer)


def _require_zeros(answer: Answer) -> None:
    weights, golden = answer.array("weights"), answer.case.expected["weights"][-1]
    zeros, expected = weights[-1] == 0, golden == 0
    undecided = ~expected & close(np.zeros_like(golden), golden)  # on its way to zero; rounding decides
    same = ((zeros == expected) | undecided).all()
    if same or first_wrong_step(answer, weights) is None:  # another tie-break may end with other zeros
        return
    require(False, f"`{answer.case.params['name']}`{_where(answer)}: other elements of the last w are exactly zero",
            expected=f"elements {np.flatnonzero(expected)}", received=f"elements {np.flatnonzero(zeros)}")  # fmt: skip


# --- 1(f)


def check_trimmed_threshold_spares_the_largest(session: Session) -> None:
    """`trimmed_soft_threshold` leaves the largest magnitudes exactly as they are"""
    for answer in session.each("lab1/trimmed_soft_threshold"):
        spared = answer.case.expected["value"] == answer.inputs["w"]
        require((answer.array("value") != answer.inputs["w"]).any(), "nothing was penalised: w is returned as it was")
        require_close(answer.array("value")[spared], answer.inputs["w"][spared], "one of the largest elements")


def check_trimmed_threshold_is_exact(session: Session) -> None:
    """`trimmed_soft_threshold` soft-thresholds the n smallest magnitudes and leaves w as it was"""
    for answer in session.each("lab1/trimmed_soft_threshold"):
        require_value(answer)


def check_trimmed_trajectory(session: Session) -> None:
    """`trimmed_l1_gradient_descent` takes the right 200 steps, for every lambda"""
    for answer in runs(session, "lab1/trimmed_l1_gradient_descent"):
        require_trajectory(answer)


def check_trimmed_zeros_are_exact(session: Session) -> None:
    """In the trimmed runs the right elements of the last w are exactly zero"""
    for answer in runs(session, "lab1/trimmed_l1_gradient_descent"):
        _require_zeros(answer)


def check_trimmed_losses(session: Session) -> None:
    """`trimmed_l1_gradient_descent` records the loss of every w_k, without the penalty"""
    for answer in runs(session, "lab1/trimmed_l1_gradient_descent"):
        require_losses(session, answer)

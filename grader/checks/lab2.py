"""Checks of Lab 2, on a small ResNet that classifies tiny real images of digits."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from grader.cases import Arrays
from grader.checks import needs, tolerances
from grader.checks.compare import require, require_close, require_equal
from grader.errors import CheckFailed
from grader.full.measures import prunable
from grader.session import Answer, Session

Array = NDArray[np.float32]

_OTHER_LOSS = "Give the network's output to the criterion as it is: a softmax is part of the cross-entropy."
_LOSS_SCALED = "The direction is right: look for what scales the loss or the gradient, or steps twice."

# --- comparators that the hidden checks share


def state(arrays: Mapping[str, Array], prefix: str = "net.") -> dict[str, Array]:
    """A network's parameters and buffers from an answer or from inputs."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def state_after(answer: Answer) -> dict[str, Array]:
    """The network afterwards, provided that it still has the parameters and shapes that it had."""
    before, after = state(answer.inputs), state(answer.arrays)
    for name, value in before.items():
        require(name in after, f"{name} is no longer in the network")
        require(after[name].shape == value.shape, f"{name} has another shape now")
    return {name: after[name] for name in before}


def weights(network: Mapping[str, Array]) -> dict[str, Array]:
    """The prunable weights: of convolutions and linear layers, outside the shortcuts."""
    return prunable(network)


def training_passes(answer: Answer) -> list[int]:
    """The forward passes that trained: those in training mode, or all of them if the mode was forgotten."""
    flags = answer.fact("training")
    return [i for i, flag in enumerate(flags) if flag] or list(range(len(flags)))


def seen(answer: Answer) -> dict[str, Array]:
    """By layer, the prunable weights at every training pass and at the end, shape (passes + 1, ...).

    What a function has added to the network, say a copy to go back to, is not among them.
    """
    training = training_passes(answer)
    chosen = [*training, len(answer.fact("training"))]
    layers = (name.removesuffix(".weight") for name in weights(state(answer.inputs)))
    found = {name: answer.arrays[f"seen.{name}"][chosen] for name in layers if f"seen.{name}" in answer.arrays}
    require(found and training, "the network was never trained: no batch went through it")
    moved = any((a[-1] != a[0]).any() for a in found.values())
    require(moved, "no weight changed while the network was trained: the optimizer made no step")
    return found


def _has_zeros(zeros: int, q: float, size: int, slack: int) -> bool:
    """Whether q percent of the elements, rounded up or down, are zero, a few more or fewer.

    Rounded, since ``kthvalue`` of ``int(q / 100 * size)`` with ``>=`` keeps the k-th: one fewer than q percent, rounded
    down.
    """
    wanted = round(q / 100 * size, 6)  # 0.7 * 10 is 7, and 0.07 * 100 is not more
    return math.floor(wanted) - slack <= zeros <= math.ceil(wanted) + slack


def require_sparsity(weight: Array, q: float, what: str) -> None:
    """q percent of the elements are zero, one more or fewer."""
    zeros = int((weight == 0).sum())
    require(_has_zeros(zeros, q, weight.size, tolerances.ZEROS_PER_LAYER),
            f"{what} has the wrong number of zeros at q = {q:g} %",
            expected=f"{q / 100 * weight.size:.0f} of {weight.size} (one more or fewer)",
            received=str(zeros))  # fmt: skip


def require_smallest_pruned(before: Mapping[str, Array], after: Mapping[str, Array], what: str) -> None:
    """No kept weight is smaller in magnitude than a pruned one, over all the arrays together."""
    old = np.concatenate([np.ravel(before[name]) for name in before])
    new = np.concatenate([np.ravel(after[name]) for name in before])
    kept = np.abs(old)[new != 0].min(initial=np.inf)
    pruned = np.abs(old)[new == 0].max(initial=0.0)
    require(pruned <= kept, f"{what}: a larger weight was pruned while a smaller one was kept",
            expected=f"pruned <= {kept:.4g}, the smallest kept one", received=f"{pruned:.4g} was pruned")  # fmt: skip


def require_kept_unchanged(before: Array, after: Array, what: str) -> None:
    """Weights that were not pruned have the value that they had."""
    kept = after != 0
    require_equal(after[kept], before[kept], f"the weights of {what} that were kept")


def require_accuracy(session: Session, changed: Arrays, max_drop: float, what: str) -> None:
    """The judge's own measurement: at most ``max_drop`` percentage points below the float network."""
    wanted = session.evaluator.baseline - max_drop / 100
    accuracy = session.evaluator.accuracy(changed)
    require(accuracy >= wanted, f"the accuracy after {what} is too low", expected=f"at least {wanted:.1%}",
            received=f"{accuracy:.1%}")  # fmt: skip


def require_zeros_found(answer: Answer, history: Mapping[str, Array]) -> None:
    """What is zero in the network that was handed over is zero when training begins."""
    for name, snapshots in history.items():
        zeros = answer.inputs[f"net.{name}.weight"] == 0
        require(not snapshots[0][zeros].any(), f"pruned weights of {name} are not zero before the first optimizer step")


def require_zeros_held(history: Mapping[str, Array], start: int = 0) -> None:
    """What is zero in snapshot ``start`` is exactly zero in every later one."""
    for name, snapshots in history.items():
        zeros = snapshots[start] == 0
        moved = np.array([(later[zeros] != 0).sum() for later in snapshots[start + 1 :]])
        if moved.any():
            step = int(np.argmax(moved > 0)) + 1
            raise CheckFailed(
                f"pruned weights of {name} are not zero after optimizer step {start + step}",
                expected=f"all {int(zeros.sum())} exactly zero",
                received=f"{int(moved[step - 1])} moved",
                advice="Momentum and weight decay move a weight even when its gradient is zero.",
            )


# --- 2(a)


def require_evaluation(answer: Answer) -> None:
    """The accuracy is right."""
    expected, received = answer.case.facts["accuracy"], answer.fact("accuracy")
    one_image = 1 / len(answer.inputs["labels"])
    require(abs(received - expected) <= tolerances.IMAGES * one_image, "`evaluate` returns the wrong accuracy",
            expected=expected, received=received, advice="It is a fraction in [0, 1].")  # fmt: skip


def check_evaluate_is_exact(session: Session) -> None:
    """`evaluate` returns the fraction of images that are classified rightly"""
    require_evaluation(session.one("lab2/evaluate/even"))


def check_evaluate_counts_a_partial_batch(session: Session) -> None:
    """`evaluate` counts the images of a smaller last batch rightly"""
    require_evaluation(session.one("lab2/evaluate/partial"))


def check_evaluate_uses_evaluation_mode(session: Session) -> None:
    """`evaluate` runs the network in evaluation mode and leaves its BatchNorm statistics alone"""
    for answer in session.each("lab2/evaluate"):
        modes = [*answer.fact("training"), *answer.fact("copies_training")]
        require(modes, "no image went through the network")
        require(not any(modes), "the network was in training mode while it was evaluated")
        before, after = state(answer.inputs), state_after(answer)
        for name, value in before.items():
            require_equal(after[name], value, f"after `evaluate`, {name}")


def check_evaluate_needs_no_gradients(session: Session) -> None:
    """`evaluate` measures without gradients"""
    for answer in session.each("lab2/evaluate"):
        require(answer.fact("gradients"), "no image went through the network")
        require(not any(answer.fact("gradients")), "the network recorded what a backward pass would need",
                advice="That costs memory and time: evaluate under torch.no_grad().")  # fmt: skip


def check_evaluate_restores_the_mode(session: Session) -> None:
    """`evaluate` leaves the network in the mode in which it found it"""
    for answer in session.each("lab2/evaluate"):
        mode = answer.case.params["training"]
        require(answer.fact("training_after") == mode, "the network is in another mode after `evaluate`",
                expected="training" if mode else "evaluation")  # fmt: skip


# --- 2(b)


def _pruned(answer: Answer) -> tuple[Array, Array]:
    """The layer's weight before and after, provided that something was pruned at all."""
    before, after = answer.inputs["weight"], answer.array("weight")
    require((after == 0).any(), f"nothing was pruned at q = {answer.case.params['q']:g} %")
    require((after != 0).any(), f"everything was pruned at q = {answer.case.params['q']:g} %")
    return before, after


def check_layer_sparsity_is_exact(session: Session) -> None:
    """`prune_by_percentage` makes q percent of the layer's weights zero, to one element"""
    for answer in session.each("lab2/prune_layer"):
        require_sparsity(answer.array("weight"), answer.case.params["q"], "the layer")


def check_layer_keeps_the_largest(session: Session) -> None:
    """`prune_by_percentage` prunes the smallest magnitudes"""
    for answer in session.each("lab2/prune_layer"):
        before, after = _pruned(answer)
        require_smallest_pruned({"": before}, {"": after}, "the layer")


def check_layer_keeps_values(session: Session) -> None:
    """`prune_by_percentage` leaves the other weights and the bias as they are"""
    for answer in session.each("lab2/prune_layer"):
        require_kept_unchanged(*_pruned(answer), "the layer")
        require_equal(answer.array("bias"), answer.inputs["bias"], "the bias")


def check_layer_pruned_in_place(session: Session) -> None:
    """`prune_by_percentage` works on the parameter that the optimizer holds, and keeps its dtype"""
    for answer in session.each("lab2/prune_layer"):
        before, after = _pruned(answer)
        require(answer.fact("same_parameter"), "the layer's weight is another Parameter now, which no optimizer holds")
        require(after.dtype == before.dtype, "the dtype of the weight changed",
                expected=str(before.dtype), received=str(after.dtype))  # fmt: skip


# --- 2(c)


def require_sparsities(answer: Answer) -> None:
    """The fraction of zeros of every prunable layer, by name."""
    fractions = answer.fact("sparsity")
    require(isinstance(fractions, dict), "the result of `sparsity_by_layer` is not a dictionary")
    expected = {n.removesuffix(".weight"): (a == 0).mean() for n, a in weights(state(answer.inputs)).items()}
    require(expected.keys() & fractions.keys(), "`sparsity_by_layer` lists no prunable layer by its name")
    for name, fraction in expected.items():
        if name in fractions:
            require(abs(fractions[name] - fraction) <= tolerances.SPARSITY, f"the sparsity of {name} is wrong",
                    expected=fraction, received=fractions[name])  # fmt: skip


def check_sparsity_is_a_fraction_of_zeros(session: Session) -> None:
    """`sparsity_by_layer` gives the fraction of zeros of each layer's weight"""
    for answer in session.each("lab2/sparsity"):
        require(answer.fact("sparsity"), "the result of `sparsity_by_layer` is empty")
        require_sparsities(answer)


def check_sparsity_covers_the_prunable_layers(session: Session) -> None:
    """`sparsity_by_layer` lists every prunable layer and no other"""
    answer = session.one("lab2/sparsity/pruned")
    expected = {n.removesuffix(".weight") for n in weights(state(answer.inputs))}
    received = set(answer.fact("sparsity"))
    require(received == expected, "`sparsity_by_layer` lists other layers",
            expected=f"not missing: {sorted(expected - received)}",
            received=f"not prunable: {sorted(received - expected)}")  # fmt: skip


def check_finetune_keeps_zeros(session: Session) -> None:
    """While fine-tuning, pruned weights are exactly zero after every optimizer step"""
    answer = session.one("lab2/finetune/masked")
    history = seen(answer)
    require_zeros_found(answer, history)
    require_zeros_held(history)


def check_finetune_trains_the_rest(session: Session) -> None:
    """While fine-tuning, the other weights, the biases, BatchNorm and the shortcuts train, in training mode"""
    answer = session.one("lab2/finetune/masked")
    history = seen(answer)
    require(any(answer.fact("training")), "the network was in evaluation mode while it was trained")
    require(answer.fact("steps"), "the optimizer that was given made no step")
    require(answer.fact("same_parameters"), "a layer's weight is another Parameter now, which no optimizer holds")
    for name, snapshots in history.items():
        kept = snapshots[0] != 0
        moved = (snapshots[-1][kept] != snapshots[0][kept]).mean()
        require(
            moved > tolerances.LEAST_TRAINED,
            f"the unpruned weights of {name} did not train",
            received=f"{moved:.0%} moved",
        )
        left = (snapshots[-1][kept] != 0).mean()
        require(left > tolerances.LEAST_TRAINED, f"unpruned weights of {name} became zero",
                expected="only those that were zero", received=f"{left:.0%} are left")  # fmt: skip
    before, after = state(answer.inputs), state_after(answer)
    still = [n for n, a in after.items() if n not in weights(before) and np.array_equal(a, before[n])]
    require(not still, f"{show_names(still)} did not change while the network was trained")


def show_names(names: list[str]) -> str:
    """A few names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_finetune_runs_one_epoch(session: Session) -> None:
    """`finetune_after_prune` trains on every batch exactly once"""
    answer = session.one("lab2/finetune/masked")
    params = answer.case.params
    passes = [answer.fact("images")[i] for i in training_passes(answer)]
    require(passes == [params["batch_size"]] * params["batches"], "not one epoch",
            expected=f"{params['batches']} batches", received=f"{len(passes)} batches")  # fmt: skip


def flat(snapshots: Mapping[str, Array]) -> Array:
    """All weights at every training pass, one row each, without those at the end."""
    return np.concatenate([a[:-1].reshape(len(a) - 1, -1) for a in snapshots.values()], axis=1)


def _steps(snapshots: Mapping[str, Array]) -> Array:
    """What each optimizer step changed, one row each; between two passes without a step there is none."""
    changes = np.diff(flat(snapshots), axis=0)
    return changes[changes.any(axis=1)]


def require_fresh_gradients(snapshots: Mapping[str, Array], what: str, idle: int = 0) -> None:
    """On one batch again and again, without momentum, no step is much larger than the first one.

    As many as ``idle`` passes may be followed by no step, such as those that only measure.
    """
    steps = np.linalg.norm(np.diff(flat(snapshots), axis=0), axis=1)
    if (steps == 0).sum() <= idle:
        steps = steps[steps > 0]
    require(len(steps) > 1 and steps[0] > 0, f"{what} did not train on every batch")
    require(steps.max() <= tolerances.GROWTH * steps[0], f"on one batch again and again, the steps of {what} grow",
            expected="steps of one size", received=f"{steps.max() / steps[0]:.1f} times the first one",
            advice="A backward pass adds to the gradients that are there: call optimizer.zero_grad().")  # fmt: skip


def check_finetune_clears_its_gradients(session: Session) -> None:
    """`finetune_after_prune` clears the gradients before each backward pass"""
    answer = session.one("lab2/same_batch")
    idle = len(training_passes(answer)) - answer.case.params["batches"]
    require_fresh_gradients(seen(answer), "`finetune_after_prune`", idle)


@needs("finetune_clears_its_gradients")
def check_finetune_follows_the_criterion(session: Session) -> None:
    """`finetune_after_prune` takes one step for each batch, along the gradient of the given criterion"""
    answer = session.one("lab2/same_batch")
    history = seen(answer)
    step = _steps(history)[0]
    golden = np.concatenate([answer.case.expected[f"step.{name}"].ravel() for name in history])
    size, off = np.linalg.norm(golden), np.linalg.norm(step - golden)
    along = float(step @ golden / (np.linalg.norm(step) * size))
    require(off <= tolerances.STEP * size, "the first step is not that of the optimizer for `criterion`",
            expected="the gradient of criterion(net(images), labels), times the learning rate",
            received=f"{np.linalg.norm(step) / size:.2f} times as long, at a cosine of {along:.2f} to it",
            advice=_LOSS_SCALED if along > 0.95 else _OTHER_LOSS)  # fmt: skip


def check_finetune_without_mask_recovers(session: Session) -> None:
    """With `prune=False` pruned weights train again"""
    answer = session.one("lab2/finetune/free")
    for name, snapshots in seen(answer).items():
        zeros = snapshots[0] == 0
        require(zeros.any(), f"no weight of {name} is zero when training begins, though the network was pruned")
        recovered = (snapshots[-1][zeros] != 0).mean()
        require(recovered > tolerances.LEAST_RECOVERED, f"the pruned weights of {name} stay zero with prune=False",
                expected="most of them move", received=f"{recovered:.0%} moved")  # fmt: skip


@needs("finetune_keeps_zeros")
def check_finetune_heals(session: Session) -> None:
    """Fine-tuning brings the accuracy of a pruned network back"""
    answer = session.one("lab2/finetune/masked")
    require_accuracy(session, state_after(answer), session.quick.finetuned_max_drop, "fine-tuning")


# --- 2(d)


def require_ramp(answer: Answer) -> None:
    """The percentages before each epoch."""
    options, epochs = answer.case.params["options"], np.array(answer.case.params["epochs"], dtype=np.float64)
    expected = options["target"] * np.minimum(epochs, options["ramp_epochs"]) / options["ramp_epochs"]
    require_close(answer.array("percentages"), expected, "`pruning_percentage` before epochs 1, 2, ...")


def check_ramp_percentages(session: Session) -> None:
    """`pruning_percentage` rises by the same amount before each epoch, reaches the target and stays there"""
    for answer in session.each("lab2/ramp"):
        require_ramp(answer)


def _epochs(answer: Answer, *, exactly: bool = True) -> tuple[dict[str, Array], int, int]:
    """Snapshots, batches per epoch and epochs of the ramp, provided that all epochs were trained.

    Unless ``exactly``, each epoch may be several, which costs `finetune_runs_one_epoch`, and those after the ramp may
    be missing.
    """
    snapshots, params = seen(answer), answer.case.params
    passes, ramp = len(next(iter(snapshots.values()))) - 1, params["options"]["ramp_epochs"]
    expected = params["options"]["epochs"] * params["batches"]
    times, rest = divmod(passes, expected)
    enough = not exactly and (rest == 0 or passes == ramp * params["batches"])
    require(passes == expected or enough, "`iterative_prune` trained another number of batches",
            expected=str(expected), received=str(passes))  # fmt: skip
    return snapshots, params["batches"] * max(times, 1), ramp


def check_iterative_follows_the_ramp(session: Session) -> None:
    """`iterative_prune` prunes each layer to the ramp's percentage before each epoch"""
    answer = session.one("lab2/iterative/layers")
    snapshots, batches, ramp = _epochs(answer, exactly=False)
    require(not any(answer.fact("shortcut_zeros")), "the shortcuts were pruned as well")
    for epoch in range(1, ramp + 1):
        q = answer.case.params["options"]["target"] * epoch / ramp
        for name, history in snapshots.items():
            require_sparsity(history[(epoch - 1) * batches], q, f"{name} at the start of epoch {epoch}")


def check_iterative_lets_weights_recover(session: Session) -> None:
    """While the ramp rises, `iterative_prune` lets pruned weights recover"""
    snapshots, batches, ramp = _epochs(session.one("lab2/iterative/layers"), exactly=False)
    for name, history in snapshots.items():
        for epoch in range(1, ramp):
            start, end = history[(epoch - 1) * batches], history[epoch * batches - 1]
            zeros = start == 0
            require(zeros.any(), f"{name} was not pruned before epoch {epoch} of the ramp")
            recovered = (end[zeros] != 0).mean()
            enough = recovered > tolerances.LEAST_RECOVERED
            require(enough, f"pruned weights of {name} stay zero in epoch {epoch} of the ramp")


def check_iterative_freezes_after_the_ramp(session: Session) -> None:
    """After its last pruning step `iterative_prune` keeps pruned weights exactly zero"""
    answer = session.one("lab2/iterative/layers")
    snapshots, batches, ramp = _epochs(answer)
    for name, history in snapshots.items():
        require_sparsity(history[-1], answer.case.params["options"]["target"], f"{name} at the end")
    require_zeros_held(snapshots, (ramp - 1) * batches)


@needs("iterative_freezes_after_the_ramp")
def check_iterative_keeps_accuracy(session: Session) -> None:
    """The iteratively pruned network is sparse and classifies well"""
    answer = session.one("lab2/iterative/layers")
    target = answer.case.params["options"]["target"]
    for name, weight in weights(state_after(answer)).items():
        require_sparsity(weight, target, name)
    require_accuracy(session, state_after(answer), session.quick.iterative_max_drop, "iterative pruning")


# --- 2(e)


def _pruned_globally(answer: Answer) -> tuple[dict[str, Array], dict[str, Array]]:
    """The network before and after, provided that something was pruned at all."""
    before, after = state(answer.inputs), state_after(answer)
    require(any((a == 0).any() for a in weights(after).values()), "nothing was pruned")
    require(any((a != 0).any() for a in weights(after).values()), "everything was pruned")
    return before, after


def require_global_sparsity(network: Mapping[str, Array], q: float) -> None:
    """q percent of all prunable weights together are zero, to one element per layer."""
    arrays = weights(network)
    zeros, size = sum(int((a == 0).sum()) for a in arrays.values()), sum(a.size for a in arrays.values())
    slack = tolerances.ZEROS_PER_LAYER * len(arrays)
    require(_has_zeros(zeros, q, size, slack), f"the network has the wrong number of zeros at q = {q:g} %",
            expected=f"{q / 100 * size:.0f} of {size}", received=str(zeros))  # fmt: skip


def require_others_untouched(before: Mapping[str, Array], after: Mapping[str, Array]) -> None:
    """Shortcuts, biases and BatchNorm are as they were, and so are the weights that were kept."""
    for name, value in before.items():
        if name in weights(before):
            require_kept_unchanged(value, after[name], name)
        else:
            require_equal(after[name], value, name)


def check_global_sparsity_is_exact(session: Session) -> None:
    """`global_prune_by_percentage` makes q percent of all prunable weights zero"""
    for answer in session.each("lab2/global_prune"):
        require_global_sparsity(state_after(answer), answer.case.params["q"])


def check_global_uses_one_threshold(session: Session) -> None:
    """`global_prune_by_percentage` prunes the smallest magnitudes of the whole network by one threshold"""
    for answer in session.each("lab2/global_prune"):
        before, after = _pruned_globally(answer)
        require_smallest_pruned(weights(before), weights(after), "over all layers")


def check_global_touches_only_prunable_weights(session: Session) -> None:
    """`global_prune_by_percentage` leaves shortcuts, biases, BatchNorm and the kept weights as they are"""
    for answer in session.each("lab2/global_prune"):
        require_others_untouched(*_pruned_globally(answer))
        require(answer.fact("same_parameters"), "a layer's weight is another Parameter now")


def check_global_iterative_uses_one_threshold(session: Session) -> None:
    """`iterative_prune(global_threshold=True)` prunes the whole network to the ramp's percentage"""
    answer = session.one("lab2/iterative/global")
    snapshots, batches, ramp = _epochs(answer)
    target = answer.case.params["options"]["target"]
    for epoch in range(1, ramp + 1):
        start = {f"{name}.weight": history[(epoch - 1) * batches] for name, history in snapshots.items()}
        require_global_sparsity(start, target * epoch / ramp)
    require_zeros_held(snapshots, (ramp - 1) * batches)
    sparsities = [(history[-1] == 0).mean() for history in snapshots.values()]
    spread = max(sparsities) - min(sparsities)
    require(spread > tolerances.LEAST_SPREAD, "every layer has the same sparsity: one threshold per layer")


@needs("global_iterative_uses_one_threshold")
def check_global_iterative_keeps_accuracy(session: Session) -> None:
    """The network that was pruned globally and iteratively is sparse and classifies well"""
    answer = session.one("lab2/iterative/global")
    require_global_sparsity(state_after(answer), answer.case.params["options"]["target"])
    require_accuracy(session, state_after(answer), session.quick.global_max_drop, "global iterative pruning")

"""Hidden checks of Lab 2: other percentages, other shapes, another network."""

from __future__ import annotations

from grader.checks import lab2
from grader.checks.compare import require
from grader.session import Session


def check_evaluate_on_other_data(session: Session) -> None:
    """`evaluate` is right on other batches, from either mode"""
    for answer in session.each("lab2/evaluate", hidden=True):
        lab2.require_evaluation(answer)


def check_layers_of_other_shapes(session: Session) -> None:
    """`prune_by_percentage` is right for other shapes, percentages and distributions of weights"""
    for answer in session.each("lab2/prune_layer", hidden=True):
        before, after = answer.inputs["weight"], answer.array("weight")
        lab2.require_sparsity(after, answer.case.params["q"], "the layer")
        lab2.require_smallest_pruned({"": before}, {"": after}, "the layer")
        lab2.require_kept_unchanged(before, after, "the layer")


def check_finetune_another_network(session: Session) -> None:
    """Fine-tuning keeps the zeros of a network that was pruned globally"""
    answer = session.one("lab2/finetune/globally_pruned", hidden=True)
    history = lab2.seen(answer)
    lab2.require_zeros_found(answer, history)
    lab2.require_zeros_held(history)
    moved = all((h[-1] != h[0]).any() for h in history.values())
    require(moved, "the unpruned weights of a layer did not train")


def check_ramps_of_other_lengths(session: Session) -> None:
    """`pruning_percentage` is right for other targets and ramps"""
    for answer in session.each("lab2/ramp", hidden=True):
        lab2.require_ramp(answer)


def check_global_at_other_percentages(session: Session) -> None:
    """`global_prune_by_percentage` is right at other percentages"""
    for answer in session.each("lab2/global_prune", hidden=True):
        before, after = lab2.state(answer.inputs), lab2.state_after(answer)
        lab2.require_global_sparsity(after, answer.case.params["q"])
        lab2.require_smallest_pruned(lab2.weights(before), lab2.weights(after), "over all layers")
        lab2.require_others_untouched(before, after)

"""Checks of ``--rerun``: a student's own training functions, run again on CIFAR-10, measured by the judge."""

from __future__ import annotations

from grader.cases import Arrays
from grader.checks.full import require_drop, require_layers
from grader.full import measures
from grader.full.rerun import counted
from grader.session import Session


def _require_healed(session: Session, part: str, function: str, state: Arrays, bits: int | None = None) -> None:
    exam = session.exam
    measured = state if bits is None else measures.quantized(state, bits)
    again = f"re-run of {function}, {counted(exam.rerun.epochs)}"
    found = exam.measure_state(part, again, measured, bits)
    message = f"`{function}` makes a network that classifies {exam.images} too badly: {again}"
    require_drop(exam, found, exam.thresholds.rerun_max_drop, message)


def check_rerun_of_finetuning(session: Session) -> None:
    """`finetune_after_prune`, run again on CIFAR-10, keeps a network sparse and brings its accuracy back"""
    start = measures.pruned_by_layer(session.exam.standard.pretrained, session.term.target_sparsity)
    state = session.exam.rerun.trained("rerun.finetune", {}, start)
    require_layers(state, session.term.target_sparsity, "after the training")
    _require_healed(session, "2c", "finetune_after_prune", state)


def check_rerun_of_iterative_pruning(session: Session) -> None:
    """`iterative_prune`, run again on CIFAR-10, makes the network sparse and keeps its accuracy"""
    params = {"target": session.term.target_sparsity}
    state = session.exam.rerun.trained("rerun.iterative_prune", params, session.exam.standard.pretrained)
    require_layers(state, session.term.target_sparsity, "after the training")
    _require_healed(session, "2d", "iterative_prune", state)


def check_rerun_of_quantized_training(session: Session) -> None:
    """`finetune_quantized`, run again on CIFAR-10, makes a network that bears quantization"""
    bits = _bits_that_need_training(session)
    state = session.exam.rerun.trained("rerun.quantize", {"bits": bits}, session.exam.standard.pretrained)
    _require_healed(session, "3c", "finetune_quantized", state, bits)


def _bits_that_need_training(session: Session) -> int:
    """The largest number of bits at which the pre-trained network loses too much without training; else the smallest.

    At more bits a function that trains nothing would pass.
    """
    exam = session.exam
    by_size = sorted(session.term.finetuned_bits, reverse=True)
    for bits in by_size:
        accuracy = exam.standard.evaluator.accuracy(measures.quantized(exam.standard.pretrained, bits))
        if exam.baseline - 100 * accuracy > exam.thresholds.rerun_max_drop:
            return bits
    return by_size[-1]

"""Checks of the full profile: networks that were handed in and numbers that were reported, measured on CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import starmap

from grader.cases import Arrays
from grader.checks import needs
from grader.checks.compare import require
from grader.checks.lab2 import require_global_sparsity, require_sparsity
from grader.errors import CheckFailed
from grader.full import measures
from grader.full.exam import Exam, Measured, Network, field, in_percent, one_shot_field
from grader.session import Session

_REGROWN = (
    "The straight-through gradient reaches pruned weights too: the forward pass keeps a zero at zero, but the first "
    "optimizer step moves it, and from then on it is quantized like any other weight. Multiply the weights by the mask "
    "of the checkpoint after every step, and measure the sparsity afterwards."
)
_RECOVERED = (
    "If this is the network that was pruned: momentum and weight decay move pruned weights even when their gradient is "
    "zero, so apply the mask after every optimizer step, and save the network after the last one."
)

_FAR = 1
"""Percentage points from the target beyond which a sparsity is another one, and not miscounted by a few elements."""

_MOST_TOLD, _MOST_MISSING = 8, 2
"""Of several wrong numbers, and of fields without one."""

_SPREAD = 0.1
"""How much the sparsities of layers differ at least under one global threshold; those of trained networks by 0.5."""

# --- comparators


def _percent(value: float) -> str:
    return f"{value:.2f} %"


def _require_target(network: Network, target: float, advice: str, aside: str = "") -> None:
    """Say how many weights are zero if that is far from the target, before single layers are counted."""
    share = 100 * measures.sparsity(network.state)
    if abs(share - target) > _FAR:
        raise CheckFailed(
            f"{network.shown} has {share:.1f} % zeros{aside if share < target else ''}, but this term asks for "
            f"{target:g} %",
            expected=f"{target:g} % of all prunable weights",
            received=f"{share:.1f} %",
            advice=advice if share < target else None,
        )


def require_layers(state: Arrays, percent: float, where: str) -> None:
    """Every prunable layer of a network has so many zeros, one more or fewer."""
    for name, weight in measures.prunable(state).items():
        require_sparsity(weight, percent, f"{name} {where}")


def require_drop(exam: Exam, found: Measured, allowed: float, message: str, advice: str | None = None) -> None:
    """An accuracy is at most ``allowed`` points below that of the pre-trained network."""
    require(found.drop <= allowed, message, advice=advice, received=_percent(found.accuracy),
            expected=f"at least {_percent(exam.baseline - allowed)}: at most {allowed:g} points below the "
                     f"{_percent(exam.baseline)} of the pre-trained network")  # fmt: skip


def _require_accuracy(exam: Exam, network: Network, max_drop: float) -> None:
    require_drop(exam, exam.measure(network), max_drop, f"{network.shown} classifies {exam.images} too badly")


def _agrees(reported: float, measured: float, tolerance: float) -> bool:
    """Whether a reported number, in percent or as a fraction, is the measured one."""
    return round(abs(in_percent(reported, measured) - measured), 4) <= tolerance


@dataclass(frozen=True)
class _Claim:
    """A reported number: of what, its path in answers.toml, and how the judge measures the same, in percent.

    ``instead`` says which other fields would do.
    """

    what: str
    path: tuple[str, ...]
    measure: Callable[[float], float]
    instead: str = ""


def _require_claims(
    exam: Exam, claims: Iterable[_Claim], against: str, advice: str | None = None, tolerance: float | None = None
) -> None:
    """Every one of them; one failure says all that are wrong or missing. ``against`` is what they should be."""
    tolerance = tolerance or exam.thresholds.reported_tolerance
    missing: list[str] = []
    wrong: list[tuple[_Claim, float, float]] = []
    for claim in claims:
        try:
            reported = exam.required(*claim.path)
        except CheckFailed as failure:
            missing.append(failure.message + claim.instead)
            continue
        measured = claim.measure(reported)
        if not _agrees(reported, measured, tolerance):
            wrong.append((claim, reported, measured))
    if not missing and not wrong:
        return
    told: list[str] = []
    if len(wrong) == 1:
        told.append(f"{wrong[0][0].what}: the reported number is not {against}")
    elif wrong:
        told.append(f"{len(wrong)} reported numbers are not {against}")
    told += missing[:_MOST_MISSING]
    if len(missing) > _MOST_MISSING:
        told.append(f"So it is with {len(missing) - _MOST_MISSING} more numbers")
    several = len(wrong) > 1
    expected = [_percent(measured) + f" for {claim.path[-1]}" * several for claim, _, measured in wrong]
    received = [_read(claim.path, reported, measured) for claim, reported, measured in wrong]
    allowance = f"give or take {tolerance:g} point" + ("" if tolerance == 1 else "s")
    raise CheckFailed(
        ". ".join(told),
        expected=f"{_some(expected)}, {allowance}" if wrong else None,
        received=_some(received) if wrong else None,
        advice=advice if wrong else None,
    )


def _some(phrases: Sequence[str]) -> str:
    rest = len(phrases) - _MOST_TOLD
    return "; ".join([*phrases[:_MOST_TOLD], *([f"and so on for {rest} more"] if rest > 0 else [])])


def _read(path: tuple[str, ...], reported: float, measured: float) -> str:
    """What was reported, and how it was understood."""
    percent = in_percent(reported, measured)
    return f"{field(*path)} = {reported}" + ("" if percent == reported else f", read as {_percent(percent)}")


_HANDED_IN = (
    "Report what the network that you hand in gets. If you measured on another copy of CIFAR-10 (such as one that was "
    "re-encoded), ask your instructor which one counts."
)


def _measured(exam: Exam) -> str:
    return f"what was measured on {exam.images}"


def _of_the_pretrained(exam: Exam) -> str:
    return (
        f"This is a number of the pre-trained network, which is {exam.standard.name} here. If you started from another "
        "one, or measured on another copy of CIFAR-10 (such as one that was re-encoded), ask your instructor which one "
        "counts."
    )


def _require_descent(exam: Exam, part: str) -> None:
    """Every network of the part that can be read is related to the pre-trained one; others have checks of their own."""
    for network in exam.usable(part):
        similarity = exam.similarity(network)
        require(similarity >= exam.thresholds.least_similarity,
                f"{network.shown} has little in common with the pre-trained network ({exam.standard.name}): it was "
                "trained from scratch, or started from another checkpoint",
                expected=f"a similarity of weights of at least {exam.thresholds.least_similarity:g}",
                received=f"{similarity:.2f}")  # fmt: skip


# --- Lab 2


def check_float_accuracy_is_as_reported(session: Session) -> None:
    """The reported accuracy of the pre-trained network is what the grader measures"""
    exam = session.exam

    def measure(reported: float | None = None) -> float:
        return exam.measure_state("2a", "pre-trained", exam.standard.pretrained, reported=reported).accuracy

    measure()  # all drops are drops from it, whatever was reported
    claim = _Claim("the accuracy of the pre-trained network", ("2a", "accuracy"), measure)
    _require_claims(exam, [claim], _measured(exam), _of_the_pretrained(exam))


def check_one_shot_accuracies_are_as_reported(session: Session) -> None:
    """The reported accuracies after one-shot pruning are what the grader measures"""
    exam = session.exam

    def claim(percent: float) -> _Claim:
        def measure(reported: float) -> float:
            state = measures.pruned_by_layer(exam.standard.pretrained, percent)
            return exam.measure_state("2b", f"pre-trained, {percent:g} % pruned", state, reported=reported).accuracy

        return _Claim(f"the accuracy with {percent:g} % of every layer pruned", one_shot_field(percent), measure)

    claims, tolerance = map(claim, exam.one_shot_percentages()), exam.thresholds.one_shot_tolerance
    _require_claims(exam, claims, _measured(exam), _of_the_pretrained(exam), tolerance)


def check_finetuned_network_is_sparse(session: Session) -> None:
    """The fine-tuned network that was handed in has the sparsity asked for in every layer"""
    network = session.exam.network("2c")
    _require_target(network, session.term.target_sparsity, _RECOVERED)
    require_layers(network.state, session.term.target_sparsity, f"in {network.shown}")


@needs("finetuned_network_is_sparse")
def check_finetuned_network_is_accurate(session: Session) -> None:
    """The fine-tuned network that was handed in classifies CIFAR-10 well"""
    _require_accuracy(session.exam, session.exam.network("2c"), session.exam.thresholds.finetuned_max_drop)


def check_finetuned_accuracy_is_as_reported(session: Session) -> None:
    """The reported accuracy of the fine-tuned network is what the grader measures"""
    _require_reported_network(session.exam, "2c", "accuracy")


def check_finetuned_network_is_a_descendant(session: Session) -> None:
    """The fine-tuned network that was handed in started from the pre-trained one"""
    _require_descent(session.exam, "2c")


def _require_reported_network(exam: Exam, part: str, *path: str) -> None:
    network = exam.network(part)
    claim = _Claim(
        f"the accuracy of {network.shown}",
        (part, *path),
        lambda reported: exam.measure(network, reported=reported).accuracy,
    )
    _require_claims(exam, [claim], _measured(exam), _HANDED_IN)


def check_iterative_network_is_sparse(session: Session) -> None:
    """The iteratively pruned network that was handed in has the sparsity asked for in every layer"""
    network = session.exam.network("2d")
    _require_target(network, session.term.target_sparsity, _RECOVERED)
    require_layers(network.state, session.term.target_sparsity, f"in {network.shown}")


@needs("iterative_network_is_sparse")
def check_iterative_network_is_accurate(session: Session) -> None:
    """The iteratively pruned network that was handed in classifies CIFAR-10 well"""
    _require_accuracy(session.exam, session.exam.network("2d"), session.exam.thresholds.iterative_max_drop)


def check_iterative_accuracy_is_as_reported(session: Session) -> None:
    """The reported accuracy of the iteratively pruned network is what the grader measures"""
    _require_reported_network(session.exam, "2d", "numbers", "accuracy")


def check_iterative_network_is_a_descendant(session: Session) -> None:
    """The iteratively pruned network that was handed in started from the pre-trained one"""
    _require_descent(session.exam, "2d")


def check_global_network_is_sparse(session: Session) -> None:
    """The globally pruned network that was handed in has the sparsity asked for, over all layers together"""
    network = session.exam.network("2e")
    _require_target(network, session.term.target_sparsity, _RECOVERED)
    require_global_sparsity(network.state, session.term.target_sparsity)
    shares = measures.sparsity_by_layer(network.state).values()
    require(max(shares) - min(shares) > _SPREAD, f"every layer of {network.shown} has the same sparsity",
            advice="One threshold for all layers together prunes some of them more than others.")  # fmt: skip


@needs("global_network_is_sparse")
def check_global_network_is_accurate(session: Session) -> None:
    """The globally pruned network that was handed in classifies CIFAR-10 well"""
    _require_accuracy(session.exam, session.exam.network("2e"), session.exam.thresholds.global_max_drop)


def check_global_accuracy_is_as_reported(session: Session) -> None:
    """The reported accuracy of the globally pruned network is what the grader measures"""
    _require_reported_network(session.exam, "2e", "accuracy")


def check_global_zeros_are_as_reported(session: Session) -> None:
    """The reported shares of zeros by layer are those of the globally pruned network that was handed in"""
    exam, network = session.exam, session.exam.network("2e")

    def claim(layer: str, share: float) -> _Claim:
        return _Claim(f"the share of zeros of {layer}", ("2e", "zeros", layer), lambda _: 100 * share)

    claims = starmap(claim, measures.sparsity_by_layer(network.state).items())
    _require_claims(exam, claims, f"that of {network.shown}", tolerance=exam.thresholds.zeros_tolerance)


def check_global_network_is_a_descendant(session: Session) -> None:
    """The globally pruned network that was handed in started from the pre-trained one"""
    _require_descent(session.exam, "2e")


# --- Lab 3


def check_quantized_accuracies_are_as_reported(session: Session) -> None:
    """The reported accuracies after quantization are what the grader measures"""
    exam = session.exam

    def claim(bits: int) -> _Claim:
        def measure(reported: float) -> float:
            state = measures.quantized(exam.standard.pretrained, bits)
            return exam.measure_state("3b", "pre-trained, quantized", state, bits, reported).accuracy

        return _Claim(f"the accuracy at {bits} bits without fine-tuning", ("3b", "numbers", f"bits_{bits}"), measure)

    _require_claims(exam, map(claim, session.term.bits), _measured(exam), _of_the_pretrained(exam))


def _require_quantized_accuracy(exam: Exam, part: str, max_drops: dict[int, float]) -> None:
    """Every network of the part classifies well at its number of bits, or, untold, at one of the term's."""

    def require_one(network: Network) -> None:
        found = {bits: exam.measure(network, bits) for bits in exam.candidate_bits(network)}
        bits = min(found, key=lambda bits: found[bits].drop - max_drops[bits])
        message = f"{network.shown}, quantized to {bits} bits, classifies {exam.images} too badly"
        advice = None if network.bits else "Name the number of bits: quantized_net_after_finetune_4bit.pt."
        require_drop(exam, found[bits], max_drops[bits], message, advice)

    _require_each(exam.networks(part), require_one)


def _require_each(networks: Iterable[Network], require_one: Callable[[Network], None]) -> None:
    """Every network; one failure says what is wrong with all of them."""
    failures: list[CheckFailed] = []
    for network in networks:
        try:
            require_one(network)
        except CheckFailed as failure:
            failures.append(failure)
    if failures:
        raise CheckFailed.together(failures)


def _require_reported_bits(exam: Exam, part: str) -> None:
    """The reported accuracy after fine-tuning of every network, at its number of bits, or, untold, at one of them."""
    claims = (_claim_at_bits(exam, part, network) for network in exam.networks(part))
    _require_claims(exam, claims, _measured(exam), _HANDED_IN)


def _claim_at_bits(exam: Exam, part: str, network: Network) -> _Claim:
    """The number reported for a network; where it may be of several numbers of bits, the one that fits best."""
    fields = {bits: (part, "numbers", f"after_{bits}") for bits in exam.candidate_bits(network)}
    given = {bits: value for bits, path in fields.items() if (value := exam.reported(*path)) is not None}
    found = {bits: exam.measure(network, bits, value).accuracy for bits, value in given.items()}
    off = {bits: abs(in_percent(given[bits], accuracy) - accuracy) for bits, accuracy in found.items()}
    bits = min(off or fields, key=lambda bits: off.get(bits, 0.0))
    others = [field(*path) for other, path in fields.items() if other != bits]
    return _Claim(
        f"the accuracy of {network.shown} at {bits} bits",
        fields[bits],
        lambda reported: exam.measure(network, bits, reported).accuracy,
        f" (of {network.shown}; {' or '.join(others)} would do as well)" if others else "",
    )


def check_quantized_networks_are_accurate(session: Session) -> None:
    """The quantized networks that were handed in classify CIFAR-10 well, under the grader's own quantization"""
    _require_quantized_accuracy(session.exam, "3c", dict(session.exam.thresholds.quantized_max_drop))


def check_quantized_networks_are_as_reported(session: Session) -> None:
    """The reported accuracies after quantization-aware training are what the grader measures"""
    _require_reported_bits(session.exam, "3c")


def check_quantized_networks_are_descendants(session: Session) -> None:
    """The quantized networks that were handed in started from the pre-trained one"""
    _require_descent(session.exam, "3c")


def check_sparse_quantized_networks_are_sparse(session: Session) -> None:
    """The pruned and quantized networks that were handed in still have the sparsity asked for"""

    def require_one(network: Network) -> None:
        regrown = session.exam.descends_from_a_pruned_one(network.state)
        aside = ", though it descends from a pruned network: its zeros have grown back" if regrown else ""
        _require_target(network, session.term.target_sparsity, _REGROWN, aside)
        require_global_sparsity(network.state, session.term.target_sparsity)

    _require_each(session.exam.networks("3d"), require_one)


@needs("sparse_quantized_networks_are_sparse")
def check_sparse_quantized_networks_are_accurate(session: Session) -> None:
    """The pruned and quantized networks that were handed in classify CIFAR-10 well"""
    _require_quantized_accuracy(session.exam, "3d", dict(session.exam.thresholds.sparse_quantized_max_drop))


def check_sparse_quantized_networks_are_as_reported(session: Session) -> None:
    """The reported accuracies of the pruned and quantized networks are what the grader measures"""
    _require_reported_bits(session.exam, "3d")


def check_sparse_quantized_networks_are_descendants(session: Session) -> None:
    """The pruned and quantized networks that were handed in started from the pre-trained one"""
    _require_descent(session.exam, "3d")


# --- bonus


def check_symmetric_accuracies_are_as_reported(session: Session) -> None:
    """The reported accuracies with symmetric levels are what the grader measures, with or without a level at zero"""
    exam = session.exam

    def claim(bits: int) -> _Claim:
        def measure(reported: float) -> float:
            return _nearest(_symmetric(exam, bits, reported), reported).accuracy

        return _Claim(f"the accuracy at {bits} bits with symmetric levels", ("bonus", f"symmetric_{bits}"), measure)

    _require_claims(exam, map(claim, session.term.bits), _measured(exam), _of_the_pretrained(exam))


def _symmetric(exam: Exam, bits: int, reported: float) -> Iterable[Measured]:
    """Both conventions, the second only where the first is not what was reported."""
    for zero, name in ((False, "pre-trained, symmetric"), (True, "pre-trained, symmetric with zero")):
        state: Arrays = measures.quantized(exam.standard.pretrained, bits, symmetric=True, zero=zero)
        found = exam.measure_state("bonus", name, state, bits, reported)
        yield found
        if _agrees(reported, found.accuracy, exam.thresholds.reported_tolerance):
            return


def _nearest(found: Iterable[Measured], reported: float) -> Measured:
    return min(found, key=lambda one: abs(one.accuracy - in_percent(reported, one.accuracy)))

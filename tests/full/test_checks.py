"""Every check of the full profile passes where it should and fails on the mistake that it is for."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from resnet20 import ResNetCIFAR
from train_util import evaluate_images, load_cifar10

from grader.assignment import Assignment
from grader.checkpoints import EITHER, HandedIn
from grader.checks import full
from grader.errors import CheckFailed, InternalError
from grader.full import measures
from grader.full.exam import in_percent
from grader.full.standard import Standard
from grader.session import Session
from tests.full.conftest import MakeSession, State, plain, random_network

NAMES = {
    "2c": "net_after_finetune.pt",
    "2d": "net_after_iterative_prune.pt",
    "2e": "net_after_global_iterative_prune.pt",
}
LAB2 = {"2c": "finetuned", "2d": "iterative", "2e": "global"}
LENIENT = {"finetuned_max_drop": 100, "iterative_max_drop": 100, "global_max_drop": 100,
           "quantized_max_drop": {4: 100, 3: 100, 2: 100},
           "sparse_quantized_max_drop": {4: 100, 3: 100, 2: 100}}  # fmt: skip
STRICT = {name: {4: -100, 3: -100, 2: -100} if isinstance(drop, dict) else -100 for name, drop in LENIENT.items()}


def handed(part: str, state: Mapping[str, Any], bits: int | None = None, path: str | None = None) -> HandedIn:
    stream = io.BytesIO()
    torch.save({name: torch.from_numpy(np.array(value)) for name, value in state.items()}, stream)
    return HandedIn(path or NAMES.get(part, f"quantized_{part}.pt"), part, bits, stream.getvalue())


def run(session: Session, name: str) -> None:
    getattr(full, f"check_{name}")(session)


def failure(session: Session, name: str) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        run(session, name)
    return caught.value


@pytest.fixture
def network(pretrained: State) -> dict[str, np.ndarray]:
    return plain(pretrained)


def pruned(network: Mapping[str, np.ndarray], part: str, percent: float = 70) -> dict[str, np.ndarray]:
    return (measures.pruned_globally if part == "2e" else measures.pruned_by_layer)(network, percent)


def test_the_rubric_lists_every_check_of_the_full_profile(assignment: Assignment) -> None:
    written = {name.removeprefix("check_") for name in vars(full) if name.startswith("check_")}
    assert written == {name for part in assignment.parts.values() for name in part.full}


def test_a_check_of_the_full_profile_is_no_students_fault_in_the_quick_one(session: MakeSession) -> None:
    asked = session()
    asked._exam = None
    with pytest.raises(InternalError, match="belongs to the full profile"):
        run(asked, "float_accuracy_is_as_reported")


def test_the_judge_measures_what_the_provided_evaluation_does(
    session: MakeSession, standard: Standard, network: dict[str, np.ndarray], data: Any
) -> None:
    images = load_cifar10("test", data)
    for state in (network, pruned(network, "2c"), measures.quantized(network, 3)):
        net = ResNetCIFAR()
        net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
        assert standard.evaluator.accuracy(state) == evaluate_images(net, images)
    assert session().exam.baseline == pytest.approx(100 * standard.evaluator.accuracy(network))


# --- Lab 2


@pytest.mark.parametrize("part", LAB2)
def test_a_network_of_the_right_sparsity_passes(
    part: str, session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    asked = session(handed(part, pruned(network, part)), **LENIENT)
    for rest in ("network_is_sparse", "network_is_accurate", "network_is_a_descendant"):
        run(asked, f"{LAB2[part]}_{rest}")
    (row,) = asked.exam.measurements([part])
    assert row.network == NAMES[part]
    assert row.sparsity == pytest.approx(0.7, abs=1e-3)
    assert row.accuracy == pytest.approx(asked.exam.baseline - row.drop)
    assert len(row.sparsity_by_layer) == 20 and len(row.digest) == 64


@pytest.mark.parametrize("part", LAB2)
@pytest.mark.parametrize(
    ("percent", "says"), [(80, "has 80.0 % zeros, but this term asks for 70 %"), (0, "has 0.0 % zeros, but this term")]
)
def test_another_sparsity_is_told(
    part: str, percent: float, says: str, session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    found = failure(session(handed(part, pruned(network, part, percent))), f"{LAB2[part]}_network_is_sparse")
    assert says in found.message
    assert ("mask" in (found.advice or "")) is (percent == 0)


@pytest.mark.parametrize("part", ["2c", "2d"])
def test_one_layer_may_be_off_by_one_element(part: str, session: MakeSession, network: dict[str, np.ndarray]) -> None:
    layer = "body_op.7.conv1.0.conv.weight"
    for off, passes in ((1, True), (3, False)):
        state = dict(pruned(network, part))
        weight = state[layer].copy().ravel()
        weight[np.flatnonzero(weight == 0)[:off]] = 0.01
        state[layer] = weight.reshape(state[layer].shape)
        asked = session(handed(part, state))
        if passes:
            run(asked, f"{LAB2[part]}_network_is_sparse")
        else:
            assert layer in failure(asked, f"{LAB2[part]}_network_is_sparse").message


def test_one_threshold_per_layer_is_not_global(session: MakeSession, network: dict[str, np.ndarray]) -> None:
    found = failure(session(handed("2e", pruned(network, "2c"))), "global_network_is_sparse")
    assert "has the same sparsity" in found.message


def test_one_threshold_per_layer_with_some_weights_moved_is_not_global(
    session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    """Three percent of a small layer grow back, and as many weights of a large one go."""
    state = dict(pruned(network, "2c"))
    for layer, value in (("final_fc.linear.weight", 0.0), ("body_op.8.conv2.0.conv.weight", 0.01)):
        weight = state[layer].copy().ravel()
        here = np.flatnonzero(weight == 0) if not value else np.flatnonzero(weight)
        weight[here[:19]] = 0.01 - value
        state[layer] = weight.reshape(state[layer].shape)
    shares = measures.sparsity_by_layer(state).values()
    assert max(shares) - min(shares) > 0.025
    assert "has the same sparsity" in failure(session(handed("2e", state)), "global_network_is_sparse").message


@pytest.mark.parametrize("part", LAB2)
def test_a_bad_accuracy_is_told_against_the_baseline(
    part: str, session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    asked = session(handed(part, pruned(network, part)), **STRICT)
    found = failure(asked, f"{LAB2[part]}_network_is_accurate")
    assert "the grader's 40 test images" in found.message
    assert f"{asked.exam.baseline:.2f} % of the pre-trained network" in (found.expected or "")


@pytest.mark.parametrize("part", LAB2)
def test_a_stranger_is_noticed(part: str, session: MakeSession) -> None:
    stranger = pruned(plain(random_network(9)), part)
    found = failure(session(handed(part, stranger)), f"{LAB2[part]}_network_is_a_descendant")
    assert "from scratch, or started from another checkpoint" in found.message
    run(session(), f"{LAB2[part]}_network_is_a_descendant")  # what is missing has checks of its own


@pytest.mark.parametrize("part", LAB2)
def test_a_missing_network_says_what_to_hand_in(part: str, session: MakeSession) -> None:
    found = failure(session(), f"{LAB2[part]}_network_is_sparse")
    assert found.message == f"no network of 2({part[1]}) was handed in: save its state dict as {NAMES[part]}"
    large = HandedIn(NAMES[part], part, problem="is larger than 16 MiB: save less")
    assert failure(session(large), f"{LAB2[part]}_network_is_sparse").message.startswith(f"`{NAMES[part]}` is larger")


TABLES = {"2c": "[2c]", "2d": "[2d.numbers]", "2e": "[2e]"}


@pytest.mark.parametrize("part", LAB2)
def test_a_reported_accuracy_is_compared(part: str, session: MakeSession, network: dict[str, np.ndarray]) -> None:
    item, name = handed(part, pruned(network, part)), f"{LAB2[part]}_accuracy_is_as_reported"
    (row,) = session(item).exam.measurements([part])
    for value in (f"{row.accuracy + 0.9}", f"{row.accuracy + 1:.2f}", f"{row.accuracy - 1:.2f}", f'"{row.accuracy} %"'):
        run(session(item, answers=f"{TABLES[part]}\naccuracy = {value}"), name)
    asked = session(item, answers=f"{TABLES[part]}\naccuracy = {row.accuracy + 1.1}")
    found = failure(asked, name)
    assert "not what was measured on the grader's 40 test images" in found.message
    assert "another copy of CIFAR-10" in (found.advice or "")
    assert asked.exam.measurements([part])[0].reported == row.accuracy + 1.1
    where = f"{TABLES[part]} accuracy in answers.toml"
    for empty in ('""', '"..."', '"todo"'):
        found = failure(session(item, answers=f"{TABLES[part]}\naccuracy = {empty}"), name)
        assert found.message == f"{where} is empty: write the number that you measured, in percent"
    assert failure(session(item), name).message.startswith(f"{where} is empty")
    odd = {
        "true": "True",
        "-3": "-3",
        "101": "101",
        '"good"': "'good'",
        "nan": "nan",
        "[1, 2]": "a list",
        "0x" + 5000 * "F": "a number beyond all",
    }
    for value, shown in odd.items():
        found = failure(session(item, answers=f"{TABLES[part]}\naccuracy = {value}"), name)
        assert found.message == f"{where} is {shown}, but must be a number of percent, 0 to 100"


def test_a_fraction_is_shown_in_percent(session: MakeSession, network: dict[str, np.ndarray]) -> None:
    item = handed("2c", pruned(network, "2c"))
    (row,) = session(item).exam.measurements(["2c"])
    asked = session(item, answers=f"[2c]\naccuracy = {row.accuracy / 100}")
    run(asked, "finetuned_accuracy_is_as_reported")
    assert asked.exam.measurements(["2c"])[0].reported == pytest.approx(row.accuracy)


@pytest.mark.parametrize(
    ("reported", "measured", "percent"), [(0.5, 0.4, 0.5), (0.1, 10, 10), (1, 1.2, 1), (1, 99, 100)]
)
def test_what_is_at_most_one_is_read_as_is_nearer(reported: float, measured: float, percent: float) -> None:
    assert in_percent(reported, measured) == percent


def test_a_number_at_the_edge_agrees_whatever_binary_fractions_do() -> None:
    for hundredths in range(1000, 9900):
        measured = hundredths / 100
        assert full._agrees(round(measured + 1, 2), measured, 1) and full._agrees(round(measured - 1, 2), measured, 1)
        assert not full._agrees(round(measured + 1.01, 2), measured, 1)


def test_reported_zeros_are_compared(session: MakeSession, network: dict[str, np.ndarray]) -> None:
    state = pruned(network, "2e")
    shares = {name: round(100 * share, 2) for name, share in measures.sparsity_by_layer(state).items()}

    def told(shares: Mapping[str, float]) -> Session:
        return session(
            handed("2e", state), answers="[2e.zeros]\n" + "\n".join(f'"{n}" = {s}' for n, s in shares.items())
        )

    run(told(shares), "global_zeros_are_as_reported")
    layer = "body_op.8.conv1.0.conv"
    assert layer in failure(told({**shares, layer: shares[layer] + 1}), "global_zeros_are_as_reported").message
    del shares[layer]
    assert "is empty" in failure(told(shares), "global_zeros_are_as_reported").message
    none = failure(told({layer: shares[layer] for layer in list(shares)[:1]}), "global_zeros_are_as_reported")
    assert none.message.count("is empty") == 2 and none.message.endswith(". So it is with 17 more numbers")


# --- what the judge makes of the pre-trained network itself

Make = Callable[[dict[str, np.ndarray], float], Mapping[str, np.ndarray]]
OWN: dict[str, tuple[str, str, tuple[int, ...], Make]] = {
    "one_shot_accuracies_are_as_reported": ("[2b]", "q", (30, 50, 70), measures.pruned_by_layer),
    "quantized_accuracies_are_as_reported": (
        "[3b.numbers]", "bits_", (6, 5, 4, 3, 2), lambda net, bits: measures.quantized(net, int(bits))),
    "symmetric_accuracies_are_as_reported": (
        "[bonus]", "symmetric_", (6, 5, 4, 3, 2), lambda net, bits: measures.quantized(net, int(bits), symmetric=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_what_needs_no_training_is_measured_by_the_judge(
    name: str, session: MakeSession, standard: Standard, network: dict[str, np.ndarray]
) -> None:
    table, prefix, values, make = OWN[name]
    right = {f"{prefix}{value}": 100 * standard.evaluator.accuracy(dict(make(network, value))) for value in values}

    def told(numbers: Mapping[str, object]) -> Session:
        return session(answers=table + "\n" + "\n".join(f"{key} = {value}" for key, value in numbers.items()))

    run(told(right), name)
    for key, accuracy in right.items():
        found = failure(told({**right, key: abs(accuracy - 50)}), name)
        assert f"{table} {key}" in (found.received or "")
        assert f"{table} {key} in answers.toml is empty" in failure(told({**right, key: '""'}), name).message
    # All that is wrong is told at once, and all is in the table.
    first, second, *_ = right
    asked = told({**right, first: abs(right[first] - 50), second: abs(right[second] - 50)})
    found = failure(asked, name)
    assert f"{table} {first} = " in (found.received or "") and f"{table} {second} = " in (found.received or "")
    assert "the pre-trained network, which is" in (found.advice or "") and "hand in" not in (found.advice or "")
    assert len(asked.exam.measurements([table.strip("[]").partition(".")[0]])) >= len(right)


def test_a_term_of_other_percentages_takes_what_the_template_has_fields_for(
    session: MakeSession, standard: Standard, network: dict[str, np.ndarray]
) -> None:
    name, template = "one_shot_accuracies_are_as_reported", '[2b]\nprompt = "?"\nq30 = ""\nq50 = ""\nq70 = ""'

    def told(percents: tuple[int, ...], wrong: int = 0) -> Session:
        right = {q: 100 * standard.evaluator.accuracy(measures.pruned_by_layer(network, q)) for q in percents}
        numbers = {**right, wrong: abs(right[wrong] - 50)} if wrong else right
        answers = "[2b]\n" + "\n".join(f"q{q} = {accuracy}" for q, accuracy in numbers.items())
        return session(answers=answers, template=template, one_shot=(40, 60, 80))

    for percents in ((30, 50, 70), (40, 60, 80), (30, 40, 60, 80)):
        run(told(percents), name)
        assert f"q{percents[-1]}" in (failure(told(percents, percents[-1]), name).received or "")
    assert "[2b] q30 in answers.toml is empty" in failure(told(()), name).message
    assert "[2b] q80 in answers.toml is empty" in failure(told((40, 60)), name).message
    assert "[2b] q30 in answers.toml is empty" in failure(told((1, 2, 3)), name).message


def test_symmetric_levels_with_a_level_at_zero_are_right_too(
    session: MakeSession, standard: Standard, network: dict[str, np.ndarray]
) -> None:
    numbers = {}
    for bits in (6, 5, 4, 3, 2):
        state = measures.quantized(network, bits, symmetric=True, zero=True)
        numbers[f"symmetric_{bits}"] = 100 * standard.evaluator.accuracy(state)
    asked = session(answers="[bonus]\n" + "\n".join(f"{key} = {value}" for key, value in numbers.items()))
    run(asked, "symmetric_accuracies_are_as_reported")


def test_the_float_accuracy_is_compared(session: MakeSession, standard: Standard) -> None:
    name, baseline = "float_accuracy_is_as_reported", 100 * standard.evaluator.baseline
    run(session(answers=f"[2a]\naccuracy = {baseline}"), name)
    run(session(answers=f"[2a]\naccuracy = {baseline / 100}"), name)  # a fraction
    assert "the reported number is not" in failure(session(answers=f"[2a]\naccuracy = {baseline + 2}"), name).message
    assert "is empty" in failure(session(), name).message


# --- Lab 3


def test_float_and_quantized_weights_are_measured_alike(session: MakeSession, network: dict[str, np.ndarray]) -> None:
    rows = []
    for state in (network, measures.quantized(network, 3)):
        asked = session(handed("3c", state, 3), **LENIENT)
        run(asked, "quantized_networks_are_accurate")
        run(asked, "quantized_networks_are_descendants")
        rows += asked.exam.measurements(["3c"])
    assert rows[0].accuracy == rows[1].accuracy
    assert max(rows[0].levels_by_layer.values()) == 8


@pytest.mark.parametrize(("part", "prefix"), [("3c", ""), ("3d", "sparse_")])
def test_quantized_networks_are_held_against_their_number_of_bits(
    part: str, prefix: str, session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    items = [handed(part, pruned(network, "2e"), bits, f"{bits}.pt") for bits in (4, 2)]
    allowed = {**LENIENT, f"{prefix}quantized_max_drop": {4: 100, 3: 100, 2: -100}}
    found = failure(session(*items, **allowed), f"{prefix}quantized_networks_are_accurate")
    assert found.message.startswith("`2.pt`, quantized to 2 bits, classifies the grader's 40 test images too badly")
    run(session(*items, **LENIENT), f"{prefix}quantized_networks_are_accurate")
    other = failure(session(handed(part, network, 5)), f"{prefix}quantized_networks_are_accurate")
    assert "has 5 bits, but this term asks for 4, 3 and 2" in other.message


@pytest.mark.parametrize(("part", "prefix"), [("3c", ""), ("3d", "sparse_")])
def test_reported_accuracies_of_quantized_networks_are_compared(
    part: str, prefix: str, session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    name = f"{prefix}quantized_networks_are_as_reported"
    item, untold = handed(part, network, 3), handed(part, network)
    (row,) = session(item).exam.measurements([part])
    for told in (item, untold):
        run(session(told, answers=f"[{part}.numbers]\nafter_3 = {row.accuracy}"), name)
        found = failure(session(told, answers=f"[{part}.numbers]\nafter_3 = {row.accuracy + 30}"), name)
        assert f"[{part}.numbers] after_3" in (found.received or "")
    assert "after_3 in answers.toml is empty" in failure(session(item), name).message
    told = failure(session(untold, replace(item, path="another.pt")), name).message
    assert "after_4 in answers.toml is empty" in told and "after_3 in answers.toml is empty" in told
    others = " or ".join(f"[{part}.numbers] after_{bits}" for bits in (3, 2))
    assert f"(of `{untold.path}`; {others} would do as well)" in told
    odd = session(untold, answers=f'[{part}.numbers]\nafter_4 = "about 88"')
    assert "after_4 in answers.toml is 'about 88', but must be" in failure(odd, name).message


@pytest.mark.parametrize(("part", "prefix"), [("3c", ""), ("3d", "sparse_")])
def test_a_quantized_stranger_is_noticed(part: str, prefix: str, session: MakeSession) -> None:
    asked = session(handed(part, plain(random_network(9)), 3))
    assert "has little in common" in failure(asked, f"{prefix}quantized_networks_are_descendants").message


def regrown(network: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A pruned network whose zeros have grown back a little, as without a mask."""
    noise = np.random.default_rng(0)
    state = dict(pruned(network, "2e"))
    for name, weight in measures.prunable(state).items():
        small = (0.003 * noise.standard_normal(weight.shape)).astype(np.float32)
        state[name] = np.where(weight == 0, small, weight)
    return state


def test_a_network_without_a_name_for_its_part_is_placed_by_its_weights(
    session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    path = "quantized_net_after_finetune.pt"
    for state, part, other in (
        (network, "3c", "3d"),
        (pruned(network, "2e"), "3d", "3c"),
        (regrown(network), "3d", "3c"),
    ):
        exam = session(handed(EITHER, state, None, path)).exam
        assert [network.part for network in exam.networks(part)] == [part]
        with pytest.raises(CheckFailed, match=rf"`{path}` was taken as that of 3\({part[1]}\): it descends from"):
            exam.networks(other)


def test_what_a_name_places_is_not_said_to_be_placed_by_its_weights(
    session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    exam = session(handed("3c", pruned(network, "2e"), None, "3c/qat_final.pt")).exam
    with pytest.raises(CheckFailed) as caught:
        exam.networks("3d")
    assert "taken as" not in caught.value.message and "descends" not in caught.value.message


def test_a_folder_with_bit_in_its_name_says_nothing_of_bits(
    session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    exam = session(handed(EITHER, network, None, "rabbit/quantized_net_after_finetune.pt")).exam
    with pytest.raises(CheckFailed, match=r"was taken as that of 3\(c\): it descends from"):
        exam.networks("3d")


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_stranger_is_placed_by_its_zeros(seed: int, session: MakeSession) -> None:
    """Whoever trained a network of his own has weights that are as near to the one as to the other."""
    path = "quantized_net_after_finetune.pt"
    stranger = plain(random_network(seed))
    for state, part, other, zeros in ((stranger, "3c", "3d", "0.0"), (pruned(stranger, "2e"), "3d", "3c", "70.0")):
        exam = session(handed(EITHER, state, None, path)).exam
        assert [network.part for network in exam.networks(part)] == [part]
        told = rf"taken as that of 3\({part[1]}\): it does not descend from the pre-trained network, and has {zeros} %"
        with pytest.raises(CheckFailed, match=told):
            exam.networks(other)
    grown = regrown(stranger)
    told = failure(session(handed("3d", grown, 4)), "sparse_quantized_networks_are_sparse").message
    assert "0.0 % zeros, but" in told and "descends" not in told


def test_the_trap_is_explained(session: MakeSession, network: dict[str, np.ndarray]) -> None:
    name = "sparse_quantized_networks_are_sparse"
    found = failure(session(handed("3d", regrown(network), 2)), name)
    assert "has 0.0 % zeros, though it descends from a pruned network: its zeros have grown back" in found.message
    assert "straight-through gradient reaches pruned weights" in (found.advice or "")
    dense = failure(session(handed("3d", network, 2)), name)
    assert "though it descends" not in dense.message
    run(session(handed("3d", pruned(network, "2e"), 2)), name)
    few = dict(pruned(network, "2e"))
    few["final_fc.linear.weight"] = np.where(few["final_fc.linear.weight"] == 0, 0.1, few["final_fc.linear.weight"])
    assert "wrong number of zeros" in failure(session(handed("3d", few, 2)), name).message


def test_a_number_of_bits_that_no_name_tells_is_seen_in_quantized_weights(
    session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    asked = session(handed("3c", measures.quantized(network, 2)), handed("3c", network, None, "float.pt"))
    assert [asked.exam.candidate_bits(network) for network in asked.exam.networks("3c")] == [(2,), (4, 3, 2)]


def test_an_unreadable_file_costs_both_parts_that_it_may_belong_to_and_no_other(
    session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    broken = HandedIn("quantized_net_after_finetune.pt", EITHER, None, b"nonsense")
    asked = session(broken, handed("2c", pruned(network, "2c")))
    for name in ("quantized_networks_are_accurate", "sparse_quantized_networks_are_sparse"):
        assert "is not a checkpoint" in failure(asked, name).message
    run(asked, "finetuned_network_is_sparse")
    assert [row.part for row in asked.exam.measurements(["2c", "3c", "3d"])] == ["2c"]


def test_every_refused_file_of_a_part_is_told(session: MakeSession, network: dict[str, np.ndarray]) -> None:
    page = HandedIn("quantized_sparse_net_4bit.pt", "3d", 4, b"<!DOCTYPE html><html>404</html>")
    layer = "head_conv.0.conv.weight"
    diverged = handed("3d", network | {layer: np.full_like(network[layer], np.nan)}, 3, "quantized_sparse_net_3bit.pt")
    told = failure(session(page, diverged), "sparse_quantized_networks_are_sparse")
    assert told.message == (
        f"`{page.path}` is a web page, as a failed download leaves it: get the file again. "
        f"{layer} in `{diverged.path}` holds NaN or infinite values: the training diverged or divided by zero"
    )
    assert "learning rate" in (told.advice or "")


@pytest.fixture
def no_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pre-trained network of these tests guesses, of few images; that is not to be said."""
    monkeypatch.setattr("grader.full.exam.Exam._doubts", lambda _: [])


def test_a_pretrained_network_that_guesses_is_told(session: MakeSession) -> None:
    asked = session()
    assert asked.exam.notes(["3a"]) == []  # where nothing is measured nothing is said
    failure(asked, "float_accuracy_is_as_reported")
    few, note = asked.exam.notes(["2a"])
    assert few.startswith("CIFAR-10 is not whole: only 40 of 10,000 test images")
    assert "classifies only 10.00 % of the grader's 40 test images right" in note and "instructor" in note


@pytest.mark.usefixtures("no_doubts")
@pytest.mark.parametrize(("part", "prefix"), [("3c", ""), ("3d", "sparse_")])
def test_a_network_that_nobody_asked_for_costs_nothing_beside_a_good_one(
    part: str, prefix: str, session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    good = replace(handed(part, pruned(network, "2e"), 3, "quantized_finetune_3bit.pt"), is_tuned=True)
    other = replace(handed(part, pruned(network, "2e"), 6, "quantized_finetune_6bit.pt"), is_tuned=True)
    untuned = handed(part, plain(random_network(9)), 2, "quantized_2bit.pt")
    broken = HandedIn("quantized_net_after_finetune.pt", EITHER, None, b"nonsense")
    (row,) = session(good).exam.measurements([part])
    answers = f"[{part}.numbers]\nafter_3 = {row.accuracy}"
    asked = session(broken, other, untuned, good, answers=answers, **LENIENT)
    for rest in ("are_accurate", "are_as_reported", "are_descendants"):
        run(asked, f"{prefix}quantized_networks_{rest}")
    assert [row.network for row in asked.exam.measurements([part])] == [good.path]
    title = f"3({part[1]})"
    assert asked.exam.notes([part]) == [
        f"`{other.path}` has 6 bits, but this term asks for 4, 3 and 2; it was left out of {title}.",
        f"`{untuned.path}` does not say in its name that it was fine-tuned, as others do; it was left out of {title}.",
        "`quantized_net_after_finetune.pt` is not a checkpoint: save net.state_dict() with torch.save. It was left "
        f"out, since there are other networks of {title}.",
    ]


@pytest.mark.usefixtures("no_doubts")
def test_a_trained_network_that_was_handed_in_for_two_parts_is_told(
    session: MakeSession, network: dict[str, np.ndarray]
) -> None:
    trained = pruned(plain(random_network(9)), "2c")
    for state, notes in (
        (trained, [f"The files {NAMES['2c']} and {NAMES['2d']} hold the same trained network, though they were handed "
                   "in for 2(c) and 2(d)."]),
        (pruned(network, "2c"), []),  # nobody has trained it
    ):  # fmt: skip
        exam = session(handed("2c", state), handed("2d", state), handed("2e", pruned(network, "2e"))).exam
        assert exam.notes(["2c", "2d", "2e"]) == notes
        assert exam.notes(["2c", "2e"]) == []

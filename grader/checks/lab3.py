"""Checks of Lab 3 and the bonus: the straight-through estimator, the layers, and training with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.cases import Arrays
from grader.checks import needs, quantized, tolerances
from grader.checks.compare import require, require_close, require_equal, require_unchanged
from grader.checks.lab2 import flat, require_accuracy, require_fresh_gradients, seen, state, state_after, weights
from grader.session import Answer, Session

Array = NDArray[np.float32]

_MASK = "A mask is 1 for what is kept: the weights that are not zero."

# --- comparators that the hidden checks share


def nonzero(answer: Answer) -> tuple[Array, Array, str]:
    """The non-zero weights before and after, and what to call them; provided that they were quantized at all."""
    w, wq, params = answer.inputs["w"], answer.array("wq"), answer.case.params
    what = f"a tensor at {params['bit']} bits"
    require((wq[w != 0] != 0).any(), f"every non-zero weight of {what} becomes zero",
            advice=_MASK)  # fmt: skip
    quantized.require_quantized(wq[w != 0], what)
    return w[w != 0], wq[w != 0], what


def require_extremes(answer: Answer) -> None:
    """The smallest and the largest non-zero weight are levels."""
    w, wq, what = nonzero(answer)
    quantized.require_range(wq, float(w.min()), float(w.max()), what)


def require_zeros_kept(answer: Answer) -> None:
    """Zeros stay exactly zero."""
    nonzero(answer)
    zeros = answer.array("wq")[answer.inputs["w"] == 0]
    require((zeros == 0).all(), "pruned weights (zeros) are not exactly zero after quantization", expected="zeros",
            received=zeros[zeros != 0] if (zeros != 0).any() else zeros)  # fmt: skip


def require_symmetric_levels(wq: Array, bit: int, what: str) -> None:
    """2^bit evenly spaced levels, or 2^bit - 1 with one at zero."""
    quantized.require_few_levels(wq, bit, what)
    quantized.require_evenly_spaced(wq, what)
    quantized.require_enough_levels(wq, 2**bit - 1, what)
    size = quantized.grid_size(wq)
    require(size <= 2**bit, f"the levels of {what}, mirrored, are too many", expected=f"at most {2**bit}",
            received=str(size))  # fmt: skip


def require_outermost(answer: Answer) -> None:
    """The largest magnitude is a level."""
    w, wq, _ = nonzero(answer)
    largest = np.abs(w).max()
    require(abs(np.abs(wq).max() - largest) <= tolerances.OUTERMOST * largest, "the outermost level is not max |w|",
            expected=largest, received=np.abs(wq).max())  # fmt: skip


def require_gradient(answer: Answer, where: Array) -> None:
    """The gradient arrives unchanged at the chosen elements."""
    require("backward" not in answer.facts, f"the backward pass fails: {answer.facts.get('backward')}",
            advice="Return one value for each argument of forward: the gradient, and None for the others.")  # fmt: skip
    require(answer.fact("has_grad"), "no gradient arrives at the weights",
            advice="A tensor from .data or .detach() carries no gradient; use STE.apply.")  # fmt: skip
    received, expected = answer.array("grad")[where], answer.inputs["g"][where]
    require_close(received, expected, "the gradient", rtol=tolerances.GRADIENT)


# --- 3(a): the straight-through estimator


def check_ste_levels(session: Session) -> None:
    """`STE` gives the non-zero weights 2^bit levels"""
    for answer in session.each("lab3/ste/pruned"):
        _, wq, what = nonzero(answer)
        quantized.require_few_levels(wq, answer.case.params["bit"], what)
        quantized.require_enough_levels(wq, 2 ** answer.case.params["bit"], what)


def check_ste_evenly_spaced(session: Session) -> None:
    """The levels of `STE` are evenly spaced"""
    for answer in session.each("lab3/ste/pruned"):
        _, wq, what = nonzero(answer)
        quantized.require_enough_levels(wq, 2 ** (answer.case.params["bit"] - 1) + 1, what)
        quantized.require_evenly_spaced(wq, what)


def check_ste_extremes(session: Session) -> None:
    """`STE` reproduces the smallest and the largest weight exactly"""
    for answer in session.each("lab3/ste/pruned"):
        require_extremes(answer)


def check_ste_range_of_nonzeros(session: Session) -> None:
    """`STE` takes its range from the non-zero weights only"""
    for answer in session.each("lab3/ste/positive"):
        require_extremes(answer)


def check_ste_rounds_to_nearest(session: Session) -> None:
    """`STE` rounds every weight to the nearest level"""
    for answer in session.each("lab3/ste/pruned"):
        w, wq, what = nonzero(answer)
        quantized.require_enough_levels(wq, 2 ** (answer.case.params["bit"] - 1) + 1, what)
        quantized.require_nearest(w, wq, what)


def check_ste_keeps_zeros(session: Session) -> None:
    """`STE` keeps pruned weights exactly zero"""
    for prefix in ("lab3/ste/pruned", "lab3/ste/positive"):
        for answer in session.each(prefix):
            require_zeros_kept(answer)


def check_ste_without_bits(session: Session) -> None:
    """`STE` leaves the weights as they are when bit is None, and gives zeros when it is 0"""
    require_equal(session.one("lab3/ste/none").array("wq"), session.one("lab3/ste/none").inputs["w"], "bit None")
    zeros = session.one("lab3/ste/zero").array("wq")
    require((zeros == 0).all(), "bit 0 does not give zeros", received=zeros)


def check_ste_passes_the_gradient(session: Session) -> None:
    """The gradient passes straight through `STE`"""
    for answer in session.each("lab3/ste/pruned"):
        require_gradient(answer, answer.inputs["w"] != 0)


def check_ste_passes_the_gradient_of_zeros(session: Session) -> None:
    """The gradient passes straight through `STE` to pruned weights too"""
    for answer in session.each("lab3/ste/pruned"):
        require_gradient(answer, answer.inputs["w"] == 0)


def check_ste_leaves_its_input(session: Session) -> None:
    """`STE` does not change the float weights, and keeps their dtype and device"""
    for prefix in ("lab3/ste/pruned", "lab3/ste/double"):
        for answer in session.each(prefix):
            nonzero(answer)
            w = answer.inputs["w"]
            require_unchanged(answer.array("after.w"), w, "the argument w of `STE`")
            require(answer.fact("dtype") == f"torch.{w.dtype}", "the dtype changed", expected=f"torch.{w.dtype}",
                    received=str(answer.fact("dtype")))  # fmt: skip
            require(answer.fact("device") == "cpu", "the result is on another device than w")


def check_ste_degenerate_layers(session: Session) -> None:
    """Layers that are all zero, constant, or have one non-zero weight do not give NaN"""
    for answer in session.each("lab3/ste/degenerate"):
        finite = np.isfinite(answer.array("wq")).all()
        require(finite, f"a layer with {answer.case.id.rpartition('/')[2].replace('_', ' ')} weights gives NaN",
                advice="Such layers appear at high sparsity: look at what you divide by.")  # fmt: skip


# --- 3(a): the layers


def _product(answer: Answer, weight: Array) -> Array:
    """What the layer should compute with these weights."""
    x, options, bias = answer.inputs["x"], answer.case.params["options"], answer.inputs.get("bias", np.float32(0))
    if answer.case.params["class"] == "FP_Conv":
        kept = {name: options[name] for name in ("stride", "padding", "dilation", "groups") if name in options}
        return np.asarray(quantized.convolve(x, weight, **kept).astype(np.float32) + bias.reshape(-1, 1, 1))
    return np.asarray(x @ weight.T + bias)


def _require_product(answer: Answer, what: str = "") -> None:
    name = answer.case.params["class"]
    expected = _product(answer, answer.array("first.wq"))
    require_close(answer.array("first.y"), expected, f"the output of `{name}`{what}", rtol=tolerances.PRODUCT)


def _require_followed(answer: Answer) -> None:
    """The output changed as the quantized weight did; what both passes add to it, such as a bias, cancels."""
    name = answer.case.params["class"]
    first, second = (_product(answer, answer.array(f"{which}.wq")) for which in ("first", "second"))
    received = answer.array("second.y") - answer.array("first.y")
    require_close(received, second - first, f"after a step of training, the change of the output of `{name}`",
                  rtol=tolerances.PRODUCT)  # fmt: skip


def _require_quantized_layer(answer: Answer) -> None:
    wq = answer.array("first.wq")
    quantized.require_quantized(wq[wq != 0], f"the weight of `{answer.case.params['class']}`")


def check_fp_conv_forward(session: Session) -> None:
    """`FP_Conv` convolves with the quantized weight, for every kernel, stride and padding"""
    for answer in session.each("lab3/layer/conv"):
        _require_quantized_layer(answer)
        _require_product(answer)


@needs("fp_conv_forward")
def check_fp_conv_keeps_its_options(session: Session) -> None:
    """`FP_Conv` convolves with the bias, the dilation and the groups of `self.conv`"""
    for answer in session.each("lab3/conv_options"):
        _require_product(answer, f" with {answer.case.id.rpartition('/')[2]}")


def check_fp_linear_forward(session: Session) -> None:
    """`FP_Linear` multiplies by the quantized weight and adds the bias"""
    for answer in session.each("lab3/layer/linear"):
        _require_quantized_layer(answer)
        _require_product(answer)


def check_fp_layers_follow_training(session: Session) -> None:
    """The layers quantize in every forward pass, pass gradients to the float weight and keep it as it is"""
    for answer in session.each("lab3/layer"):
        name = answer.case.params["class"]
        _require_quantized_layer(answer)
        _require_followed(answer)
        require_unchanged(answer.array("after.weight"), answer.inputs["weight2"], f"the float weight of `{name}`")
        failed = answer.facts.get("backward")
        require(failed is None, f"the backward pass of `{name}` fails: {failed}")
        require("grad" in answer.arrays, f"no gradient arrives at the float weight of `{name}`")
        golden = answer.case.expected["grad"]
        require_close(answer.array("grad"), golden, f"the gradient of `{name}`", rtol=tolerances.PRODUCT)


# --- 3(b)


def check_accuracy_by_bits_is_measured(session: Session) -> None:
    """`accuracy_by_bits` measures the checkpoint anew at every number of bits"""
    answer = session.one("lab3/accuracy_by_bits/stand_in")
    expected = dict(zip(answer.case.facts["bits"], answer.case.facts["values"], strict=True))
    received = dict(zip(answer.fact("bits"), answer.fact("values"), strict=True))
    require(set(received) == set(expected), "`accuracy_by_bits` covers other numbers of bits",
            expected=str(sorted(expected)), received=str(sorted(received)))  # fmt: skip
    for bits, value in expected.items():
        agrees = abs(received[bits] - value) <= tolerances.CONFIDENCE
        require(agrees, f"the result at {bits} bits is not what `evaluate` measured",
                expected=value, received=received[bits])  # fmt: skip


def check_accuracy_by_bits_spares_the_checkpoint(session: Session) -> None:
    """`accuracy_by_bits` leaves the checkpoint as it is"""
    answer = session.one("lab3/accuracy_by_bits/stand_in")
    require(answer.fact("bits"), "`accuracy_by_bits` returned nothing")
    _require_checkpoint_unchanged(answer)


def _require_checkpoint_unchanged(answer: Answer) -> None:
    before, after = state(answer.inputs), state(answer.arrays, "after.")
    for name, value in before.items():
        require(name in after, f"{name} is no longer in the checkpoint")
        require_unchanged(after[name], value, f"{name} of the checkpoint")


def _used_at(answer: Answer, num_bits: int) -> Arrays:
    """The weights that the network computed with at ``num_bits`` bits."""
    return {n.removeprefix(f"{num_bits}."): a for n, a in answer.arrays.items() if n.startswith(f"{num_bits}.")}


def _body(used: Arrays) -> Iterator[tuple[str, Array]]:
    """The weights of the residual blocks, the ones that are quantized."""
    return ((name, a) for name, a in used.items() if name.startswith("body_op"))


def _as_state(used: Arrays, network: Arrays) -> Arrays:
    """Weights by module as state-dict entries of the float network; what it does not have is left out."""
    renamed = {}
    for name, weight in used.items():
        module = name.removesuffix(".weight")
        key = next((k for k in (f"{module}.conv.weight", f"{module}.linear.weight", name) if k in network), None)
        if key is not None:
            renamed[key] = weight
    return renamed


def check_network_is_quantized(session: Session) -> None:
    """With your layers the residual blocks compute with 2^bit levels, first and last layer in floating point"""
    answer = session.one("lab3/accuracy_by_bits/own")
    network = state(answer.inputs)
    for num_bits in answer.case.params["bits"]:
        used = _used_at(answer, num_bits)
        require(used, f"no network of {num_bits} bits was made")
        for name, weight in _body(used):
            quantized.require_few_levels(weight[weight != 0], num_bits, f"{name} at {num_bits} bits")
        for key, weight in _as_state(used, network).items():
            if not key.startswith("body_op"):
                require_equal(weight, network[key], f"{key}, which stays in floating point,")


@needs("network_is_quantized")
def check_accuracy_falls_with_bits(session: Session) -> None:
    """With your layers the accuracy falls with the number of bits as it should"""
    answer = session.one("lab3/accuracy_by_bits/own")
    network = state(answer.inputs)
    for num_bits, expected in zip(answer.case.facts["bits"], answer.case.facts["accuracies"], strict=True):
        used = _used_at(answer, num_bits)
        require(used, f"no network of {num_bits} bits was made")
        accuracy = session.evaluator.accuracy(_as_state(used, network))
        require(abs(accuracy - expected) <= tolerances.QUANTIZED_ACCURACY, f"the accuracy at {num_bits} bits is off",
                expected=f"{expected:.1%}", received=f"{accuracy:.1%}")  # fmt: skip


# --- 3(c), 3(d)


def _trained(answer: Answer) -> tuple[Arrays, Arrays]:
    """The checkpoint and the float network that came back, provided that something was trained."""
    before, after = state(answer.inputs), state_after(answer)
    require(answer.fact("training"), "no batch went through the network")
    require(any((after[n] != a).any() for n, a in weights(before).items()), "no weight changed: nothing was trained")
    return before, after


def _require_all_batches(answer: Answer) -> None:
    """Every batch of every epoch, in training mode."""
    passes = sum(map(bool, answer.fact("training")))
    expected = answer.case.params["options"]["epochs"] * answer.case.params["batches"]
    require(passes, "the network was in evaluation mode while it was trained")
    require(passes == expected, "`finetune_quantized` trained another number of batches", expected=str(expected),
            received=str(passes))  # fmt: skip


def check_qat_starts_from_the_checkpoint(session: Session) -> None:
    """`finetune_quantized` starts from the checkpoint, at the asked number of bits, and leaves it as it is"""
    answer = session.one("lab3/finetune_quantized/stand_in")
    before, _ = _trained(answer)
    for name, weight in weights(before).items():
        require_equal(answer.array(f"seen.{name.removesuffix('.weight')}")[0], weight, f"{name} before the first step")
    require(answer.fact("bits") == [answer.case.params["bit"]], "the network has another number of bits")
    _require_checkpoint_unchanged(answer)


def check_qat_follows_its_recipe(session: Session) -> None:
    """`finetune_quantized` trains with the learning rate, momentum and weight decay that it is given"""
    answer = session.one("lab3/finetune_quantized/recipe")
    _trained(answer)
    history = flat(seen(answer))[: answer.case.params["batches"]]  # a schedule may change the rate after an epoch
    old, new = history[:, history[-1] != history[0]][[0, -1]]
    require(len(old), "no weight changed before the last batch")
    received, expected = old @ new / (old @ old), _decayed(answer.case.params, len(history) - 1)
    require(abs(received - expected) <= tolerances.DECAY * (1 - expected), "the weights decay at another rate",
            expected=f"{expected:.4f} of each weight is left", received=f"{received:.4f}",
            advice="Give lr, momentum and weight_decay=reg to torch.optim.SGD.")  # fmt: skip


def _decayed(params: Mapping[str, Any], steps: int) -> float:
    """What SGD leaves of a weight of 1 where weight decay outweighs every gradient by far."""
    options, weight, velocity = params["options"], 1.0, 0.0
    for _ in range(steps):
        velocity = options["momentum"] * velocity + options["reg"] * weight
        weight -= options["lr"] * velocity
    return weight


def check_qat_clears_its_gradients(session: Session) -> None:
    """`finetune_quantized` clears the gradients before each backward pass"""
    answer = session.one("lab3/finetune_quantized/same_batch")
    _trained(answer)
    require_fresh_gradients(seen(answer), "`finetune_quantized`")


def check_qat_trains_the_float_weights(session: Session) -> None:
    """`finetune_quantized` trains every float weight for the given epochs, and returns the float weights"""
    answer = session.one("lab3/finetune_quantized/stand_in")
    before, after = _trained(answer)
    _require_all_batches(answer)
    for name, weight in weights(after).items():
        require(np.mean(weight != before[name]) > tolerances.LEAST_TRAINED, f"{name} did not train")
        require(np.mean(weight != 0) > tolerances.LEAST_TRAINED, f"weights of {name} became zero", advice=_MASK)
        few = len(quantized.levels_of(weight)) <= 2 ** answer.case.params["bit"]
        require(not few, f"{name} holds quantized values: the float weights are lost")


def _require_healed(session: Session, answer: Answer, max_drop: float) -> None:
    """The network as it computes, quantized, classifies well by the judge's own measurement."""
    _, after = _trained(answer)
    used = {n.removeprefix("used."): a for n, a in answer.arrays.items() if n.startswith("used.")}
    for name, weight in _body(used):
        quantized.require_few_levels(weight[weight != 0], answer.case.params["bit"], name)
    require_accuracy(session, {**after, **_as_state(used, after)}, max_drop, "quantization-aware training")


@needs("qat_trains_the_float_weights")
def check_qat_regains_accuracy(session: Session) -> None:
    """Quantization-aware training with your layers regains the accuracy that quantization cost"""
    answer = session.one("lab3/finetune_quantized/dense")
    _require_healed(session, answer, session.quick.quantized_max_drop)


def _require_sparse(answer: Answer) -> None:
    before, after = _trained(answer)
    for name, weight in weights(before).items():
        zeros = weight == 0
        regrown = int((after[name][zeros] != 0).sum())
        require(regrown == 0, f"pruned weights of {name} grew back", expected=f"{int(zeros.sum())} zeros",
                received=f"{int(zeros.sum()) - regrown} zeros",
                advice="The straight-through gradient reaches pruned weights too: hold the mask.")  # fmt: skip


def check_qat_keeps_sparsity(session: Session) -> None:
    """`finetune_quantized` keeps the pruned weights of a sparse checkpoint exactly zero"""
    _require_sparse(session.one("lab3/finetune_quantized/sparse_stand_in"))


def check_qat_trains_a_sparse_network(session: Session) -> None:
    """`finetune_quantized` trains the unpruned weights of a sparse checkpoint"""
    before, after = _trained(session.one("lab3/finetune_quantized/sparse_stand_in"))
    for name, weight in weights(before).items():
        kept = weight != 0
        moved = np.mean(after[name][kept] != weight[kept])
        require(moved > tolerances.LEAST_TRAINED, f"the unpruned weights of {name} did not train")
        left = np.mean(after[name][kept] != 0)
        require(left > tolerances.LEAST_TRAINED, f"unpruned weights of {name} became zero", advice=_MASK)


@needs("qat_keeps_sparsity")
def check_qat_of_a_sparse_network_regains_accuracy(session: Session) -> None:
    """A sparse network, quantized and fine-tuned with your layers, is still sparse and classifies well"""
    answer = session.one("lab3/finetune_quantized/sparse")
    _require_sparse(answer)
    _require_healed(session, answer, session.quick.sparse_quantized_max_drop)


# --- bonus


def check_symmetric_levels(session: Session) -> None:
    """Symmetric: 2^bit evenly spaced levels, or one fewer where zero is a level"""
    for answer in session.each("lab3/ste/symmetric"):
        _, wq, what = nonzero(answer)
        require_symmetric_levels(wq, answer.case.params["bit"], what)


def check_symmetric_around_zero(session: Session) -> None:
    """Symmetric: the levels are symmetric around zero"""
    for answer in session.each("lab3/ste/symmetric"):
        _, wq, what = nonzero(answer)
        quantized.require_symmetric(wq, what)


def check_symmetric_outermost_level(session: Session) -> None:
    """Symmetric: the outermost level is the largest magnitude of a weight"""
    for answer in session.each("lab3/ste/symmetric"):
        require_outermost(answer)


@needs("symmetric_levels")
def check_symmetric_rounds_to_nearest(session: Session) -> None:
    """Symmetric: every weight moves to the nearest level, and pruned weights stay zero"""
    for answer in session.each("lab3/ste/symmetric"):
        w, wq, what = nonzero(answer)
        quantized.require_few_levels(wq, answer.case.params["bit"], what)
        quantized.require_nearest(w, wq, what)
        require_zeros_kept(answer)


@needs("symmetric_outermost_level")
def check_symmetric_reaches_the_layers(session: Session) -> None:
    """Symmetric: `FP_Conv` and `FP_Linear` quantize symmetrically when they are told to"""
    for answer in session.each("lab3/symmetric_layer"):
        _require_quantized_layer(answer)
        _require_product(answer, "first")

"""Probes of Lab 3: the straight-through estimator, the quantized layers, and training with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grader.probes.networks import Batches, Recorder, build, prunable, state_arrays, state_dict
from grader.probes.plain import Array, Outputs, Params, Reply, number, require_kind, tensor_array
from grader.worker.student import ProbeFailed, Student

__all__ = ["accuracy_by_bits", "finetune_quantized", "layer", "ste"]


def _quantize(student: Student, weight: Tensor, params: Params) -> Any:
    """``STE.apply``; ``symmetric`` is passed on only when set, for older files without it."""
    apply = student.attribute("FP_layers", "STE").apply
    extra = (True,) if params.get("symmetric") else ()
    return student.call(apply, weight, params["bit"], *extra)


def ste(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Quantize ``w``, backpropagate ``g``; the levels, the gradient, and w afterwards."""
    w = torch.from_numpy(arrays["w"].copy()).requires_grad_()
    shape = tuple(w.shape)
    wq = _quantize(student, w, params)
    what = "the result of `STE.apply`"
    outputs: Outputs = {"wq": tensor_array(wq, what, shape), "after.w": tensor_array(w, "w", shape)}
    facts: dict[str, Any] = {"dtype": str(wq.dtype), "device": str(wq.device), "has_grad": bool(wq.requires_grad)}
    if wq.requires_grad:
        facts |= _backward(student, wq, torch.from_numpy(arrays["g"].copy()))
        facts["has_grad"] = w.grad is not None
        if w.grad is not None:
            outputs["grad"] = tensor_array(w.grad, "the gradient", shape)
    return facts, outputs


def _backward(student: Student, output: Tensor, gradient: Tensor) -> dict[str, Any]:
    """Backpropagate; a failure is a fact, since what the forward pass gave is graded all the same."""
    try:
        student.call(output.backward, gradient)
    except ProbeFailed as failure:
        return {"backward": failure.message}
    return {}


def layer(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """A forward and backward pass of FP_Conv or FP_Linear, then another one after its weight has changed."""
    made = student.call(student.attribute("FP_layers", params["class"]), **params["options"])
    inner: Any = getattr(made, "conv" if params["class"] == "FP_Conv" else "linear", None)
    require_kind(inner, nn.Module, f"the inner layer of `{params['class']}`")
    student.call(_fill, inner.weight, arrays["weight"])
    if inner.bias is not None:
        student.call(_fill, inner.bias, arrays["bias"])
    facts, outputs = _forward(student, made, inner.weight, params, arrays, "first")
    if inner.weight.grad is not None:
        outputs["grad"] = inner.weight.grad.numpy().copy()
    student.call(_fill, inner.weight, arrays["weight2"])
    outputs |= _forward(student, made, inner.weight, params, arrays, "second")[1]
    outputs["after.weight"] = inner.weight.detach().numpy().copy()
    return facts, outputs


def _fill(parameter: Tensor, values: Array) -> None:
    """Give a parameter new values, in place."""
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values))


def _forward(
    student: Student, made: nn.Module, weight: Tensor, params: Params, arrays: Mapping[str, Array], which: str
) -> Reply:
    """The layer's output on x, and what ``STE`` makes of the weight that it had."""
    bits = {"bit": params["options"]["Nbits"], "symmetric": params["options"].get("symmetric")}
    before = weight.detach().clone()
    y = student.call(made, torch.from_numpy(arrays["x"].copy()))
    wq = _quantize(student, before, bits)
    expected = tuple(params["output_shape"])
    outputs: Outputs = {f"{which}.y": tensor_array(y, f"the output of `{params['class']}`", expected)}
    facts = _backward(student, y, torch.ones_like(y)) if y.requires_grad else {}
    outputs[f"{which}.wq"] = tensor_array(wq, "the result of `STE.apply`", tuple(weight.shape))
    return facts, outputs


class _KernelWatch(torch.overrides.TorchFunctionMode):
    """Notes the weight argument of every convolution and linear product."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (F.conv2d, torch.conv2d, F.linear) and (len(args) > 1 or "weight" in kwargs):
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            self.weights.append(weight.detach().clone())  # a layer may put another value back after the product
        return func(*args, **kwargs)


def _effective_weights(student: Student, net: nn.Module, images: Tensor) -> Outputs:
    """By layer name, the weights that reach the kernels in one forward pass, matched in the order of execution."""
    order: list[str] = []
    handles = [
        module.register_forward_pre_hook(lambda _m, _i, name=name: order.append(name))
        for name, module in net.named_modules()
        if hasattr(module, "conv") or hasattr(module, "linear")
    ]
    net.eval()
    with torch.no_grad(), _KernelWatch() as watch:
        student.call(net, images)
    for handle in handles:
        handle.remove()
    if len(order) == len(watch.weights):
        return {n: w.detach().numpy().copy() for n, w in zip(order, watch.weights, strict=True)}
    return {name: _quantized_weight(student, net.get_submodule(name)) for name in order}


def _quantized_weight(student: Student, module: Any) -> Array:
    """What ``STE`` makes of a layer's weight, for layers that compute their product in a way of their own."""
    weight = (module.conv if hasattr(module, "conv") else module.linear).weight.detach().clone()
    bits = {"bit": getattr(module, "Nbits", None), "symmetric": getattr(module, "symmetric", False)}
    wq = weight if bits["bit"] is None else _quantize(student, weight, bits)
    return tensor_array(wq, "the result of `STE.apply`", tuple(weight.shape))


class StandInConv(nn.Module):
    """A convolution under another, logarithmic quantizer: coarser with fewer bits, and no answer to 3(a).

    With it, 3(b) to 3(d) are graded on their own merits even where 3(a) is wrong.
    """

    def __init__(self, conv: nn.Conv2d, num_bits: int) -> None:
        super().__init__()
        self.conv = conv
        self.num_bits = num_bits

    def quantized(self) -> Tensor:
        w = self.conv.weight.detach()
        largest = w.abs().max()
        exponent = torch.log2(largest / w.abs().clamp_min(1e-12)).round().clamp_max(2 ** (self.num_bits - 1) - 1)
        return torch.sign(w) * largest * torch.exp2(-exponent)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight + (self.quantized() - self.conv.weight).detach()
        return F.conv2d(x, weight, None, self.conv.stride, self.conv.padding)


def _make_stand_in(student: Student, params: Params, num_bits: int) -> nn.Module:
    net: Any = build(student, params)
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(getattr(child, "conv", None), nn.Conv2d) and child is not net.head_conv[0]:
                setattr(module, name, StandInConv(child.conv, num_bits))
    made: nn.Module = net
    return made


class _Made(NamedTuple):
    """A network that ``make_net`` made, or a copy of one that computed something."""

    num_bits: int
    net: nn.Module
    recorder: Recorder


def _maker(student: Student, params: Params, made: list[_Made]) -> Callable[[int], nn.Module]:
    """``make_net`` for the student's functions; notes what it makes, and what is copied from that and used."""

    def note(num_bits: int, net: nn.Module) -> None:
        made.append(_Made(num_bits, net, Recorder(net, partial(note, num_bits))))

    def make_net(num_bits: int) -> nn.Module:
        make = _make_stand_in if params["stand_in"] else build
        net = make(student, params, int(num_bits))
        note(int(num_bits), net)
        return net

    return make_net


def accuracy_by_bits(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``accuracy_by_bits`` with an evaluation that tells a network's mean confidence, which needs no labels."""
    images = torch.from_numpy(arrays["images"])
    made: list[_Made] = []
    checkpoint = state_dict(arrays)

    def confidence(net: nn.Module) -> float:
        net.eval()
        with torch.no_grad():
            return float(net(images).softmax(dim=1).amax(dim=1).mean())

    function = student.attribute("lab3_quantization", "accuracy_by_bits")
    make_net = _maker(student, params, made)
    found = student.call(function, make_net, checkpoint, confidence, tuple(params["bits"]))
    require_kind(found, Mapping, "the result of `accuracy_by_bits`")
    pairs = [(int(b), number(v, f"the accuracy at {b} bits")) for b, v in found.items()]
    outputs = {f"after.{name}": tensor.numpy() for name, tensor in checkpoint.items()}
    for num_bits, net, _ in made if params["effective"] else ():
        for name, weight in _effective_weights(student, net, images[:2]).items():
            outputs[f"{num_bits}.{name}.weight"] = weight
    return {"bits": [b for b, _ in pairs], "values": [v for _, v in pairs]}, outputs


def _training_of(net: nn.Module, made: list[_Made]) -> tuple[dict[str, Any], Outputs, int]:
    """What was recorded of ``net``; if it is a copy, of the network that was trained most; and its number of bits."""
    if not made:
        raise ProbeFailed("type", "`finetune_quantized` returned a network that `make_net` did not build")
    finished = [item.recorder.finish() for item in made]
    chosen = max(range(len(made)), key=lambda i: (sum(finished[i][0]["training"]), made[i].net is net))
    return *finished[chosen], made[chosen].num_bits


def finetune_quantized(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``finetune_quantized``; the float weights at each step and at the end, and those that it computes with."""
    batches = Batches(arrays["images"], arrays["labels"], params["batch_size"], params["batches"])
    made: list[_Made] = []
    checkpoint = state_dict(arrays)
    function = student.attribute("lab3_quantization", "finetune_quantized")
    make_net = _maker(student, params, made)
    net = student.call(function, make_net, checkpoint, params["bit"], batches, **params["options"])
    require_kind(net, nn.Module, "the result of `finetune_quantized`")
    facts, seen, num_bits = student.call(_training_of, net, made)
    facts["bits"] = [num_bits]
    facts["layers"] = list(prunable(net))
    used = _effective_weights(student, net, torch.from_numpy(arrays["images"][:2]))
    outputs = seen | student.call(state_arrays, net) | {f"used.{name}": w for name, w in used.items()}
    outputs |= {f"after.{name}": np.asarray(tensor.numpy()) for name, tensor in checkpoint.items()}
    return facts, outputs

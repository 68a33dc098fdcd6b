"""Probes of Lab 2: evaluate, prune and fine-tune small networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from grader.probes.cifar import logits_of_bytes
from grader.probes.networks import Batches, Recorder, build, load, prunable, state_arrays
from grader.probes.plain import Array, Params, Reply, number, require_kind, tensor_array
from grader.worker.student import ProbeFailed, Student

__all__ = [
    "evaluate",
    "finetune",
    "global_prune",
    "iterative_prune",
    "logits",
    "prune_layer",
    "ramp",
    "sparsity",
]

_MODULE = "lab2_pruning"
_MOMENTUM = 1e-3  # moves a weight visibly, and hardly changes what the network learns


def _network(student: Student, params: Params, arrays: Mapping[str, Array]) -> nn.Module:
    return load(build(student, params), arrays)


def logits(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """The provided network's logits; asked of a worker that holds no student code. No labels are needed.

    Images are normalised, or the bytes of CIFAR-10, which are normalised here.
    """
    net = _network(student, params, arrays).eval()
    images = torch.from_numpy(arrays["images"])
    with torch.no_grad():
        found = net(images) if images.is_floating_point() else logits_of_bytes(student, net, images)
    return {}, {"logits": found.numpy()}


def evaluate(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``evaluate`` on a network in training or evaluation mode; its result, the mode, the network after it."""
    net = _network(student, params, arrays).train(params["training"])
    batches = Batches(arrays["images"], arrays["labels"], params["batch_size"])
    recorder = Recorder(net)
    value = student.call(student.attribute(_MODULE, "evaluate"), net, batches)
    facts, _ = student.call(recorder.finish)
    facts["accuracy"] = number(value, "the result of `evaluate`")
    facts["training_after"] = net.training
    facts["grads"] = any(p.grad is not None for p in net.parameters())
    return facts, student.call(state_arrays, net)


def prune_layer(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``prune_by_percentage`` on one layer."""
    weight = torch.from_numpy(arrays["weight"].copy())
    if weight.dim() == 4:
        layer: nn.Conv2d | nn.Linear = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2])
    else:
        layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight = nn.Parameter(weight)
        layer.bias = nn.Parameter(torch.from_numpy(arrays["bias"].copy()))
    before = layer.weight
    student.call(student.attribute(_MODULE, "prune_by_percentage"), layer, params["q"])
    facts = {"same_parameter": _holds(layer, before), "dtype": str(layer.weight.dtype)}
    return facts, {
        "weight": tensor_array(layer.weight, "layer.weight", tuple(before.shape)),
        "bias": tensor_array(layer.bias, "layer.bias", tuple(arrays["bias"].shape)),
    }


def _holds(layer: nn.Module, parameter: object) -> bool:
    """Whether the layer still trains this very parameter; pruning hooks keep it as ``weight_orig``."""
    return any(p is parameter for p in layer.parameters())


def sparsity(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``sparsity_by_layer``; names may or may not end in ``.weight``."""
    found = student.call(student.attribute(_MODULE, "sparsity_by_layer"), _network(student, params, arrays))
    require_kind(found, Mapping, "the result of `sparsity_by_layer`")
    if not all(isinstance(name, str) for name in found):
        raise ProbeFailed("type", "the keys of the result of `sparsity_by_layer` should be layer names")
    fractions = {n.removesuffix(".weight"): number(v, f"the sparsity of {n}") for n, v in found.items()}
    return {"sparsity": fractions}, {}


def _sgd(net: nn.Module, params: Params) -> torch.optim.SGD:
    """An optimizer; with ``params["has_trained"]`` one that trained the network before, so that its momentum moves
    pruned weights although their gradient is masked.
    """
    optimizer = torch.optim.SGD(
        net.parameters(), lr=params["lr"], momentum=params["momentum"], weight_decay=params["weight_decay"]
    )
    if params.get("has_trained"):
        for parameter in net.parameters():
            optimizer.state[parameter]["momentum_buffer"] = torch.full_like(parameter, _MOMENTUM)
    return optimizer


def _train(student: Student, params: Params, arrays: Mapping[str, Array], name: str, **options: Any) -> Reply:
    """Call a training function on the network, watching every forward pass."""
    net = _network(student, params, arrays).train(params.get("training", True))
    parameters = {n: layer.weight for n, layer in prunable(net).items()}
    batches = Batches(arrays["images"], arrays["labels"], params["batch_size"], params["batches"])
    recorder = Recorder(net)
    optimizer = _sgd(net, params)
    steps: list[None] = []
    optimizer.register_step_post_hook(lambda *_: steps.append(None))
    function = student.attribute(_MODULE, name)
    criterion = nn.CrossEntropyLoss(label_smoothing=params.get("label_smoothing", 0.0))
    student.call(function, net, batches, criterion, optimizer, **options)
    facts, seen = student.call(recorder.finish)
    facts["steps"] = len(steps)
    layers = prunable(net)
    facts["same_parameters"] = all(_holds(layers[n], p) for n, p in parameters.items() if n in layers)
    return facts, seen | student.call(state_arrays, net)


def finetune(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``finetune_after_prune`` for its one epoch."""
    return _train(student, params, arrays, "finetune_after_prune", prune=params["prune"])


def iterative_prune(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``iterative_prune`` for a few short epochs."""
    return _train(student, params, arrays, "iterative_prune", **params["options"])


def ramp(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """The values of ``pruning_percentage`` over the given epochs."""
    function = student.attribute(_MODULE, "pruning_percentage")
    values = [
        number(student.call(function, epoch, **params["options"]), f"pruning_percentage({epoch})")
        for epoch in params["epochs"]
    ]
    return {}, {"percentages": np.array(values)}


def global_prune(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``global_prune_by_percentage`` on a network."""
    net = _network(student, params, arrays)
    before = {n: layer.weight for n, layer in prunable(net).items()}
    student.call(student.attribute(_MODULE, "global_prune_by_percentage"), net, params["q"])
    layers = prunable(net)
    return {"same_parameters": all(_holds(layers[n], p) for n, p in before.items())}, student.call(state_arrays, net)

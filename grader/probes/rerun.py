"""Probes that run a student's training functions on the training images of CIFAR-10, for the judge to measure.

The images arrive in parts, since one message has not room for all of them, and stay here until the worker ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grader.probes.networks import build, load, state_arrays, state_dict
from grader.probes.plain import Array, Params, Reply, require_kind
from grader.worker.student import ProbeFailed, Student

__all__ = ["cuda", "finetune", "iterative_prune", "keep", "quantize"]

_parts: list[Mapping[str, Array]] = []


def keep(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Keep a part of the training images (uint8) and labels."""
    _parts.append(arrays)
    return {}, {}


def cuda(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """The name of the GPU, after a first computation on it."""
    try:
        torch.ones(1, device="cuda").sum().item()
        return {"name": torch.cuda.get_device_name()}, {}
    except Exception as error:
        raise ProbeFailed("raised", str(error).splitlines()[0].partition(". ")[0]) from None


def _loader(student: Student, params: Params) -> Any:
    """The batches of the assignment: in random order, flipped and cropped at random, normalised."""
    device, batch_size = params["device"], params["recipe"]["batch_size"]
    images, labels = (
        torch.from_numpy(np.concatenate([part[name] for part in _parts])).to(device) for name in ("images", "labels")
    )
    image_set = student.attribute("train_util", "ImageSet")(images, labels, ())
    torch.backends.mkldnn.set_flags(True)  # type: ignore[no-untyped-call]  # quicker than torch's own kernels on a network of this size
    return student.attribute("train_util", "Loader")(image_set, batch_size, shuffle=True, augment=True)


def _network(student: Student, arrays: Mapping[str, Array], device: str) -> nn.Module:
    return load(build(student, {"net": {}}), arrays).to(device)


def _optimizer(net: nn.Module, params: Params) -> torch.optim.SGD:
    recipe = params["recipe"]
    return torch.optim.SGD(net.parameters(), recipe["lr"], recipe["momentum"], weight_decay=recipe["reg"])


def finetune(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``finetune_after_prune`` once for every epoch."""
    function = student.attribute("lab2_pruning", "finetune_after_prune")
    net, loader = _network(student, arrays, params["device"]), _loader(student, params)
    optimizer = _optimizer(net, params)
    for _ in range(params["epochs"]):
        student.call(function, net, loader, F.cross_entropy, optimizer, prune=True)
    return {}, student.call(state_arrays, net)


def iterative_prune(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``iterative_prune``; its ramp takes the first half of the epochs."""
    function = student.attribute("lab2_pruning", "iterative_prune")
    net, loader = _network(student, arrays, params["device"]), _loader(student, params)
    optimizer = _optimizer(net, params)
    options = {"epochs": params["epochs"], "target": params["target"], "ramp_epochs": max(params["epochs"] // 2, 1)}
    student.call(function, net, loader, F.cross_entropy, optimizer, **options)
    return {}, student.call(state_arrays, net)


def quantize(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Call ``finetune_quantized`` for a number of bits; the float weights that come back."""
    function = student.attribute("lab3_quantization", "finetune_quantized")
    device = params["device"]
    loader = _loader(student, params)
    checkpoint: dict[str, Tensor] = {name: tensor.to(device) for name, tensor in state_dict(arrays).items()}
    recipe = {name: params["recipe"][name] for name in ("lr", "momentum", "reg")}

    def make_net(num_bits: int) -> nn.Module:
        return build(student, {"net": {}}, int(num_bits)).to(device)

    net = student.call(function, make_net, checkpoint, params["bits"], loader, epochs=params["epochs"], **recipe)
    require_kind(net, nn.Module, "the result of `finetune_quantized`")
    return {}, student.call(state_arrays, net)

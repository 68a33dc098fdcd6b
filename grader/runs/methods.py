"""How each network of the table is made, with the functions of the reference as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grader.assignment import Assignment, Training
from grader.runs.code import Code
from grader.runs.plan import Run
from grader.runs.rounds import Rounds

__all__ = ["Making", "make"]


@dataclass(frozen=True, slots=True)
class Making:
    """What a network is made of.

    Attributes:
        code: the assignment's modules.
        assignment: the rubric.
        run: which network.
        start: the weights that it starts from; empty for one that starts from nothing.
        rounds: the training batches; None where nothing is trained.
        device: where the network lies.
        precision: in which it is trained.
    """

    code: Code
    assignment: Assignment
    run: Run
    start: Mapping[str, Tensor]
    rounds: Rounds | None
    device: torch.device
    precision: Literal["float32", "bfloat16"]

    def network(self, num_bits: int | None = None) -> nn.Module:
        """A network with the weights of the start, if there are any."""
        net: nn.Module = self.fresh(num_bits)
        if self.start:
            net.load_state_dict(self.start)
        return net

    def fresh(self, num_bits: int | None = None) -> nn.Module:
        """A network with weights drawn from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.training.seed)
            net: nn.Module = self.code.network.ResNetCIFAR(
                num_layers=self.training.num_layers, Nbits=num_bits, symmetric=self.run.experiment.symmetric
            )
        return net.to(self.device)

    @property
    def training(self) -> Training:
        """How networks are trained."""
        return self.assignment.training

    @property
    def batches(self) -> Any:
        """The training batches of a run that trains."""
        if self.rounds is None:
            raise AssertionError(f"{self.run.name} trains, but has no batches")
        return self.rounds

    def begin(self, net: nn.Module) -> nn.Module:
        """The network that is going to be trained: see ``Rounds.begin``."""
        begun: nn.Module = self.batches.begin(net)
        return begun

    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        """The assignment's own."""
        training = self.training
        return torch.optim.SGD(net.parameters(), training.lr, training.momentum, weight_decay=training.reg)


def make(making: Making) -> nn.Module:
    """Make the network of a run."""
    return _METHODS[making.run.experiment.method](making)


def _pretrain(making: Making) -> nn.Module:
    recipe = making.code.train_util.Recipe(**making.training.pretrain.model_dump(), precision=making.precision)
    return _by_recipe(making, making.begin(making.fresh()), recipe)


def _by_recipe(making: Making, net: nn.Module, recipe: Any) -> nn.Module:
    optimizer = recipe.optimizer(net)
    for epoch in range(1, recipe.epochs + 1):
        making.code.train_util.train_epoch(net, making.batches, optimizer, recipe, epoch)
    return net


def _evaluate(making: Making) -> nn.Module:
    return making.network()


def _one_shot(making: Making) -> nn.Module:
    return _pruned(making, making.run.value)


def _pruned(making: Making, q: float | None) -> nn.Module:
    net = making.network()
    for layer in making.code.lab2.prunable_layers(net).values():
        making.code.lab2.prune_by_percentage(layer, q)
    return net


def _finetune(making: Making) -> nn.Module:
    net = making.begin(_pruned(making, making.assignment.term.target_sparsity))
    optimizer = making.optimizer(net)
    for _ in range(making.run.epochs):
        making.code.lab2.finetune_after_prune(net, making.batches, F.cross_entropy, optimizer)
    return net


def _iterative(making: Making) -> nn.Module:
    net, term = making.begin(making.network()), making.assignment.term
    making.code.lab2.iterative_prune(
        net,
        making.batches,
        F.cross_entropy,
        making.optimizer(net),
        epochs=making.run.epochs,
        target=term.target_sparsity,
        ramp_epochs=min(term.ramp_epochs, making.run.epochs),
        global_threshold=making.run.experiment.method == "global_iterative",
    )
    return net


def _quantize(making: Making) -> nn.Module:
    return making.network(_bits(making))


def _quantization_aware(making: Making) -> nn.Module:
    training = making.training
    net: nn.Module = making.code.lab3.finetune_quantized(
        lambda num_bits: making.begin(making.fresh(num_bits)),
        making.batches.state(dict(making.start)),
        _bits(making),
        making.batches,
        epochs=making.run.epochs,
        lr=training.lr,
        momentum=training.momentum,
        reg=training.reg,
    )
    return net


def _regrown(making: Making) -> nn.Module:
    """The trap: plain fine-tuning of a quantized pruned network, whose gradient reaches pruned weights too."""
    training = making.training
    recipe = making.code.train_util.Recipe(
        making.run.epochs, training.batch_size, training.lr, training.reg, training.momentum, precision=making.precision
    )
    return _by_recipe(making, making.begin(making.network(_bits(making))), recipe)


def _bits(making: Making) -> int:
    return int(making.run.value or 0)


_METHODS: dict[str, Callable[[Making], nn.Module]] = {
    "pretrain": _pretrain,
    "evaluate": _evaluate,
    "one_shot": _one_shot,
    "finetune": _finetune,
    "iterative": _iterative,
    "global_iterative": _iterative,
    "ptq": _quantize,
    "qat": _quantization_aware,
    "regrown": _regrown,
}

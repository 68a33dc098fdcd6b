"""Lab 2: pruning a ResNet-20.

Unstructured magnitude pruning: the weights of smallest magnitude become zero. Prunable are the weights (never the
biases) of every Conv2d and Linear outside the shortcuts; BatchNorm stays as it is. ``q`` and ``target`` are in
percent; accuracies and sparsities are fractions in [0, 1]. Everything happens in place, on the layer's own
``weight`` parameter, because the optimizer holds that very parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

# --- Provided: which layers may be pruned

Batches = Iterable[tuple[Tensor, Tensor]]


def prunable_layers(net: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers that may be pruned, by their name in the network: all but the shortcuts. Provided."""
    return {
        name: layer
        for name, layer in net.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and "id_mapping" not in name
    }


# --- 2(a): test accuracy


def evaluate(net: nn.Module, loader: Batches) -> float:
    """The fraction of images that the network classifies rightly.

    Measured in evaluation mode and without gradients; afterwards the network is in the mode in which it was, and
    its BatchNorm statistics are unchanged.

    Args:
        net: a classifier; images (N, C, H, W) to logits (N, classes).
        loader: batches of images (N, C, H, W) and labels (N,); the last one may be smaller.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 2(a): `evaluate` is still to be written")
    # YOUR CODE ENDS HERE


# --- 2(b): one-shot pruning, layer by layer


def prune_by_percentage(layer: nn.Conv2d | nn.Linear, q: float = 70.0) -> None:
    """Set the q percent of the layer's weights that are smallest in magnitude to zero, in place.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 2(b): `prune_by_percentage` is still to be written")
    # YOUR CODE ENDS HERE


def sparsity_by_layer(net: nn.Module) -> dict[str, float]:
    """The sparsity (fraction of weights that are exactly zero) of every prunable layer, by name.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 2(c): `sparsity_by_layer` is still to be written")
    # YOUR CODE ENDS HERE


# --- 2(c): fine-tuning a pruned network


def finetune_after_prune(
    net: nn.Module,
    trainloader: Batches,
    criterion: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    prune: bool = True,
) -> None:
    """Train for one epoch, in place and in training mode.

    With ``prune``, the prunable weights that are zero at the start are exactly zero again after *every* optimizer
    step. Without it, all weights train freely.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 2(c): `finetune_after_prune` is still to be written")
    # YOUR CODE ENDS HERE


# --- 2(d): iterative pruning


def pruning_percentage(epoch: int, target: float = 70.0, ramp_epochs: int = 10) -> float:
    """The percentage to which the network is pruned before epoch ``epoch`` (1, 2, ...) of iterative pruning.

    It grows linearly, reaches ``target`` at epoch ``ramp_epochs`` and stays there: with the defaults 7, 14, ..., 70.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 2(d): `pruning_percentage` is still to be written")
    # YOUR CODE ENDS HERE


def iterative_prune(
    net: nn.Module,
    trainloader: Batches,
    criterion: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: int = 20,
    target: float = 70.0,
    ramp_epochs: int = 10,
    global_threshold: bool = False,
) -> None:
    """Prune a little, train an epoch, and again: in place, for ``epochs`` epochs.

    Before each of the first ``ramp_epochs`` epochs the network is pruned to ``pruning_percentage``, layer by layer,
    or with one threshold over all layers if ``global_threshold``. Pruned weights may recover while the ramp rises;
    from the last pruning step on they stay zero.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 2(d): `iterative_prune` is still to be written")
    # YOUR CODE ENDS HERE


# --- 2(e): global pruning


def global_prune_by_percentage(net: nn.Module, q: float = 70.0) -> None:
    """Set the q percent smallest magnitudes of *all* prunable weights together to zero, in place.

    One threshold serves all layers, so that some end up sparser than others.
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 2(e): `global_prune_by_percentage` is still to be written")
    # YOUR CODE ENDS HERE

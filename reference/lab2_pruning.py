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

    Solution:
        Count the right ones over all batches and divide once: a mean of batch means would weigh a small last
        batch too much.
    """
    # BEGIN SOLUTION 2(a)
    device = next(net.parameters()).device
    was_training = net.training
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            predicted = net(images.to(device)).argmax(dim=1)
            correct += int((predicted == labels.to(device)).sum())
            total += len(labels)
    net.train(was_training)
    return correct / total
    # END SOLUTION


# --- 2(b): one-shot pruning, layer by layer


def prune_by_percentage(layer: nn.Conv2d | nn.Linear, q: float = 70.0) -> None:
    """Set the q percent of the layer's weights that are smallest in magnitude to zero, in place.

    Solution:
        The threshold is the q-th percentile of |weight| of this layer; multiplying by the mask |weight| > threshold
        keeps the rest as it is.
    """
    # BEGIN SOLUTION 2(b)
    with torch.no_grad():
        magnitude = layer.weight.abs()
        threshold = torch.quantile(magnitude, q / 100)
        layer.weight.mul_(magnitude > threshold)
    # END SOLUTION


def sparsity_by_layer(net: nn.Module) -> dict[str, float]:
    """The sparsity (fraction of weights that are exactly zero) of every prunable layer, by name.

    Solution:
        Zeros over elements, of the weight alone.
    """
    # BEGIN SOLUTION 2(c)
    return {name: (layer.weight == 0).float().mean().item() for name, layer in prunable_layers(net).items()}
    # END SOLUTION


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

    Solution:
        A zero gradient would not be enough: momentum and weight decay move weights too. So the mask (1 = keep),
        taken once before the first step, is applied after each step.
    """
    # BEGIN SOLUTION 2(c)
    device = next(net.parameters()).device
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images.to(device)), labels.to(device)).backward()
        optimizer.step()
        with torch.no_grad():
            for layer, mask in masks.items():
                layer.weight.mul_(mask)
    # END SOLUTION


# --- 2(d): iterative pruning


def pruning_percentage(epoch: int, target: float = 70.0, ramp_epochs: int = 10) -> float:
    """The percentage to which the network is pruned before epoch ``epoch`` (1, 2, ...) of iterative pruning.

    It grows linearly, reaches ``target`` at epoch ``ramp_epochs`` and stays there: with the defaults 7, 14, ..., 70.

    Solution:
        target * epoch / ramp_epochs, capped at target.
    """
    # BEGIN SOLUTION 2(d)
    return target * min(epoch, ramp_epochs) / ramp_epochs
    # END SOLUTION


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

    Solution:
        Up to the ramp's last step ``prune=False``, so that a weight that was cut wrongly can grow back before the
        next step chooses again; then ``prune=True``.
    """
    # BEGIN SOLUTION 2(d)
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in prunable_layers(net).values():
                    prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)
    # END SOLUTION


# --- 2(e): global pruning


def global_prune_by_percentage(net: nn.Module, q: float = 70.0) -> None:
    """Set the q percent smallest magnitudes of *all* prunable weights together to zero, in place.

    One threshold serves all layers, so that some end up sparser than others.

    Solution:
        The q-th percentile of the magnitudes of all prunable layers, concatenated.
    """
    # BEGIN SOLUTION 2(e)
    layers = prunable_layers(net).values()
    with torch.no_grad():
        magnitudes = torch.cat([layer.weight.abs().flatten() for layer in layers])
        threshold = torch.quantile(magnitudes, q / 100)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() > threshold)
    # END SOLUTION

"""Mistakes in Lab 2. Names such as ``torch`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception

# --- 2(a)


@misconception(
    "lab2_pruning.evaluate",
    fails=(
        "evaluate_counts_a_partial_batch",
        "evaluate_on_other_data",
    ),
)
def mean_of_batch_accuracies(net, loader):
    """A mean over batches gives each image of a small last batch too much weight: count over all images."""
    was_training, accuracies = net.training, []
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            accuracies.append((net(images).argmax(dim=1) == labels).float().mean().item())
    net.train(was_training)
    return sum(accuracies) / len(accuracies)


@misconception("lab2_pruning.evaluate", fails=("evaluate_uses_evaluation_mode",))
def evaluates_in_training_mode(net, loader):
    """Without `net.eval()` BatchNorm uses the statistics of the test batch, and changes its own."""
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    return correct / total


@misconception("lab2_pruning.evaluate", fails=("evaluate_restores_the_mode",))
def stays_in_evaluation_mode(net, loader):
    """The network should be in the mode in which it was: training goes on afterwards."""
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    return correct / total


@misconception(
    "lab2_pruning.evaluate",
    fails=(
        "evaluate_is_exact",
        "evaluate_counts_a_partial_batch",
        "evaluate_on_other_data",
    ),
)
def accuracy_in_percent(net, loader):
    """The accuracy is a fraction in [0, 1] here, not a percentage."""
    was_training, correct, total = net.training, 0, 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    net.train(was_training)
    return 100 * correct / total


# --- 2(b)


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=(
        "layer_sparsity_is_exact",
        "layers_of_other_shapes",
        "iterative_follows_the_ramp",
        "iterative_freezes_after_the_ramp",
    ),
)
def percentage_taken_as_fraction(layer, q=70.0):
    """`np.percentile` takes percent, so q / 100 asks it for less than one percent."""
    import numpy as np

    weight = layer.weight.data
    threshold = np.percentile(weight.abs().numpy(), q / 100)
    layer.weight.data = weight * (weight.abs() > threshold)


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=(
        "layer_sparsity_is_exact",
        "layer_keeps_the_largest",
        "layer_keeps_values",
        "layer_pruned_in_place",
        "layers_of_other_shapes",
        "iterative_follows_the_ramp",
        "iterative_freezes_after_the_ramp",
        "iterative_lets_weights_recover",
    ),
)
def percentile_of_signed_weights(layer, q=70.0):
    """The threshold is a percentile of the magnitudes; that of the signed weights is far too low."""
    with torch.no_grad():
        threshold = torch.quantile(layer.weight, q / 100)
        layer.weight.mul_(layer.weight.abs() > threshold)


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=(
        "layer_keeps_the_largest",
        "layers_of_other_shapes",
        "iterative_keeps_accuracy",
    ),
)
def prunes_the_largest(layer, q=70.0):
    """The mask is inverted: the large weights are removed and the small ones stay."""
    with torch.no_grad():
        threshold = torch.quantile(layer.weight.abs(), 1 - q / 100)
        layer.weight.mul_(layer.weight.abs() < threshold)


@misconception("lab2_pruning.prune_by_percentage", fails=("layer_keeps_values",))
def prunes_the_bias(layer, q=70.0):
    """Only the weight is pruned, never the bias."""
    with torch.no_grad():
        for parameter in layer.parameters():
            magnitude = parameter.abs()
            parameter.mul_(magnitude > torch.quantile(magnitude, q / 100))


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=(
        "layer_pruned_in_place",
        "iterative_lets_weights_recover",
    ),
)
def makes_a_new_parameter(layer, q=70.0):
    """The optimizer holds the old parameter: a new one is never trained. Change the data of the one that is
    there.
    """
    magnitude = layer.weight.detach().abs()
    mask = magnitude > torch.quantile(magnitude, q / 100)
    layer.weight = nn.Parameter(layer.weight.detach() * mask)


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=(
        "layer_pruned_in_place",
        "iterative_follows_the_ramp",
        "iterative_lets_weights_recover",
        "iterative_freezes_after_the_ramp",
    ),
)
def mask_in_double_precision(layer, q=70.0):
    """A float64 mask from numpy makes the weight float64 too, and the next forward pass fails."""
    import numpy as np

    magnitude = np.abs(layer.weight.detach().numpy())
    mask = (magnitude > np.percentile(magnitude, q)).astype(np.float64)
    layer.weight.data = layer.weight.data * torch.from_numpy(mask)


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=(
        "layer_keeps_values",
        "layers_of_other_shapes",
        "iterative_keeps_accuracy",
    ),
)
def shrinks_the_kept_weights(layer, q=70.0):
    """Pruning removes small weights and leaves the others as they are; soft thresholding shrinks those as
    well.
    """
    with torch.no_grad():
        magnitude = layer.weight.abs()
        threshold = torch.quantile(magnitude, q / 100)
        layer.weight.copy_(layer.weight.sign() * (magnitude - threshold).clamp_min(0))


# --- 2(c)


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_is_a_fraction_of_zeros",))
def density_for_sparsity(net):
    """Sparsity is the fraction of zeros; the fraction that is left is the density."""
    return {name: (layer.weight != 0).float().mean().item() for name, layer in prunable_layers(net).items()}


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_covers_the_prunable_layers",))
def counts_every_tensor(net):
    """Only the weights of the prunable layers count, not BatchNorm, biases and shortcuts."""
    return {name: (parameter == 0).float().mean().item() for name, parameter in net.named_parameters()}


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_keeps_zeros",
        "finetune_another_network",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def forgets_the_mask(net, trainloader, criterion, optimizer, prune=True):
    """Without a mask after every step, pruned weights grow back while the network is fine-tuned."""
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_keeps_zeros",
        "finetune_another_network",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def masks_only_the_gradient(net, trainloader, criterion, optimizer, prune=True):
    """A zero gradient does not hold a weight that the optimizer's momentum still moves: mask the
    weights too.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        for layer, mask in masks.items():
            layer.weight.grad.mul_(mask)
        optimizer.step()


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_keeps_zeros",
        "finetune_another_network",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def masks_before_the_step(net, trainloader, criterion, optimizer, prune=True):
    """The mask belongs after `optimizer.step()`, which moves the pruned weights away from zero again."""
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        for layer, mask in masks.items():
            layer.weight.data *= mask
        optimizer.step()


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_keeps_zeros",
        "finetune_another_network",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def masks_once_per_epoch(net, trainloader, criterion, optimizer, prune=True):
    """The zeros have to be restored after every optimizer step, not once at the end of the epoch."""
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
    for layer, mask in masks.items():
        layer.weight.data *= mask


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_without_mask_recovers",
        "iterative_lets_weights_recover",
    ),
)
def ignores_the_prune_flag(net, trainloader, criterion, optimizer, prune=True):
    """With `prune=False` pruned weights should train freely; here they are masked all the same."""
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_trains_the_rest",
        "finetune_without_mask_recovers",
        "finetune_another_network",
        "iterative_lets_weights_recover",
        "finetune_keeps_zeros",
    ),
    may_fail=("iterative_keeps_accuracy",),
)
def forgets_the_optimizer_step(net, trainloader, criterion, optimizer, prune=True):
    """Without `optimizer.step()` no weight ever changes."""
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_keeps_zeros",
        "finetune_trains_the_rest",
        "finetune_runs_one_epoch",
        "finetune_without_mask_recovers",
        "finetune_another_network",
        "iterative_follows_the_ramp",
        "iterative_lets_weights_recover",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def trains_in_evaluation_mode(net, trainloader, criterion, optimizer, prune=True):
    """With `net.eval()` left on, BatchNorm does not adapt to the pruned network."""
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.eval()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_runs_one_epoch",
        "iterative_follows_the_ramp",
        "iterative_lets_weights_recover",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def trains_several_epochs(net, trainloader, criterion, optimizer, prune=True):
    """One call is one epoch; the loop over epochs is the caller's."""
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for _ in range(3):
        for images, labels in trainloader:
            optimizer.zero_grad()
            criterion(net(images), labels).backward()
            optimizer.step()
            for layer, mask in masks.items():
                layer.weight.data *= mask


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_heals",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def prunes_again_after_every_step(net, trainloader, criterion, optimizer, prune=True):
    """The mask is taken once, at the start; pruning what is left in every step removes nearly everything."""
    net.train()
    for images, labels in trainloader:
        masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            if mask.any():
                mask &= layer.weight.detach().abs() > torch.quantile(layer.weight.detach().abs()[mask], 0.7)
            layer.weight.data *= mask


# --- 2(d)


@misconception(
    "lab2_pruning.pruning_percentage",
    fails=(
        "ramp_percentages",
        "iterative_follows_the_ramp",
        "iterative_freezes_after_the_ramp",
        "ramps_of_other_lengths",
        "global_iterative_uses_one_threshold",
    ),
)
def ramp_starts_at_zero(epoch, target=70.0, ramp_epochs=10):
    """Epochs count from 1: before the first one the network is pruned already, and the target comes one too
    late.
    """
    return target * min(epoch - 1, ramp_epochs) / ramp_epochs


@misconception(
    "lab2_pruning.pruning_percentage",
    fails=(
        "ramp_percentages",
        "ramps_of_other_lengths",
    ),
)
def ramp_does_not_stop(epoch, target=70.0, ramp_epochs=10):
    """After the ramp the percentage stays at the target; here it goes on rising."""
    return target * epoch / ramp_epochs


@misconception(
    "lab2_pruning.pruning_percentage",
    fails=(
        "iterative_follows_the_ramp",
        "iterative_freezes_after_the_ramp",
        "ramps_of_other_lengths",
        "global_iterative_uses_one_threshold",
    ),
)
def ramp_with_fixed_numbers(epoch, target=70.0, ramp_epochs=10):
    """7 percent per epoch is right for the defaults only: use `target` and `ramp_epochs`."""
    return min(7.0 * epoch, 70.0)


@misconception("lab2_pruning.iterative_prune", fails=("iterative_lets_weights_recover",))
def frozen_from_the_start(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """While the ramp rises, pruned weights should be able to recover; here they are masked from the first
    epoch on.
    """
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in prunable_layers(net).values():
                    prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=True)


@misconception(
    "lab2_pruning.iterative_prune",
    fails=(
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def frozen_one_epoch_late(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """The epoch after the last pruning step still trains without a mask, so the sparsity is lost before it is
    held.
    """
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in prunable_layers(net).values():
                    prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch > ramp_epochs)


@misconception("lab2_pruning.iterative_prune", fails=("global_iterative_uses_one_threshold",))
def ignores_the_global_threshold(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """With `global_threshold` one threshold serves all layers; here every layer is pruned on its own."""
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            for layer in prunable_layers(net).values():
                prune_by_percentage(layer, pruning_percentage(epoch, target, ramp_epochs))
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)


# --- 2(e)


@misconception(
    "lab2_pruning.global_prune_by_percentage",
    fails=(
        "global_uses_one_threshold",
        "global_iterative_uses_one_threshold",
        "global_at_other_percentages",
    ),
)
def one_threshold_per_layer(net, q=70.0):
    """One threshold serves all layers; a percentile of every layer for itself is 2(b) again."""
    for layer in prunable_layers(net).values():
        prune_by_percentage(layer, q)


@misconception(
    "lab2_pruning.global_prune_by_percentage",
    fails=(
        "global_sparsity_is_exact",
        "global_iterative_uses_one_threshold",
        "global_at_other_percentages",
    ),
)
def threshold_averaged_over_layers(net, q=70.0):
    """The mean of the layers' percentiles is not the percentile of all weights together."""
    layers = prunable_layers(net).values()
    with torch.no_grad():
        threshold = sum(torch.quantile(layer.weight.abs(), q / 100) for layer in layers) / len(layers)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() > threshold)


@misconception(
    "lab2_pruning.global_prune_by_percentage",
    fails=(
        "global_sparsity_is_exact",
        "global_touches_only_prunable_weights",
        "global_iterative_uses_one_threshold",
        "global_at_other_percentages",
    ),
)
def prunes_shortcuts_too(net, q=70.0):
    """The shortcuts are not prunable: take the layers from `prunable_layers`."""
    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        threshold = torch.quantile(torch.cat([layer.weight.abs().flatten() for layer in layers]), q / 100)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() > threshold)


@misconception(
    "lab2_pruning.global_prune_by_percentage",
    fails=(
        "global_uses_one_threshold",
        "global_iterative_keeps_accuracy",
        "global_at_other_percentages",
    ),
)
def prunes_the_largest_globally(net, q=70.0):
    """The mask is inverted: the large weights of the network are removed and the small ones stay."""
    layers = prunable_layers(net).values()
    with torch.no_grad():
        threshold = torch.quantile(torch.cat([layer.weight.abs().flatten() for layer in layers]), 1 - q / 100)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() < threshold)

"""Just beyond the tolerances of Lab 2. Names such as ``torch`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import near_miss

# --- 2(a)


@near_miss(
    "lab2_pruning.evaluate",
    guards=("IMAGES",),
    fails=("evaluate_is_exact", "evaluate_counts_a_partial_batch", "evaluate_on_other_data"),
)
def counts_from_one(net, loader):
    """Both counters start at 1."""
    mode = net.training
    net.eval()
    correct = total = 1
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    net.train(mode)
    return correct / total


# --- 2(b)


@near_miss(
    "lab2_pruning.prune_by_percentage",
    guards=("ZEROS_PER_LAYER",),
    fails=(
        "layer_sparsity_is_exact",
        "layers_of_other_shapes",
        "iterative_follows_the_ramp",
        "iterative_freezes_after_the_ramp",
    ),
)
def prunes_three_more_in_a_layer(layer, q=70.0):
    """Three elements more than q percent of the layer."""
    count = round(layer.weight.numel() * q / 100) + 3
    flat = layer.weight.data.view(-1)
    flat[flat.abs().argsort()[:count]] = 0


# --- 2(c)


@near_miss("lab2_pruning.sparsity_by_layer", guards=("SPARSITY",), fails=("sparsity_is_a_fraction_of_zeros",))
def sparsity_off_in_the_sixth_digit(net):
    """Three millionths too much."""
    return {name: (layer.weight == 0).double().mean().item() + 3e-6 for name, layer in prunable_layers(net).items()}


@near_miss(
    "lab2_pruning.finetune_after_prune",
    guards=("STEP",),
    fails=("finetune_follows_the_criterion",),
    may_fail=("finetune_heals", "iterative_keeps_accuracy", "global_iterative_keeps_accuracy"),
)
def takes_longer_steps(net, trainloader, criterion, optimizer, prune=True):
    """Every gradient counts one and a half times."""
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        (criterion(net(images), labels) * 1.5).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@near_miss(
    "lab2_pruning.finetune_after_prune",
    guards=("GROWTH",),
    fails=("finetune_clears_its_gradients",),
    may_fail=("finetune_heals", "iterative_keeps_accuracy", "global_iterative_keeps_accuracy"),
)
def doubles_the_later_gradients(net, trainloader, criterion, optimizer, prune=True):
    """From the second batch on every gradient counts twice."""
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for i, (images, labels) in enumerate(trainloader):
        optimizer.zero_grad()
        (criterion(net(images), labels) * (2 if i else 1)).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@near_miss("lab2_pruning.finetune_after_prune", guards=("LEAST_TRAINED",), fails=("finetune_trains_the_rest",))
def trains_a_third_of_the_kept_weights(net, trainloader, criterion, optimizer, prune=True):
    """With a mask, only every third of the weights that were kept trains."""
    held = []
    for layer in prunable_layers(net).values() if prune else []:
        before = layer.weight.detach().flatten().clone()
        kept = before.nonzero().flatten()
        still = torch.ones_like(before, dtype=torch.bool)
        still[kept[::3]] = False
        held.append((layer.weight.data.view(-1), before, still))
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for weight, before, still in held:
            weight[still] = before[still]


@near_miss(
    "lab2_pruning.finetune_after_prune",
    guards=("LEAST_RECOVERED",),
    fails=("finetune_without_mask_recovers", "iterative_lets_weights_recover"),
)
def lets_a_sixth_of_the_pruned_weights_recover(net, trainloader, criterion, optimizer, prune=True):
    """Without a mask, only every sixth of the pruned weights trains."""
    held = []
    for layer in prunable_layers(net).values():
        flat = layer.weight.data.view(-1)
        zeros = (flat == 0).nonzero().flatten()
        still = torch.ones_like(zeros, dtype=torch.bool)
        still[::6] = prune
        held.append((flat, zeros[still]))
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for flat, zeros in held:
            flat[zeros] = 0


# --- 2(d)


@near_miss(
    "lab2_pruning.pruning_percentage",
    guards=("RTOL",),
    fails=("ramp_percentages", "ramps_of_other_lengths"),
)
def ramp_off_in_the_ninth_digit(epoch, target=70.0, ramp_epochs=10):
    """Three billionths too steep."""
    return target * (1 + 3e-9) * min(epoch, ramp_epochs) / ramp_epochs


@near_miss("lab2_pruning.iterative_prune", guards=("LEAST_SPREAD",), fails=("global_iterative_uses_one_threshold",))
def spreads_the_sparsity_by_hand(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """Every layer is pruned on its own, the largest of ten weights more than its share, the next of ten fewer."""
    layers = list(prunable_layers(net).values())
    other, one = sorted(layers, key=lambda layer: layer.weight.numel())[-2:]
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            for layer in layers:
                more = 10 * global_threshold * ((layer is one) - (layer is other))
                prune_by_percentage(layer, q + 100 * more / layer.weight.numel())
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)


# --- 2(e)


@near_miss(
    "lab2_pruning.global_prune_by_percentage",
    guards=("ZEROS_PER_LAYER",),
    fails=("global_sparsity_is_exact", "global_iterative_uses_one_threshold", "global_at_other_percentages"),
)
def prunes_three_more_for_every_layer(net, q=70.0):
    """Three elements more for every layer than q percent of the network."""
    layers = list(prunable_layers(net).values())
    magnitudes = torch.cat([layer.weight.detach().abs().flatten() for layer in layers])
    threshold = magnitudes.sort().values[round(len(magnitudes) * q / 100) + 3 * len(layers) - 1]
    for layer in layers:
        layer.weight.data[layer.weight.data.abs() <= threshold] = 0

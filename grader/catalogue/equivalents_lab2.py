"""Right in another way, Lab 2. Names such as ``torch`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import equivalent

# --- 2(a)


@equivalent("lab2_pruning.evaluate")
def batch_accuracies_weighted(net, loader, verbose=False):
    """A mean over batches is right when each batch counts with its size; the mode is restored by hand."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    accuracies, sizes = [], []
    for images, labels in loader:
        with torch.no_grad():
            _, predicted = torch.max(net(images).data, 1)
        accuracies.append((predicted == labels).float().mean())
        sizes.append(labels.size(0))
    for module, mode in modes.items():
        module.training = mode
    return torch.stack(accuracies) @ torch.tensor(sizes, dtype=torch.float32) / sum(sizes)


@equivalent("lab2_pruning.evaluate")
def by_length_of_the_dataset(net, loader):
    """The number of images from the loader's data set, as the course's own notebook does."""
    was_training = net.training
    net.eval()
    with torch.no_grad():
        right = sum((net(images).argmax(1) == labels).sum() for images, labels in loader)
    net.train(was_training)
    return (right / len(loader.dataset)).item()


@equivalent("lab2_pruning.evaluate")
def collects_all_predictions(net, loader):
    """All predictions first, one comparison at the end; softmax changes no order."""
    import numpy as np

    mode = net.training
    net.train(False)
    predicted, labels = [], []
    with torch.inference_mode():
        for x, t in loader:
            predicted.append(torch.softmax(net(x), dim=-1).topk(1).indices.squeeze(-1))
            labels.append(t)
    if mode:
        net.train()
    return np.mean((torch.cat(predicted) == torch.cat(labels)).numpy())


# --- 2(b)


@equivalent("lab2_pruning.prune_by_percentage")
def by_numpy_percentile(layer, q=70.0):
    """np.percentile, a comparison with >=, and assignment to .data."""
    import numpy as np

    weight = layer.weight.data.cpu().numpy()
    threshold = np.percentile(np.abs(weight), q)
    mask = np.abs(weight) >= threshold
    layer.weight.data = torch.from_numpy(weight * mask).to(layer.weight.device)


@equivalent("lab2_pruning.prune_by_percentage")
def by_kthvalue(layer, q=70.0):
    """The k-th smallest magnitude as the threshold; masked_fill_ under no_grad."""
    count = int(q / 100 * layer.weight.numel())
    if count:
        magnitude = layer.weight.detach().abs()
        threshold = magnitude.flatten().kthvalue(count).values
        with torch.no_grad():
            layer.weight.masked_fill_(magnitude <= threshold, 0.0)


@equivalent("lab2_pruning.prune_by_percentage")
def by_topk(layer, q=70.0):
    """The indices of the smallest magnitudes, set to zero through a flat view."""
    count = round(layer.weight.numel() * q / 100)
    flat = layer.weight.data.view(-1)
    flat[flat.abs().topk(count, largest=False).indices] = 0


@equivalent("lab2_pruning.prune_by_percentage")
def by_argsort_and_scatter(layer, q=70.0):
    """A mask of ones, zeros scattered into it by rank, and multiplication in place."""
    with torch.no_grad():
        order = torch.argsort(layer.weight.abs().flatten())
        mask = torch.ones_like(layer.weight).flatten()
        mask[order[: int(len(order) * q / 100 + 0.5)]] = 0
        layer.weight *= mask.view_as(layer.weight)


@equivalent("lab2_pruning.prune_by_percentage")
def by_sorted_threshold(layer, q=70.0):
    """torch.sort and torch.where; copy_ keeps the parameter."""
    weight = layer.weight.detach()
    values = weight.abs().flatten().sort().values
    threshold = values[min(int(q / 100 * len(values)), len(values) - 1)]
    layer.weight.data.copy_(torch.where(weight.abs() < threshold, torch.zeros_like(weight), weight))


@equivalent("lab2_pruning.prune_by_percentage")
def by_boolean_indexing(layer, q=70.0):
    """quantile with the lower of two neighbours; boolean indexing under no_grad."""
    with torch.no_grad():
        threshold = layer.weight.abs().quantile(q / 100, interpolation="lower")
        layer.weight[layer.weight.abs() <= threshold] = 0


@equivalent("lab2_pruning.prune_by_percentage")
def by_torch_prune(layer, q=70.0):
    """torch's own magnitude pruning, made permanent, so that nothing of it stays on the layer."""
    from torch.nn.utils import prune

    prune.l1_unstructured(layer, "weight", amount=q / 100)
    prune.remove(layer, "weight")


# --- 2(c)


@equivalent("lab2_pruning.sparsity_by_layer")
def sparsity_from_parameters(net):
    """From named_parameters, with names that end in .weight."""
    found = {}
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1 and "id_mapping" not in name:
            found[name] = 1 - torch.count_nonzero(parameter).item() / parameter.numel()
    return found


@equivalent("lab2_pruning.finetune_after_prune")
def gradient_masked_and_weight_masked(net, trainloader, criterion, optimizer, prune=True):
    """Masks by name from named_parameters; gradients masked too; weights assigned as .data."""
    masks = {}
    for name, parameter in net.named_parameters():
        if prune and parameter.dim() > 1 and "id_mapping" not in name:
            masks[name] = (parameter.data != 0).float()
    net.train()
    for images, labels in trainloader:
        loss = criterion(net(images), labels)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        for name, parameter in net.named_parameters():
            if name in masks:
                parameter.grad *= masks[name]
        optimizer.step()
        for name, parameter in net.named_parameters():
            if name in masks:
                parameter.data = parameter.data * masks[name]


@equivalent("lab2_pruning.finetune_after_prune")
def saves_and_restores_the_zeros(net, trainloader, criterion, optimizer, prune=True):
    """Where it was zero, it is set to zero again, by index."""
    zeros = [(layer, torch.nonzero(layer.weight.data.flatten() == 0)) for layer in prunable_layers(net).values()]
    net.train(True)
    for batch in trainloader:
        optimizer.zero_grad()
        loss = criterion(net.forward(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        if prune:
            for layer, index in zeros:
                layer.weight.data.view(-1)[index] = 0.0


@equivalent("lab2_pruning.finetune_after_prune")
def by_an_optimizer_hook(net, trainloader, criterion, optimizer, prune=True):
    """A hook of the optimizer applies the mask after each step, and is removed at the end."""
    layers = list(prunable_layers(net).values())
    masks = [layer.weight.detach().ne(0) for layer in layers]

    @torch.no_grad()
    def hold(*_):
        for layer, mask in zip(layers, masks, strict=True):
            layer.weight.mul_(mask)

    handle = optimizer.register_step_post_hook(hold) if prune else None
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
    if handle:
        handle.remove()


@equivalent("lab2_pruning.finetune_after_prune")
def momentum_cleared_for_pruned_weights(net, trainloader, criterion, optimizer, prune=True):
    """Gradient and momentum are both masked, so that nothing moves a zero; weight decay of zero is zero."""
    masks = {layer.weight: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    for weight, mask in masks.items():
        if optimizer.state[weight].get("momentum_buffer") is not None:
            optimizer.state[weight]["momentum_buffer"].mul_(mask)
    handles = [weight.register_hook(lambda g, mask=mask: g * mask) for weight, mask in masks.items()]
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
    for handle in handles:
        handle.remove()


@equivalent("lab2_pruning.finetune_after_prune")
def by_torch_prune_with_a_mask(net, trainloader, criterion, optimizer, prune=True):
    """torch's custom_from_mask holds the zeros while it trains, and is removed at the end."""
    from torch.nn.utils import prune as pruning

    layers = list(prunable_layers(net).values()) if prune else []
    for layer in layers:
        pruning.custom_from_mask(layer, "weight", layer.weight.detach() != 0)
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
    for layer in layers:
        pruning.remove(layer, "weight")


# --- 2(d)


@equivalent("lab2_pruning.pruning_percentage")
def ramp_by_interpolation(epoch, target=70.0, ramp_epochs=10, start=0):
    """np.interp, clipped at both ends, as a numpy number; an extra argument with a default."""
    import numpy as np

    return np.interp(epoch, [0, ramp_epochs], [start, target])


@equivalent("lab2_pruning.pruning_percentage")
def ramp_by_cases(epoch, target=70.0, ramp_epochs=10):
    """An increment per epoch, and the target from the end of the ramp on."""
    return target if epoch >= ramp_epochs else epoch * (target / ramp_epochs)


@equivalent("lab2_pruning.iterative_prune")
def prunes_again_at_the_target(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """After the ramp the network is at the target already: pruning it again to the same percentage changes
    nothing.
    """
    for epoch in range(epochs):
        q = pruning_percentage(epoch + 1, target, ramp_epochs)
        if global_threshold:
            global_prune_by_percentage(net, q)
        else:
            for name, module in net.named_modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)) and "id_mapping" not in name:
                    prune_by_percentage(module, q)
        held = epoch + 1 >= ramp_epochs
        finetune_after_prune(net, trainloader, criterion, optimizer, held)


@equivalent("lab2_pruning.iterative_prune")
def in_one_loop(net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False):
    """Its own training loop, with masks that exist from the last pruning step on."""
    masks = {}
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target=target, ramp_epochs=ramp_epochs)
            for layer in [] if global_threshold else prunable_layers(net).values():
                prune_by_percentage(layer, q=q)
            if global_threshold:
                global_prune_by_percentage(net, q=q)
        if epoch == ramp_epochs:
            masks = {layer: (layer.weight.data != 0).to(layer.weight) for layer in prunable_layers(net).values()}
        net.train()
        for images, labels in trainloader:
            optimizer.zero_grad()
            criterion(net(images), labels).backward()
            optimizer.step()
            for layer, mask in masks.items():
                layer.weight.data.mul_(mask)


# --- 2(e)


@equivalent("lab2_pruning.global_prune_by_percentage")
def global_by_numpy(net, q=70.0):
    """np.percentile over one long vector; weights assigned as .data."""
    import numpy as np

    layers = prunable_layers(net)
    everything = np.concatenate([np.abs(layer.weight.detach().numpy()).ravel() for layer in layers.values()])
    threshold = float(np.percentile(everything, q))
    for layer in layers.values():
        layer.weight.data = layer.weight.data * (layer.weight.data.abs() >= threshold).float()


@equivalent("lab2_pruning.global_prune_by_percentage")
def global_by_torch_prune(net, q=70.0):
    """torch's own global pruning, made permanent."""
    from torch.nn.utils import prune

    chosen = [(layer, "weight") for layer in prunable_layers(net).values()]
    prune.global_unstructured(chosen, pruning_method=prune.L1Unstructured, amount=q / 100)
    for layer, name in chosen:
        prune.remove(layer, name)


@equivalent("lab2_pruning.global_prune_by_percentage")
def global_by_kthvalue(net, q=70.0):
    """The k-th smallest magnitude of all; boolean indexing."""
    layers = list(prunable_layers(net).values())
    magnitudes = torch.hstack([layer.weight.data.abs().reshape(-1) for layer in layers])
    threshold = torch.kthvalue(magnitudes, max(1, int(len(magnitudes) * q / 100)))[0]
    for layer in layers:
        layer.weight.data[layer.weight.data.abs() <= threshold] = 0

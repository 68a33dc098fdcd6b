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


@equivalent("lab2_pruning.evaluate")
def decorated_and_image_by_image(net: nn.Module, loader, device: str = "cpu") -> float:
    """A decorated helper for no_grad, a type hint more, a parameter more, and one image at a time."""

    @torch.no_grad()
    def hits():
        for images, labels in loader:
            for image, label in zip(images, labels, strict=True):
                yield int(net(image[None].to(device))[0].argmax()) == int(label)

    training = net.training
    net.to(device).eval()
    found = list(hits())
    net.train(mode=training)
    return sum(found) / len(found)


@equivalent("lab2_pruning.evaluate")
def with_a_meter_class(net, loader):
    """A class that counts, and a mode that is restored even after an error."""

    class Meter:
        def __init__(self):
            self.right, self.seen = 0, 0

        def update(self, logits, labels):
            self.right += logits.max(1)[1].eq(labels).sum().item()
            self.seen += labels.numel()

        @property
        def value(self):
            return self.right / max(self.seen, 1)

    meter, mode = Meter(), net.training
    try:
        net.eval()
        with torch.set_grad_enabled(False):
            for data in loader:
                meter.update(net(data[0]), data[1])
    finally:
        net.train(mode)
    return meter.value


@equivalent("lab2_pruning.evaluate")
def evaluates_a_copy(net, loader):
    """A copy in evaluation mode leaves the network's mode and statistics alone."""
    import copy

    copied = copy.deepcopy(net).eval()
    with torch.no_grad():
        found = [(copied(images).argmax(1) == labels) for images, labels in loader]
    return torch.cat(found).float().mean().item()


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


@equivalent("lab2_pruning.prune_by_percentage")
def by_hardshrink(layer: nn.Module, q: float = 50.0, *, verbose: bool = False) -> float:
    """torch's hard threshold; another default, a parameter more, and a result that nobody asked for."""
    weight = layer.weight.data
    threshold = torch.quantile(weight.abs().flatten(), torch.tensor(q / 100, dtype=weight.dtype)).item()
    layer.weight.data = nn.functional.hardshrink(weight, threshold)
    if verbose:
        print(f"threshold {threshold:.4f}")
    return threshold


@equivalent("lab2_pruning.prune_by_percentage")
def by_a_loop(layer, q=70.0):
    """One weight after the other, in plain Python."""
    values = layer.weight.detach().flatten().tolist()
    remove = sorted(range(len(values)), key=lambda i: abs(values[i]))[: round(len(values) * q / 100)]
    for i in remove:
        values[i] = 0.0
    pruned = torch.tensor(values, dtype=layer.weight.dtype).reshape(layer.weight.shape)
    with torch.no_grad():
        layer.weight.copy_(pruned)


@equivalent("lab2_pruning.prune_by_percentage")
def by_topk_of_the_kept(layer, q=70.0):
    """The mask of the largest magnitudes, scattered as ones; a detached clone is masked and written back."""
    weight = layer.weight.detach().clone()
    keep = weight.numel() - int(weight.numel() * q / 100)
    mask = torch.zeros(weight.numel(), dtype=weight.dtype)
    mask.scatter_(0, weight.abs().flatten().topk(keep).indices, 1)
    layer.weight.data = weight * mask.reshape(weight.shape)


@equivalent("lab2_pruning.prune_by_percentage")
def by_argpartition(layer, q=70.0):
    """numpy's partition, on memory that the parameter and the array share."""
    import numpy as np

    flat = layer.weight.detach().numpy().reshape(-1)
    count = int(np.floor(flat.size * q / 100))
    flat[np.argpartition(np.abs(flat), count)[:count]] = 0


@equivalent("lab2_pruning.prune_by_percentage")
def by_squares(layer, q=70.0):
    """Squares rank as magnitudes do; >= at the threshold, and masked_fill that makes a new tensor."""
    energy = torch.square(layer.weight.data)
    too_small = ~(energy >= energy.view(-1).quantile(q / 100.0, interpolation="higher"))
    layer.weight.data = layer.weight.data.masked_fill(too_small, 0)


@equivalent("lab2_pruning.prune_by_percentage")
def with_a_mask_class(layer, q=70.0):
    """A class that holds a mask and applies it."""

    class Mask:
        def __init__(self, weight, fraction):
            self.keep = weight.abs().gt(weight.abs().flatten().quantile(fraction))

        @property
        def density(self):
            return self.keep.float().mean().item()

        def apply_to(self, weight):
            weight.data.mul_(self.keep.to(weight.dtype))

    Mask(layer.weight.detach(), q / 100).apply_to(layer.weight)


@equivalent("lab2_pruning.prune_by_percentage")
def with_names_in_other_scripts(layer, q=70.0):
    """Local names may be Greek or Cyrillic."""
    θ = torch.quantile(layer.weight.detach().abs(), q / 100)
    маска = layer.weight.detach().abs() > θ
    layer.weight.data[~маска] = 0


@equivalent("lab2_pruning.prune_by_percentage")
def by_a_parametrization(layer, q=70.0):
    """A parametrization masks the weight, and is removed with the masked weight left in its place."""
    from torch.nn.utils import parametrize

    class Masked(nn.Module):
        def __init__(self, mask):
            super().__init__()
            self.register_buffer("mask", mask)

        def forward(self, weight):
            return weight * self.mask

    magnitude = layer.weight.detach().abs()
    parametrize.register_parametrization(layer, "weight", Masked(magnitude > torch.quantile(magnitude, q / 100)))
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


# --- 2(c)


@equivalent("lab2_pruning.sparsity_by_layer")
def sparsity_from_parameters(net):
    """From named_parameters, with names that end in .weight."""
    found = {}
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1 and "id_mapping" not in name:
            found[name] = 1 - torch.count_nonzero(parameter).item() / parameter.numel()
    return found


@equivalent("lab2_pruning.sparsity_by_layer")
def sparsity_as_numpy_numbers(net):
    """Counted by numpy, and numbers of numpy, in a dictionary of another class."""
    from collections import OrderedDict

    import numpy as np

    found = OrderedDict()
    for name, module in net.named_modules():
        if type(module) in (nn.Conv2d, nn.Linear) and not name.count("id_mapping"):
            weight = module.weight.detach().cpu().numpy()
            found[name] = np.float64(np.sum(weight == 0)) / weight.size
    return found


@equivalent("lab2_pruning.sparsity_by_layer")
def one_minus_density(net, digits=None):
    """One minus the density, as a tensor of one number."""
    return {f"{name}.weight": 1 - (m.weight.data != 0).double().mean() for name, m in prunable_layers(net).items()}


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


@equivalent("lab2_pruning.finetune_after_prune")
def mask_taken_anew_before_every_step(net, trainloader, criterion, optimizer, prune=True):
    """A mask that is taken before each step has all zeros of the one before, since they are held."""
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        masks = [(m.weight, m.weight.detach().bool()) for m in prunable_layers(net).values()]
        optimizer.step()
        for weight, mask in masks:
            if prune:
                weight.data = weight.data.where(mask, 0.0)


@equivalent("lab2_pruning.finetune_after_prune")
def with_a_mask_keeper(
    net: nn.Module, trainloader, criterion=None, optimizer=None, prune: bool = True, log=None
) -> float:
    """A class for the masks, defaults that differ, and the mean loss as a result."""

    class Keeper:
        def __init__(self, net):
            self.masks = {name: (layer.weight != 0).float() for name, layer in prunable_layers(net).items()}

        @torch.no_grad()
        def restore(self, net):
            for name, layer in prunable_layers(net).items():
                layer.weight.data *= self.masks[name]

    keeper = Keeper(net) if prune else None
    total, count = 0.0, 0
    net.train()
    for inputs, targets in trainloader:
        optimizer.zero_grad()
        loss = criterion(net(inputs), targets)
        loss.backward()
        optimizer.step()
        if keeper is not None:
            keeper.restore(net)
        total, count = total + loss.item() * len(targets), count + len(targets)
    if log is not None:
        log(total / count)
    return total / count


@equivalent("lab2_pruning.finetune_after_prune")
def by_hooks_on_the_gradient_and_a_mask(net, trainloader, criterion, optimizer, prune=True):
    """Hooks mask the gradients and the mask is applied after every step all the same; numpy holds the zeros."""
    import numpy as np

    held = [(m.weight, np.nonzero(m.weight.detach().numpy() == 0)) for m in prunable_layers(net).values()]
    hooks = []
    if prune:
        for weight, _ in held:
            keep = (weight.detach() != 0).to(weight.dtype)
            hooks.append(weight.register_hook(lambda gradient, keep=keep: gradient * keep))
    net.train()
    for images, labels in iter(trainloader):
        for parameter in net.parameters():
            parameter.grad = None
        outputs = net(images)
        criterion(outputs, labels).backward()
        optimizer.step()
        for weight, zeros in held if prune else []:
            weight.detach().numpy()[zeros] = 0.0
    for hook in hooks:
        hook.remove()


@equivalent("lab2_pruning.finetune_after_prune")
def by_a_parametrization_while_training(net, trainloader, criterion, optimizer, prune=True):
    """A parametrization masks the weights while they train, and is removed at the end."""
    from torch.nn.utils import parametrize

    class Masked(nn.Module):
        def __init__(self, mask):
            super().__init__()
            self.mask = mask

        def forward(self, weight):
            return weight * self.mask

    layers = list(prunable_layers(net).values()) if prune else []
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", Masked(layer.weight.detach() != 0))
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight")


@equivalent("lab2_pruning.finetune_after_prune")
def reports_accuracies(net, trainloader, criterion, optimizer, prune=True, verbose=True):
    """Accuracies are measured before and after the epoch, and during it."""
    layers = prunable_layers(net).values()
    zeros = [layer.weight.detach() == 0 for layer in layers]
    history = [evaluate(net, trainloader)]
    net.train()
    for step, (images, labels) in enumerate(trainloader):
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        if prune:
            for layer, zero in zip(layers, zeros, strict=True):
                layer.weight.data[zero] = 0
        if verbose and step % 4 == 0:
            history.append(evaluate(net, trainloader))
    return [*history, evaluate(net, trainloader)]


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


@equivalent("lab2_pruning.pruning_percentage")
def ramp_from_a_table(epoch: int, target: float = 80, ramp_epochs: int = 20):
    """A table of all steps, made by torch; other defaults."""
    table = torch.linspace(0, target, int(ramp_epochs) + 1, dtype=torch.float64)
    return table[min(max(int(epoch), 0), len(table) - 1)].item()


@equivalent("lab2_pruning.pruning_percentage")
def ramp_by_adding_up(epoch, target=70.0, ramp_epochs=10):
    """One increment after the other."""
    q = 0.0
    for _ in range(epoch):
        q = min(q + target / ramp_epochs, target)
    return q


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


@equivalent("lab2_pruning.iterative_prune")
def two_loops(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False, log=None
):
    """One loop for the ramp, one for the rest; a helper, a parameter more, and accuracies as a result."""

    def prune_to(q):
        if not global_threshold:
            for layer in prunable_layers(net).values():
                prune_by_percentage(layer, q)
            return
        global_prune_by_percentage(net, q)

    accuracies = []
    for epoch in range(min(ramp_epochs, epochs)):
        prune_to(target * (epoch + 1) / ramp_epochs)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=(epoch + 1 == ramp_epochs))
        accuracies.append(evaluate(net, trainloader))
    while len(accuracies) < epochs:
        finetune_after_prune(net, trainloader, criterion, optimizer)
        accuracies.append(evaluate(net, trainloader))
    return accuracies


@equivalent("lab2_pruning.iterative_prune")
def with_a_scheduler_class(
    net, trainloader, criterion, optimizer, epochs=100, target=80.0, ramp_epochs=50, global_threshold=True
):
    """A class that prunes; the masks are kept outside of `finetune_after_prune`; other defaults."""

    class Pruner:
        def __init__(self):
            self.masks = None

        def step(self, epoch):
            q = pruning_percentage(epoch, target, ramp_epochs)
            prune = global_prune_by_percentage if global_threshold else self.by_layer
            prune(net, q)
            if epoch == ramp_epochs:
                self.masks = {n: layer.weight.data.ne(0) for n, layer in prunable_layers(net).items()}

        def by_layer(self, net, q):
            for layer in prunable_layers(net).values():
                prune_by_percentage(layer, q)

        def hold(self, *_):
            for name, mask in (self.masks or {}).items():
                net.get_submodule(name).weight.data.mul_(mask)

    pruner = Pruner()
    handle = optimizer.register_step_post_hook(pruner.hold)
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            pruner.step(epoch)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=False)
    handle.remove()


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


@equivalent("lab2_pruning.global_prune_by_percentage")
def global_by_flat_indices(net, q=70.0):
    """topk over one long vector; the mask is split among the layers."""
    layers = list(prunable_layers(net).values())
    flat = torch.cat([layer.weight.detach().flatten() for layer in layers])
    mask = torch.ones_like(flat)
    mask[torch.topk(flat.abs(), k=round(len(flat) * q / 100), largest=False).indices] = 0
    for layer, part in zip(layers, mask.split([layer.weight.numel() for layer in layers]), strict=True):
        layer.weight.data *= part.view_as(layer.weight)


@equivalent("lab2_pruning.global_prune_by_percentage")
def global_by_bisection(net: nn.Module, q: float = 80.0, iterations: int = 60) -> None:
    """A threshold that is searched until the sparsity is right."""
    weights = [layer.weight for layer in prunable_layers(net).values()]
    wanted = q / 100 * sum(weight.numel() for weight in weights)
    low, high = 0.0, max(weight.detach().abs().max().item() for weight in weights)
    for _ in range(iterations):
        middle = (low + high) / 2
        zeros = sum((weight.detach().abs() <= middle).sum().item() for weight in weights)
        low, high = (middle, high) if zeros < wanted else (low, middle)
    for weight in weights:
        with torch.no_grad():
            weight[weight.abs() <= high] = 0


@equivalent("lab2_pruning.global_prune_by_percentage")
def global_by_sorting_pairs(net, q=70.0):
    """Plain Python: all magnitudes with their places, sorted."""
    places = []
    for name, layer in prunable_layers(net).items():
        places += [(value, name, i) for i, value in enumerate(layer.weight.detach().abs().flatten().tolist())]
    places.sort()
    for _, name, i in places[: int(len(places) * q / 100)]:
        net.get_submodule(name).weight.data.view(-1)[i] = 0

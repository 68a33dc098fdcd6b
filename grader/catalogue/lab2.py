"""Mistakes in Lab 2. Names such as ``torch`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception

_WRONG_ACCURACY = ("evaluate_is_exact", "evaluate_counts_a_partial_batch", "evaluate_on_other_data")
_WRONG_PARTIAL_BATCH = ("evaluate_counts_a_partial_batch", "evaluate_on_other_data")
_NOTHING_PRUNED = (
    "layer_sparsity_is_exact",
    "layer_keeps_the_largest",
    "layer_keeps_values",
    "layer_pruned_in_place",
    "layers_of_other_shapes",
    "iterative_follows_the_ramp",
    "iterative_lets_weights_recover",
    "iterative_freezes_after_the_ramp",
)
_WRONG_COUNT = (
    "layer_sparsity_is_exact",
    "layers_of_other_shapes",
    "iterative_follows_the_ramp",
    "iterative_freezes_after_the_ramp",
)
_WRONG_CHOICE = ("layer_keeps_the_largest", "layers_of_other_shapes", "iterative_keeps_accuracy")
_WRONG_VALUES = ("layer_keeps_values", "layers_of_other_shapes", "iterative_keeps_accuracy")
_NOT_HELD = ("iterative_freezes_after_the_ramp", "global_iterative_uses_one_threshold")
_ZEROS_LOST = (
    "finetune_keeps_zeros",
    "finetune_another_network",
    "iterative_freezes_after_the_ramp",
    "global_iterative_uses_one_threshold",
)
_WRONG_STEPS = (
    "ramp_percentages",
    "ramps_of_other_lengths",
    "iterative_follows_the_ramp",
    "global_iterative_uses_one_threshold",
)
_WRONG_RAMP = (*_WRONG_STEPS, "iterative_freezes_after_the_ramp")
_WRONG_ITERATION = (
    "iterative_follows_the_ramp",
    "iterative_lets_weights_recover",
    "iterative_freezes_after_the_ramp",
    "global_iterative_uses_one_threshold",
)
_WRONG_GLOBALLY = (
    "global_sparsity_is_exact",
    "global_iterative_uses_one_threshold",
    "global_at_other_percentages",
)

# --- 2(a)


@misconception("lab2_pruning.evaluate", fails=_WRONG_PARTIAL_BATCH)
def mean_of_batch_accuracies(net, loader):
    """The mean of the batches' accuracies

    The accuracies of the batches are averaged, as if all batches had one size. Each image of a small last batch then
    weighs more than one of a full batch.

    Hint: Work out by hand what the accuracy over a batch of 16 images and a batch of 2 should be.
    """
    was_training, accuracies = net.training, []
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            accuracies.append((net(images).argmax(dim=1) == labels).float().mean().item())
    net.train(was_training)
    return sum(accuracies) / len(accuracies)


@misconception("lab2_pruning.evaluate", fails=_WRONG_PARTIAL_BATCH)
def drops_the_last_batch(net, loader):
    """A smaller last batch is left out

    The accuracy is that of the full batches alone: the images of a smaller last batch are not counted.

    Hint: How many batches does the loader give, and how many of them are counted, if 38 images come in batches of 16?
    """
    was_training, correct, total = net.training, 0, 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            if len(labels) == loader.batch_size:
                correct += (net(images).argmax(dim=1) == labels).sum().item()
                total += len(labels)
    net.train(was_training)
    return correct / total


@misconception("lab2_pruning.evaluate", fails=_WRONG_PARTIAL_BATCH)
def takes_every_batch_as_full(net, loader):
    """Every batch is counted as a full one

    The number of images is taken as batches times batch size. A smaller last batch has fewer images, so the accuracy
    comes out too low.

    Hint: Compare the number that you divide by with the number of images in the loader.
    """
    was_training, correct = net.training, 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
    net.train(was_training)
    return correct / (len(loader) * loader.batch_size)


@misconception("lab2_pruning.evaluate", fails=_WRONG_ACCURACY)
def only_the_last_batch(net, loader):
    """The accuracy of the last batch alone

    The result counts only the images of the last batch; what was counted in the batches before it is lost.

    Hint: Print your counters after every batch.
    """
    was_training = net.training
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            correct = (net(images).argmax(dim=1) == labels).sum().item()
            total = len(labels)
    net.train(was_training)
    return correct / total


@misconception("lab2_pruning.evaluate", fails=_WRONG_ACCURACY)
def divided_by_the_number_of_batches(net, loader):
    """Divided by the number of batches

    The number of right images is divided by the number of batches, not by the number of images, so it can exceed 1.

    Hint: What should the result be if every image is classified rightly?
    """
    was_training, correct = net.training, 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
    net.train(was_training)
    return correct / len(loader)


@misconception("lab2_pruning.evaluate", fails=_WRONG_ACCURACY)
def number_of_right_images(net, loader):
    """The number of right images instead of their fraction

    The right images are counted, but the count is not divided by the number of images.

    Hint: What should the result be if every image is classified rightly?
    """
    was_training, correct = net.training, 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
    net.train(was_training)
    return correct


@misconception("lab2_pruning.evaluate", fails=_WRONG_ACCURACY)
def accuracy_in_percent(net, loader):
    """A percentage instead of a fraction

    The accuracy is returned in percent, 100 times the fraction in [0, 1] that is asked for.

    Hint: Read in the docstring in which range the result should be.
    """
    was_training, correct, total = net.training, 0, 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    net.train(was_training)
    return 100 * correct / total


@misconception("lab2_pruning.evaluate", fails=_WRONG_ACCURACY)
def error_for_accuracy(net, loader):
    """The error instead of the accuracy

    The result is the fraction of images that are classified wrongly; it and the accuracy add up to 1.

    Hint: Should a better network have a larger or a smaller result?
    """
    was_training, wrong, total = net.training, 0, 0
    net.eval()
    with torch.no_grad():
        for images, labels in loader:
            wrong += (net(images).argmax(dim=1) != labels).sum().item()
            total += len(labels)
    net.train(was_training)
    return wrong / total


@misconception("lab2_pruning.evaluate", fails=("evaluate_uses_evaluation_mode",))
def evaluates_in_training_mode(net, loader):
    """Evaluation in training mode

    While it is evaluated the network may be in training mode. BatchNorm then uses the statistics of the test batch
    instead of those it has learned, and changes its own on the way, so that measuring changes the network.

    Hint: Look up what BatchNorm does differently in the two modes of a network.
    """
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    return correct / total


@misconception("lab2_pruning.evaluate", fails=("evaluate_needs_no_gradients",))
def evaluates_with_gradients(net, loader):
    """Gradients are recorded while evaluating

    Every pass records what a backward pass would need, which costs time and memory for nothing.

    Hint: Which context tells torch that no backward pass will follow?
    """
    was_training = net.training
    net.eval()
    correct = total = 0
    for images, labels in loader:
        correct += int((net(images).argmax(dim=1) == labels).sum())
        total += len(labels)
    net.train(was_training)
    return correct / total


@misconception("lab2_pruning.evaluate", fails=("evaluate_restores_the_mode",))
def stays_in_evaluation_mode(net, loader):
    """The network is left in evaluation mode

    A network that was in training mode is in evaluation mode afterwards. Training that goes on after a measurement
    would then go on with BatchNorm frozen.

    Hint: Look at `net.training` before and after the call, for a network in either mode.
    """
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    return correct / total


@misconception("lab2_pruning.evaluate", fails=("evaluate_restores_the_mode",))
def always_back_to_training_mode(net, loader):
    """The network always ends in training mode

    A network that was in evaluation mode is in training mode afterwards, although whoever uses it next relies on the
    mode that they set.

    Hint: Look at `net.training` before and after the call, for a network in either mode.
    """
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (net(images).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    net.train()
    return correct / total


# --- 2(b)


@misconception("lab2_pruning.prune_by_percentage", fails=_WRONG_COUNT)
def percentage_taken_as_fraction(layer, q=70.0):
    """Less than one percent is pruned

    Only a hundredth of the q percent is pruned, as when `q` is divided by 100 for a function that takes percent, such
    as `np.percentile`.

    Hint: Print the fraction of zeros after pruning at q = 70.
    """
    import numpy as np

    weight = layer.weight.data
    threshold = np.percentile(weight.abs().numpy(), q / 100)
    layer.weight.data = weight * (weight.abs() > threshold)


@misconception("lab2_pruning.prune_by_percentage", fails=_NOTHING_PRUNED)
def percent_given_to_quantile(layer, q=70.0):
    """`quantile` is given percent

    `torch.quantile` takes a fraction in [0, 1] and refuses anything else; `q` is in percent.

    Hint: Compare the units of `q` with what the function that you call expects.
    """
    with torch.no_grad():
        magnitude = layer.weight.abs()
        layer.weight.mul_(magnitude > torch.quantile(magnitude, q))


@misconception("lab2_pruning.prune_by_percentage", fails=_NOTHING_PRUNED)
def everything_is_pruned(layer, q=70.0):
    """Everything is pruned

    No weight is left, whatever `q` is. A count or a threshold is far too large: 70 percent is not 70 times as many.

    Hint: Print how many weights you are going to prune, or the threshold beside the largest magnitude.
    """
    with torch.no_grad():
        order = layer.weight.abs().flatten().argsort()
        layer.weight.view(-1)[order[: int(q * len(order))]] = 0


@misconception("lab2_pruning.prune_by_percentage", fails=_NOTHING_PRUNED)
def prunes_a_copy(layer, q=70.0):
    """The layer is left as it was

    The layer is the same after the call: its weight was pruned in a copy only, or the result was not put back.

    Hint: Print `(layer.weight == 0).sum()` after the call.
    """
    weight = layer.weight.detach().clone()
    weight[weight.abs() <= torch.quantile(weight.abs(), q / 100)] = 0


@misconception("lab2_pruning.prune_by_percentage", fails=_NOTHING_PRUNED)
def percentile_of_signed_weights(layer, q=70.0):
    """The threshold is a percentile of the signed weights

    The threshold is taken from the weights with their signs. About half of them are negative, so it is far lower
    than that of the magnitudes, and can even be below zero; too few weights are pruned.

    Hint: Print the threshold for a layer whose weights are all negative.
    """
    with torch.no_grad():
        threshold = torch.quantile(layer.weight, q / 100)
        layer.weight.mul_(layer.weight.abs() > threshold)


@misconception("lab2_pruning.prune_by_percentage", fails=_WRONG_CHOICE)
def prunes_by_signed_value(layer, q=70.0):
    """The most negative weights are pruned

    The weights are ranked with their signs, so that large negative weights go first. What matters is how far a
    weight is from zero.

    Hint: Should -0.9 or 0.1 be pruned first?
    """
    with torch.no_grad():
        layer.weight.mul_(layer.weight > torch.quantile(layer.weight, q / 100))


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=(
        "layer_sparsity_is_exact",
        "layer_keeps_the_largest",
        "layers_of_other_shapes",
        "iterative_follows_the_ramp",
    ),
    may_fail=("iterative_freezes_after_the_ramp", "iterative_keeps_accuracy"),
)
def prunes_every_negative_weight(layer, q=70.0):
    """Every negative weight is pruned

    The threshold is right, but the weights are compared with it by their signed values: a negative weight is below
    it however large it is.

    Hint: What becomes of a weight of -0.9?
    """
    with torch.no_grad():
        layer.weight.mul_(layer.weight > torch.quantile(layer.weight.abs(), q / 100))


@misconception("lab2_pruning.prune_by_percentage", fails=(*_WRONG_COUNT, "layer_keeps_the_largest"))
def keeps_the_smallest(layer, q=70.0):
    """The mask is inverted

    The q percent of smallest magnitude are kept and the others are zero, which is the reverse of what is asked.

    Hint: Print the largest magnitude before and after pruning.
    """
    with torch.no_grad():
        magnitude = layer.weight.abs()
        layer.weight.mul_(magnitude <= torch.quantile(magnitude, q / 100))


@misconception("lab2_pruning.prune_by_percentage", fails=_WRONG_CHOICE)
def prunes_the_largest(layer, q=70.0):
    """The largest weights are pruned

    The right number of weights is removed, but from the wrong end: those of largest magnitude go and the small ones,
    which matter least, stay.

    Hint: Print the largest magnitude before and after pruning.
    """
    with torch.no_grad():
        threshold = torch.quantile(layer.weight.abs(), 1 - q / 100)
        layer.weight.mul_(layer.weight.abs() < threshold)


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=("layers_of_other_shapes",),
    may_fail=("iterative_follows_the_ramp", "iterative_freezes_after_the_ramp", "iterative_keeps_accuracy"),
)
def percentage_of_the_nonzero(layer, q=70.0):
    """The percentage is taken of the weights that are not zero

    In a layer that was pruned before, q percent of what remains are pruned, so that the layer ends sparser than q
    percent.

    Hint: How sparse should a layer with 40 percent of zeros be after pruning at q = 70?
    """
    with torch.no_grad():
        magnitude = layer.weight.abs()
        layer.weight.mul_(magnitude > torch.quantile(magnitude[magnitude != 0], q / 100))


@misconception("lab2_pruning.prune_by_percentage", fails=(*_WRONG_COUNT, "layer_keeps_the_largest"))
def one_threshold_per_filter(layer, q=70.0):
    """A threshold for every filter

    Every filter (or output) loses q percent of its own weights. A filter with large weights then loses some that are
    larger than those which another one keeps: one threshold should serve the whole layer.

    Hint: Compare the largest pruned magnitude with the smallest kept one, over the whole layer.
    """
    with torch.no_grad():
        magnitude = layer.weight.abs().flatten(1)
        mask = magnitude > magnitude.quantile(q / 100, dim=1, keepdim=True)
        layer.weight.mul_(mask.view_as(layer.weight))


@misconception("lab2_pruning.prune_by_percentage", fails=("layer_keeps_values",))
def prunes_the_bias(layer, q=70.0):
    """The bias is pruned as well

    The small elements of the bias are zero as well. Biases are few and each of them matters: only the weight is pruned.

    Hint: Compare `layer.bias` before and after the call.
    """
    with torch.no_grad():
        for parameter in layer.parameters():
            magnitude = parameter.abs()
            parameter.mul_(magnitude > torch.quantile(magnitude, q / 100))


@misconception("lab2_pruning.prune_by_percentage", fails=("layer_pruned_in_place", "iterative_lets_weights_recover"))
def makes_a_new_parameter(layer, q=70.0):
    """The layer gets a new Parameter

    The layer's weight is another Parameter after the call. The optimizer still holds the old one, so that the
    network's own weight is never trained again.

    Hint: Compare `id(layer.weight)` before and after the call.
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
    """The weight becomes float64

    The weight has another dtype after the call, as when it is multiplied by a float64 mask of numpy. The next forward
    pass, with float32 images, fails.

    Hint: Print `layer.weight.dtype` before and after the call.
    """
    import numpy as np

    magnitude = np.abs(layer.weight.detach().numpy())
    mask = (magnitude > np.percentile(magnitude, q)).astype(np.float64)
    layer.weight.data = layer.weight.data * torch.from_numpy(mask)


@misconception(
    "lab2_pruning.prune_by_percentage",
    fails=("layer_keeps_values", "layers_of_other_shapes"),
    may_fail=("iterative_follows_the_ramp", "iterative_freezes_after_the_ramp", "iterative_keeps_accuracy"),
)
def mask_for_the_weight(layer, q=70.0):
    """The mask takes the place of the weight

    The kept weights are all 1: the mask itself was stored as the weight, so that everything learned is lost.

    Hint: Print a few kept weights before and after the call.
    """
    magnitude = layer.weight.detach().abs()
    layer.weight.data = (magnitude > torch.quantile(magnitude, q / 100)).to(magnitude.dtype)


@misconception("lab2_pruning.prune_by_percentage", fails=_WRONG_VALUES)
def kept_weights_lose_their_sign(layer, q=70.0):
    """The kept weights lose their sign

    The magnitudes are written back instead of the weights. They serve to choose what is pruned; a kept weight should
    have the value that it had.

    Hint: Count the negative weights before and after the call.
    """
    with torch.no_grad():
        magnitude = layer.weight.abs()
        layer.weight.copy_(magnitude * (magnitude > torch.quantile(magnitude, q / 100)))


@misconception("lab2_pruning.prune_by_percentage", fails=_WRONG_VALUES)
def shrinks_the_kept_weights(layer, q=70.0):
    """The kept weights shrink

    The threshold is subtracted from the magnitude of every kept weight, as soft thresholding does. Pruning removes
    small weights and leaves the others as they are.

    Hint: Print a few kept weights before and after the call.
    """
    with torch.no_grad():
        magnitude = layer.weight.abs()
        threshold = torch.quantile(magnitude, q / 100)
        layer.weight.copy_(layer.weight.sign() * (magnitude - threshold).clamp_min(0))


# --- 2(c)


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_is_a_fraction_of_zeros",))
def density_for_sparsity(net):
    """The density instead of the sparsity

    The fraction of weights that are not zero is the density; sparsity is the fraction of zeros.

    Hint: What should the result be for a layer of zeros only?
    """
    return {name: (layer.weight != 0).float().mean().item() for name, layer in prunable_layers(net).items()}


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_is_a_fraction_of_zeros",))
def sparsity_in_percent(net):
    """The sparsity in percent

    The sparsities are given in percent, 100 times the fraction in [0, 1] that is asked for.

    Hint: What should the result be for a layer of zeros only?
    """
    return {name: 100 * (layer.weight == 0).float().mean().item() for name, layer in prunable_layers(net).items()}


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_is_a_fraction_of_zeros",))
def number_of_zeros(net):
    """The number of zeros instead of their fraction

    The zeros of each layer are counted, but the count is not divided by the number of its weights.

    Hint: What should the result be for a layer of zeros only?
    """
    return {name: int((layer.weight == 0).sum()) for name, layer in prunable_layers(net).items()}


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_is_a_fraction_of_zeros",))
def number_of_zeros_in_the_bias_too(net):
    """The bias is counted too

    The elements of the bias are counted among the layer's weights. They are never pruned, so that a layer with a bias
    looks less sparse than it is.

    Hint: Compare the result for the last layer with the fraction of zeros of its weight.
    """
    found = {}
    for name, layer in prunable_layers(net).items():
        zeros = sum(int((parameter == 0).sum()) for parameter in layer.parameters())
        found[name] = zeros / sum(parameter.numel() for parameter in layer.parameters())
    return found


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_is_a_fraction_of_zeros",))
def small_weights_count_as_zeros(net):
    """Small weights are counted as zeros

    Weights that are merely close to zero are counted as zeros. A pruned weight is exactly zero; a small one still has
    to be stored and multiplied.

    Hint: What is the sparsity of a layer whose weights are all 0.001?
    """
    return {name: (layer.weight.abs() < 1e-2).float().mean().item() for name, layer in prunable_layers(net).items()}


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_covers_the_prunable_layers",))
def counts_every_tensor(net):
    """Every tensor of the network is listed

    Biases, BatchNorm and the shortcuts are listed too, although they are not pruned.

    Hint: Compare your names with those of `prunable_layers(net)`.
    """
    return {name: (parameter == 0).float().mean().item() for name, parameter in net.named_parameters()}


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_covers_the_prunable_layers",))
def lists_the_shortcuts(net):
    """The shortcuts are listed too

    Every convolution and linear layer is listed, also those of the shortcuts (`id_mapping`), which are not pruned.

    Hint: Compare your names with those of `prunable_layers(net)`.
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    return {name: (layer.weight == 0).float().mean().item() for name, layer in layers.items()}


@misconception("lab2_pruning.sparsity_by_layer", fails=("sparsity_covers_the_prunable_layers",))
def lists_the_convolutions_only(net):
    """The linear layer is missing

    The convolutions are listed without the linear layer at the end, which is prunable as well.

    Hint: Compare your names with those of `prunable_layers(net)`.
    """
    layers = {n: m for n, m in prunable_layers(net).items() if isinstance(m, nn.Conv2d)}
    return {name: (layer.weight == 0).float().mean().item() for name, layer in layers.items()}


@misconception(
    "lab2_pruning.sparsity_by_layer",
    fails=("sparsity_is_a_fraction_of_zeros", "sparsity_covers_the_prunable_layers"),
)
def keyed_by_the_layer(net):
    """The keys are not the layers' names

    The dictionary has keys other than strings, such as the layers themselves or their numbers. It should tell the
    sparsity by the layer's name in the network.

    Hint: Print the keys, and compare them with those of `prunable_layers(net)`.
    """
    return {layer: (layer.weight == 0).float().mean().item() for layer in prunable_layers(net).values()}


@misconception(
    "lab2_pruning.sparsity_by_layer",
    fails=("sparsity_is_a_fraction_of_zeros", "sparsity_covers_the_prunable_layers"),
)
def one_number_for_the_network(net):
    """One number instead of one per layer

    A single number is returned. The sparsity of each layer is asked for, since layers can differ widely.

    Hint: Read in the docstring what is returned.
    """
    layers = prunable_layers(net).values()
    return sum((layer.weight == 0).sum().item() for layer in layers) / sum(layer.weight.numel() for layer in layers)


@misconception("lab2_pruning.finetune_after_prune", fails=_ZEROS_LOST)
def forgets_the_mask(net, trainloader, criterion, optimizer, prune=True):
    """No mask holds the zeros

    Nothing sets the pruned weights back to zero, so they grow back with the first optimizer step and the sparsity is
    lost. A mask that is taken only after the weights have moved holds nothing either.

    Hint: Print `sparsity_by_layer(net)` after every step.
    """
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()


@misconception("lab2_pruning.finetune_after_prune", fails=_ZEROS_LOST)
def masks_only_the_gradient(net, trainloader, criterion, optimizer, prune=True):
    """Only the gradient is masked

    The gradient of a pruned weight is zero, but the optimizer's momentum from earlier training still moves it. A
    masked gradient alone does not hold a weight.

    Hint: What does the optimizer add to the gradient before it changes a weight?
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        for layer, mask in masks.items():
            layer.weight.grad.mul_(mask)
        optimizer.step()


@misconception("lab2_pruning.finetune_after_prune", fails=_ZEROS_LOST)
def masks_before_the_step(net, trainloader, criterion, optimizer, prune=True):
    """The mask is applied before the optimizer's step

    The pruned weights are set to zero before `optimizer.step()`, which then moves them away from zero again.

    Hint: Print `sparsity_by_layer(net)` at the end of every pass of the loop.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        for layer, mask in masks.items():
            layer.weight.data *= mask
        optimizer.step()


@misconception("lab2_pruning.finetune_after_prune", fails=_ZEROS_LOST)
def masks_once_per_epoch(net, trainloader, criterion, optimizer, prune=True):
    """The mask is applied once, at the end of the epoch

    Between the first step and the end of the epoch the pruned weights are not zero. The others learn to work together
    with weights that are then taken away.

    Hint: Print `sparsity_by_layer(net)` after every step, not only after the epoch.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
    for layer, mask in masks.items():
        layer.weight.data *= mask


@misconception("lab2_pruning.finetune_after_prune", fails=_ZEROS_LOST)
def masks_the_convolutions_only(net, trainloader, criterion, optimizer, prune=True):
    """The linear layer has no mask

    The zeros of the convolutions are held, but the pruned weights of the linear layer grow back.

    Hint: Look at the layer's name in the message, and at the layers for which you make a mask.
    """
    layers = [layer for layer in prunable_layers(net).values() if isinstance(layer, nn.Conv2d)]
    masks = {layer: layer.weight.detach() != 0 for layer in layers} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception("lab2_pruning.finetune_after_prune", fails=("finetune_trains_the_rest", *_ZEROS_LOST))
def masks_the_kept_weights(net, trainloader, criterion, optimizer, prune=True):
    """The mask of fine-tuning is inverted

    The weights that were kept are set to zero after every step, and the pruned ones train.

    Hint: Print `sparsity_by_layer(net)` before and after the first step.
    """
    masks = {layer: layer.weight.detach() == 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception("lab2_pruning.finetune_after_prune", fails=("finetune_trains_the_rest",), may_fail=("finetune_heals",))
def masks_into_a_new_parameter(net, trainloader, criterion, optimizer, prune=True):
    """Masking makes a new Parameter

    After the first step the weight of every prunable layer is a new Parameter. The optimizer still holds the old ones,
    so that the pruned layers are never trained again.

    Hint: Compare `id(layer.weight)` before and after a step.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight = nn.Parameter(layer.weight.detach() * mask)


@misconception(
    "lab2_pruning.finetune_after_prune", fails=("finetune_without_mask_recovers", "iterative_lets_weights_recover")
)
def ignores_the_prune_flag(net, trainloader, criterion, optimizer, prune=True):
    """`prune=False` makes no difference

    With `prune=False` pruned weights should train freely, so that they can recover; here they are held at zero all
    the same.

    Hint: Look for the places where your code uses the argument `prune`.
    """
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
        "finetune_clears_its_gradients",
        "finetune_keeps_zeros",
        "finetune_trains_the_rest",
        "finetune_without_mask_recovers",
        "finetune_another_network",
        "iterative_lets_weights_recover",
    ),
    may_fail=("iterative_keeps_accuracy",),
)
def forgets_the_optimizer_step(net, trainloader, criterion, optimizer, prune=True):
    """The optimizer changes nothing

    Batches go through the network, but no weight changes: there is no `optimizer.step()`, or no gradient is there when
    it comes.

    Hint: Look at the order in which the gradients are cleared, computed and used.
    """
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_clears_its_gradients",
        "finetune_heals",
    ),
)
def forgets_to_clear_the_gradients(net, trainloader, criterion, optimizer, prune=True):
    """The gradients of all batches add up

    Nothing clears the gradients between batches, so that every batch adds its gradient to those before it, and the
    steps grow too long.

    Hint: Print the norm of a gradient at every step.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=("finetune_follows_the_criterion",),
    may_fail=("finetune_heals", "iterative_keeps_accuracy", "global_iterative_keeps_accuracy"),
)
def softmax_before_the_criterion(net, trainloader, criterion, optimizer, prune=True):
    """Softmax twice

    The criterion gets probabilities, but cross-entropy takes the network's output as it is and includes the softmax.
    Applied twice, it flattens the loss: training is slow, and the network never sure.

    Hint: Look up what `nn.CrossEntropyLoss` expects.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(torch.softmax(net(images), dim=1), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=("finetune_follows_the_criterion",),
    may_fail=("finetune_heals", "iterative_keeps_accuracy", "global_iterative_keeps_accuracy"),
)
def ignores_the_criterion(net, trainloader, criterion, optimizer, prune=True):
    """Another loss than the one that was given

    The network is trained on a loss of its own; the argument `criterion` makes no difference.

    Hint: Look for the places where your code uses the argument `criterion`.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=("finetune_follows_the_criterion",),
    may_fail=("finetune_heals", "iterative_keeps_accuracy", "global_iterative_keeps_accuracy"),
)
def two_steps_for_each_batch(net, trainloader, criterion, optimizer, prune=True):
    """The optimizer steps twice

    Every gradient is used for two steps: the weights move twice as far as they should, and further with momentum.

    Hint: Count the optimizer steps of one call.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_clears_its_gradients",
        "finetune_trains_the_rest",
    ),
)
def makes_its_own_optimizer(net, trainloader, criterion, optimizer, prune=True):
    """Another optimizer than the one that was given

    The optimizer that the caller made, with its learning rate and its momentum, makes no step; another one trains the
    network.

    Hint: Look for where the argument `optimizer` is used or overwritten.
    """
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
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
    fails=("finetune_trains_the_rest", "finetune_follows_the_criterion", "finetune_heals"),
    may_fail=("iterative_keeps_accuracy",),
)
def trains_in_evaluation_mode(net, trainloader, criterion, optimizer, prune=True):
    """`net.eval()` is left on

    The network is put into evaluation mode for training, so that BatchNorm does not adapt to the pruned network.

    Hint: Print `net.training` at every step.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.eval()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception("lab2_pruning.finetune_after_prune", fails=("finetune_trains_the_rest", "finetune_heals"))
def trains_in_the_mode_that_it_finds(net, trainloader, criterion, optimizer, prune=True):
    """The network is not put into training mode

    The mode of the network is left as it was found. After an evaluation that is evaluation mode, in which BatchNorm
    does not adapt to the pruned network.

    Hint: Print `net.training` at every step, for a network that was evaluated just before.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask


@misconception("lab2_pruning.finetune_after_prune", fails=("finetune_runs_one_epoch", *_NOT_HELD))
def trains_several_epochs(net, trainloader, criterion, optimizer, prune=True):
    """Several epochs in one call

    The call goes through the batches three times. One call is one epoch; the loop over epochs is the caller's.

    Hint: Count the optimizer steps of one call.
    """
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
        "finetune_clears_its_gradients",
        "finetune_runs_one_epoch",
        "finetune_heals",
        "iterative_lets_weights_recover",
        *_NOT_HELD,
    ),
)
def stops_after_the_first_batch(net, trainloader, criterion, optimizer, prune=True):
    """Only the first batch is trained on

    The loop ends after one batch, as when `return` or `break` stands inside it.

    Hint: Count the optimizer steps of one call, and look at the indentation.
    """
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
        for layer, mask in masks.items():
            layer.weight.data *= mask
        return


@misconception("lab2_pruning.finetune_after_prune", fails=("finetune_trains_the_rest", "finetune_heals", *_NOT_HELD))
def prunes_again_after_every_step(net, trainloader, criterion, optimizer, prune=True):
    """Every step prunes further

    Fine-tuning prunes a part of what is left after every step, until almost nothing remains. It should only hold the
    zeros that it was given.

    Hint: Print `sparsity_by_layer(net)` after every step.
    """
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


@misconception("lab2_pruning.pruning_percentage", fails=_WRONG_RAMP)
def ramp_starts_at_zero(epoch, target=70.0, ramp_epochs=10):
    """The ramp begins one epoch late

    Nothing is pruned before the first epoch, and the target comes one epoch too late. Epochs count from 1 here.

    Hint: Print the percentages before epochs 1 and 10.
    """
    return target * min(epoch - 1, ramp_epochs) / ramp_epochs


@misconception("lab2_pruning.pruning_percentage", fails=_WRONG_STEPS)
def ramp_one_step_ahead(epoch, target=70.0, ramp_epochs=10):
    """The ramp is one epoch ahead

    Every percentage comes one epoch too early: the first step is twice as high, and the target is reached before the
    ramp's last epoch.

    Hint: Print the percentages before epochs 1 and 10.
    """
    return target * min(epoch + 1, ramp_epochs) / ramp_epochs


@misconception("lab2_pruning.pruning_percentage", fails=_WRONG_RAMP)
def ramp_never_reaches_the_target(epoch, target=70.0, ramp_epochs=10):
    """The ramp never reaches the target

    The steps are too small, as if the ramp were one epoch longer: at its end the percentage is still below the target,
    and it stays there.

    Hint: Print the percentage before the ramp's last epoch and after it.
    """
    return target * min(epoch, ramp_epochs) / (ramp_epochs + 1)


@misconception("lab2_pruning.pruning_percentage", fails=_WRONG_RAMP)
def ramp_as_a_fraction(epoch, target=70.0, ramp_epochs=10):
    """The ramp is a fraction, not a percentage

    The values are a hundredth of what they should be; `target` and the result are in percent.

    Hint: With the defaults, what should come before the first epoch?
    """
    return target / 100 * min(epoch, ramp_epochs) / ramp_epochs


@misconception("lab2_pruning.pruning_percentage", fails=_WRONG_RAMP)
def increment_for_the_percentage(epoch, target=70.0, ramp_epochs=10):
    """The increment instead of the percentage

    The result is the same before every epoch, the amount by which the percentage should rise. Asked for is the
    percentage of all weights that are zero, not what is added.

    Hint: With the defaults, what should come before the second epoch?
    """
    return target / ramp_epochs


@misconception("lab2_pruning.pruning_percentage", fails=_WRONG_STEPS)
def cubic_ramp(epoch, target=70.0, ramp_epochs=10):
    """The ramp is not a straight line

    The percentage rises fast at first and slowly at the end, a schedule that is known from papers. Asked for is the
    same amount before each epoch.

    Hint: Print the differences between the percentages of successive epochs.
    """
    return target * (1 - (1 - min(epoch, ramp_epochs) / ramp_epochs) ** 3)


@misconception("lab2_pruning.pruning_percentage", fails=("ramp_percentages", "ramps_of_other_lengths"))
def ramp_does_not_stop(epoch, target=70.0, ramp_epochs=10):
    """The ramp does not stop at the target

    After the ramp the percentage goes on rising, in the end beyond 100; it should stay at the target.

    Hint: Print the percentage before epoch 20.
    """
    return target * epoch / ramp_epochs


@misconception("lab2_pruning.pruning_percentage", fails=("ramp_percentages", "ramps_of_other_lengths"))
def nothing_after_the_ramp(epoch, target=70.0, ramp_epochs=10):
    """The percentage falls to zero after the ramp

    After the ramp the percentage should stay at the target, since the network stays as sparse as it is.

    Hint: Print the percentage before epoch 20.
    """
    return target * epoch / ramp_epochs if epoch <= ramp_epochs else 0.0


@misconception("lab2_pruning.pruning_percentage", fails=("ramps_of_other_lengths",))
def ramp_in_whole_percents(epoch, target=70.0, ramp_epochs=10):
    """The steps of the ramp are rounded to whole percents

    The increment is rounded before it is multiplied, so that the ramp misses its target unless `ramp_epochs` divides
    it.

    Hint: Print the last percentage of a ramp of 6 epochs to 50 percent.
    """
    return target // ramp_epochs * min(epoch, ramp_epochs)


@misconception(
    "lab2_pruning.pruning_percentage",
    fails=(
        "ramps_of_other_lengths",
        "iterative_follows_the_ramp",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def ramp_with_fixed_numbers(epoch, target=70.0, ramp_epochs=10):
    """The ramp of the defaults, whatever is asked

    The percentages are right for the defaults, but do not change with `target` and `ramp_epochs`.

    Hint: Try a ramp of 2 epochs.
    """
    return min(7.0 * epoch, 70.0)


@misconception("lab2_pruning.iterative_prune", fails=("iterative_lets_weights_recover",))
def frozen_from_the_start(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """Pruned weights are frozen from the first epoch on

    While the ramp rises, pruned weights should be able to recover, so that the next step can choose anew; here they
    are held at zero from the first epoch on.

    Hint: Which epochs should train with `prune=False`?
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


@misconception("lab2_pruning.iterative_prune", fails=_NOT_HELD)
def frozen_one_epoch_late(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """The zeros are not held after the last pruning step

    The epoch after the last pruning step still trains without a mask, so that the pruned weights grow back. A mask
    that comes later finds hardly any zeros left to hold.

    Hint: Print `sparsity_by_layer(net)` after each epoch around the end of the ramp.
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


@misconception("lab2_pruning.iterative_prune", fails=_NOT_HELD)
def prunes_again_instead_of_holding(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """Pruned anew before every epoch instead of held

    After the ramp the network is pruned before each epoch, but its zeros are not held while it trains. They grow back
    every time, also in the last epoch.

    Hint: Print `sparsity_by_layer(net)` at the end.
    """
    for epoch in range(1, epochs + 1):
        q = pruning_percentage(min(epoch, ramp_epochs), target, ramp_epochs)
        if global_threshold:
            global_prune_by_percentage(net, q)
        else:
            for layer in prunable_layers(net).values():
                prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=False)


@misconception("lab2_pruning.iterative_prune", fails=_NOT_HELD)
def holds_the_zeros_of_the_first_step(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """The mask is that of the first pruning step

    What is held after the ramp is what the first step pruned, so that the final sparsity is that of the ramp's first
    step.

    Hint: When is your mask taken, and how sparse is the network then?
    """
    masks = {}
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in prunable_layers(net).values():
                    prune_by_percentage(layer, q)
        if epoch == 1:
            masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()}
        net.train()
        for images, labels in trainloader:
            optimizer.zero_grad()
            criterion(net(images), labels).backward()
            optimizer.step()
            for layer, mask in masks.items():
                if epoch >= ramp_epochs:
                    layer.weight.data *= mask


@misconception("lab2_pruning.iterative_prune", fails=_WRONG_ITERATION)
def percentage_of_what_remains(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """The percentage is taken of what remains

    Each step prunes its percentage of the weights that are still there, as repeated calls of `torch.nn.utils.prune`
    do, so that the network ends sparser than the target. The percentages of the ramp are of all weights.

    Hint: How sparse is a layer after pruning 70 percent of it twice, each time of what is left?
    """
    from torch.nn.utils import prune

    chosen = [(layer, "weight") for layer in prunable_layers(net).values()]
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            amount = pruning_percentage(epoch, target, ramp_epochs) / 100
            if global_threshold:
                prune.global_unstructured(chosen, pruning_method=prune.L1Unstructured, amount=amount)
            else:
                for layer, name in chosen:
                    prune.l1_unstructured(layer, name, amount)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=False)
    for layer, name in chosen:
        prune.remove(layer, name)


@misconception("lab2_pruning.iterative_prune", fails=_WRONG_ITERATION)
def prunes_after_the_epoch(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """Pruned after each epoch instead of before

    The first epoch trains the whole network, and each pruning step comes one epoch too late.

    Hint: Print `sparsity_by_layer(net)` before each epoch.
    """
    for epoch in range(1, epochs + 1):
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch > ramp_epochs)
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in prunable_layers(net).values():
                    prune_by_percentage(layer, q)


@misconception(
    "lab2_pruning.iterative_prune",
    fails=("iterative_follows_the_ramp", "iterative_freezes_after_the_ramp", "global_iterative_uses_one_threshold"),
)
def epochs_counted_from_zero(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """The epochs are counted from zero

    The first epoch is called 0, so that it trains an unpruned network and every pruning step comes one epoch late,
    while `pruning_percentage` counts from 1.

    Hint: Print the percentage that you prune to before each epoch.
    """
    for epoch in range(epochs):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in prunable_layers(net).values():
                    prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)


@misconception(
    "lab2_pruning.iterative_prune",
    fails=("iterative_follows_the_ramp", "iterative_lets_weights_recover", "global_iterative_uses_one_threshold"),
)
def prunes_to_the_target_at_once(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """Pruned to the target at once

    The network has its final sparsity from the first epoch on. The idea of iterative pruning is to go there in small
    steps, with training in between.

    Hint: Print `sparsity_by_layer(net)` before each epoch.
    """
    if global_threshold:
        global_prune_by_percentage(net, target)
    else:
        for layer in prunable_layers(net).values():
            prune_by_percentage(layer, target)
    for _ in range(epochs):
        finetune_after_prune(net, trainloader, criterion, optimizer)


@misconception(
    "lab2_pruning.iterative_prune", fails=("iterative_freezes_after_the_ramp", "global_iterative_keeps_accuracy")
)
def goes_on_pruning_after_the_ramp(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """Pruning goes on after the ramp

    Every epoch adds another step, also after the target is reached, so that the network ends sparser than the target.

    Hint: Print `sparsity_by_layer(net)` after each epoch.
    """
    for epoch in range(1, epochs + 1):
        q = min(target * epoch / ramp_epochs, 99)
        if global_threshold:
            global_prune_by_percentage(net, q)
        else:
            for layer in prunable_layers(net).values():
                prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)


@misconception("lab2_pruning.iterative_prune", fails=_NOT_HELD)
def ends_with_the_ramp(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """Training ends with the ramp

    Only the epochs of the ramp are trained. The network needs those after it to recover from the last pruning step.

    Hint: Count the epochs, and compare with the argument `epochs`.
    """
    for epoch in range(1, ramp_epochs + 1):
        q = pruning_percentage(epoch, target, ramp_epochs)
        if global_threshold:
            global_prune_by_percentage(net, q)
        else:
            for layer in prunable_layers(net).values():
                prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch == ramp_epochs)


@misconception("lab2_pruning.iterative_prune", fails=_WRONG_ITERATION)
def trains_a_copy(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """The network itself is not trained

    No batch goes through the network in training mode: a copy of it is used, or none. The optimizer holds the
    parameters of the network that was passed in, so it does not train a copy either. It should be pruned and trained in
    place.

    Hint: Compare the network's weights before and after the call.
    """
    import copy

    net = copy.deepcopy(net)
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in prunable_layers(net).values():
                    prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)
    return net


@misconception(
    "lab2_pruning.iterative_prune",
    fails=("iterative_follows_the_ramp", "iterative_lets_weights_recover", "iterative_freezes_after_the_ramp"),
)
def skips_the_first_layer(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """The first layer is not pruned

    The first convolution is left dense, as many papers do; here it is prunable like the others.

    Hint: Print `sparsity_by_layer(net)` after the first pruning step.
    """
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in list(prunable_layers(net).values())[1:]:
                    prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)


@misconception("lab2_pruning.iterative_prune", fails=("iterative_follows_the_ramp",))
def prunes_the_shortcuts_on_the_ramp(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """The shortcuts are pruned on the ramp

    Every convolution and linear layer of the network is pruned before each epoch of the ramp, also those of the
    shortcuts (`id_mapping`), which are not prunable here.

    Hint: Compare the layers that you prune with those of `prunable_layers(net)`.
    """
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            q = pruning_percentage(epoch, target, ramp_epochs)
            if global_threshold:
                global_prune_by_percentage(net, q)
            else:
                for layer in net.modules():
                    if isinstance(layer, (nn.Conv2d, nn.Linear)):
                        prune_by_percentage(layer, q)
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)


@misconception("lab2_pruning.iterative_prune", fails=("iterative_follows_the_ramp", "iterative_freezes_after_the_ramp"))
def one_threshold_whatever_is_asked(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """One threshold for all layers, although not asked for

    Without `global_threshold` every layer is pruned to the percentage on its own; here one threshold serves the whole
    network, so that some layers end sparser than others.

    Hint: Print `sparsity_by_layer(net)` after the first pruning step.
    """
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            global_prune_by_percentage(net, pruning_percentage(epoch, target, ramp_epochs))
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)


@misconception("lab2_pruning.iterative_prune", fails=("global_iterative_uses_one_threshold",))
def ignores_the_global_threshold(
    net, trainloader, criterion, optimizer, epochs=20, target=70.0, ramp_epochs=10, global_threshold=False
):
    """`global_threshold` makes no difference

    With `global_threshold` one threshold serves all layers; here every layer is pruned on its own all the same.

    Hint: Look for the places where your code uses the argument `global_threshold`.
    """
    for epoch in range(1, epochs + 1):
        if epoch <= ramp_epochs:
            for layer in prunable_layers(net).values():
                prune_by_percentage(layer, pruning_percentage(epoch, target, ramp_epochs))
        finetune_after_prune(net, trainloader, criterion, optimizer, prune=epoch >= ramp_epochs)


# --- 2(e)


@misconception(
    "lab2_pruning.global_prune_by_percentage",
    fails=("global_uses_one_threshold", "global_iterative_uses_one_threshold", "global_at_other_percentages"),
)
def one_threshold_per_layer(net, q=70.0):
    """A threshold for every layer

    Every layer loses q percent of its own weights, which is 2(b) again. One threshold should serve all layers, so that
    those with many small weights lose more.

    Hint: Print `sparsity_by_layer(net)`: should all layers be equally sparse?
    """
    for layer in prunable_layers(net).values():
        prune_by_percentage(layer, q)


@misconception("lab2_pruning.global_prune_by_percentage", fails=_WRONG_GLOBALLY)
def threshold_averaged_over_layers(net, q=70.0):
    """The thresholds of the layers are averaged

    The mean of the layers' percentiles is not the percentile of all weights together: a small layer counts in it as
    much as a large one.

    Hint: Compare the sparsity of the whole network with q.
    """
    layers = prunable_layers(net).values()
    with torch.no_grad():
        threshold = sum(torch.quantile(layer.weight.abs(), q / 100) for layer in layers) / len(layers)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() > threshold)


@misconception(
    "lab2_pruning.global_prune_by_percentage", fails=("global_uses_one_threshold", "global_at_other_percentages")
)
def scales_the_layers_first(net, q=70.0):
    """The magnitudes are divided by the largest one of their layer

    The weights are compared after each layer was scaled to the same size, so that a large weight of one layer can go
    while a smaller one of another stays. The magnitudes themselves should be compared.

    Hint: Compare the largest pruned magnitude with the smallest kept one, over all layers.
    """
    layers = prunable_layers(net).values()
    with torch.no_grad():
        scores = [layer.weight.abs() / layer.weight.abs().max() for layer in layers]
        threshold = torch.quantile(torch.cat([score.flatten() for score in scores]), q / 100)
        for layer, score in zip(layers, scores, strict=True):
            layer.weight.mul_(score > threshold)


@misconception("lab2_pruning.global_prune_by_percentage", fails=_WRONG_GLOBALLY)
def global_threshold_of_signed_weights(net, q=70.0):
    """The global threshold is one of signed weights

    The threshold is the percentile of all weights with their signs. About half of them are negative, so it is far
    lower than that of the magnitudes, and too few weights are pruned.

    Hint: Print the threshold at q = 35: can it be a magnitude?
    """
    layers = prunable_layers(net).values()
    with torch.no_grad():
        threshold = torch.quantile(torch.cat([layer.weight.flatten() for layer in layers]), q / 100)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() > threshold)


@misconception("lab2_pruning.global_prune_by_percentage", fails=_WRONG_GLOBALLY)
def global_percentage_taken_as_fraction(net, q=70.0):
    """Less than one percent of the network is pruned

    Only a hundredth of the q percent is pruned, as when `q` is divided by 100 for a function that takes percent, such
    as `np.percentile`.

    Hint: Print the sparsity of the whole network after pruning at q = 70.
    """
    import numpy as np

    layers = prunable_layers(net).values()
    with torch.no_grad():
        magnitudes = np.concatenate([layer.weight.abs().numpy().ravel() for layer in layers])
        threshold = float(np.percentile(magnitudes, q / 100))
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() > threshold)


@misconception(
    "lab2_pruning.global_prune_by_percentage",
    fails=(*_WRONG_GLOBALLY, "global_uses_one_threshold", "global_touches_only_prunable_weights"),
)
def prunes_copies_of_the_layers(net, q=70.0):
    """The network is left as it was

    The network is the same after the call: its weights were pruned in copies only, or the results were not put back.

    Hint: Print `sparsity_by_layer(net)` after the call.
    """
    weights = [layer.weight.detach().clone() for layer in prunable_layers(net).values()]
    threshold = torch.quantile(torch.cat([weight.abs().flatten() for weight in weights]), q / 100)
    for weight in weights:
        weight[weight.abs() <= threshold] = 0


@misconception("lab2_pruning.global_prune_by_percentage", fails=(*_WRONG_GLOBALLY, "global_uses_one_threshold"))
def leaves_out_the_linear_layer(net, q=70.0):
    """The linear layer is left out

    The threshold is taken over the convolutions alone, and the linear layer at the end stays dense, although it is
    prunable as well.

    Hint: Print `sparsity_by_layer(net)` after the call.
    """
    layers = [layer for layer in prunable_layers(net).values() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        threshold = torch.quantile(torch.cat([layer.weight.abs().flatten() for layer in layers]), q / 100)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() > threshold)


@misconception(
    "lab2_pruning.global_prune_by_percentage", fails=(*_WRONG_GLOBALLY, "global_touches_only_prunable_weights")
)
def prunes_shortcuts_too(net, q=70.0):
    """The shortcuts are pruned as well

    The convolutions of the shortcuts (`id_mapping`) are pruned, and their weights count for the threshold; they are
    not prunable here.

    Hint: Compare the layers that you prune with those of `prunable_layers(net)`.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        threshold = torch.quantile(torch.cat([layer.weight.abs().flatten() for layer in layers]), q / 100)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() > threshold)


@misconception("lab2_pruning.global_prune_by_percentage", fails=_WRONG_GLOBALLY)
def prunes_batchnorm_too(net, q=70.0):
    """The scales of BatchNorm are taken for weights

    Everything that is called `weight` counts for the threshold, also the scales of BatchNorm, of which a zero would
    switch a whole channel off. Only the weights of convolutions and linear layers are prunable.

    Hint: Print the names and shapes of the tensors that you prune.
    """
    weights = [p for name, p in net.named_parameters() if name.endswith("weight") and "id_mapping" not in name]
    with torch.no_grad():
        threshold = torch.quantile(torch.cat([weight.abs().flatten() for weight in weights]), q / 100)
        for weight in weights:
            weight.mul_(weight.abs() > threshold)


@misconception(
    "lab2_pruning.global_prune_by_percentage", fails=(*_WRONG_GLOBALLY, "global_touches_only_prunable_weights")
)
def prunes_every_parameter(net, q=70.0):
    """Every parameter is pruned

    Biases, BatchNorm and the shortcuts are pruned together with the weights, and count for the threshold.

    Hint: Print the names and shapes of the tensors that you prune.
    """
    with torch.no_grad():
        threshold = torch.quantile(torch.cat([p.abs().flatten() for p in net.parameters()]), q / 100)
        for parameter in net.parameters():
            parameter.mul_(parameter.abs() > threshold)


@misconception("lab2_pruning.global_prune_by_percentage", fails=("global_touches_only_prunable_weights",))
def makes_new_parameters(net, q=70.0):
    """The layers get new Parameters

    The weights are other Parameters after the call. The optimizer still holds the old ones, so that the network's own
    weights are never trained again.

    Hint: Compare `id(layer.weight)` before and after the call.
    """
    layers = prunable_layers(net).values()
    threshold = torch.quantile(torch.cat([layer.weight.detach().abs().flatten() for layer in layers]), q / 100)
    for layer in layers:
        layer.weight = nn.Parameter(layer.weight.detach() * (layer.weight.detach().abs() > threshold))


@misconception(
    "lab2_pruning.global_prune_by_percentage",
    fails=("global_uses_one_threshold", "global_iterative_keeps_accuracy", "global_at_other_percentages"),
)
def prunes_the_largest_globally(net, q=70.0):
    """The largest weights of the network are pruned

    The right number of weights is removed, but from the wrong end: those of largest magnitude go and the small ones,
    which matter least, stay.

    Hint: Print the largest magnitude in the network before and after pruning.
    """
    layers = prunable_layers(net).values()
    with torch.no_grad():
        threshold = torch.quantile(torch.cat([layer.weight.abs().flatten() for layer in layers]), 1 - q / 100)
        for layer in layers:
            layer.weight.mul_(layer.weight.abs() < threshold)

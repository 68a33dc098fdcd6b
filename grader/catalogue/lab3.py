"""Mistakes in Lab 3. Names such as ``STE`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception

# --- 3(a): forward


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_evenly_spaced",
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_keeps_zeros",
        "ste_leaves_its_input",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def mask_inverted(ctx, w, bit, symmetric=False):
    """The mask is 1 where a weight is kept; here it is 1 at the pruned ones, and every other weight becomes
    zero.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    mask = w == 0
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, alpha = (-largest, 2 * largest) if symmetric else (kept.min(), kept.max() - kept.min())
    alpha = alpha.clamp_min(1e-12)
    return (torch.round((w - beta) / alpha * (2**bit - 1)) / (2**bit - 1) * alpha + beta) * mask


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_range_of_nonzeros",
        "ste_on_other_tensors",
    ),
)
def range_with_zeros(ctx, w, bit, symmetric=False):
    """The range is that of the non-zero weights; with the zeros in it, levels are wasted between zero and
    them.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    largest = w.abs().max()
    beta, top = (-largest, largest) if symmetric else (w.min(), w.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_on_other_tensors",
    ),
)
def range_by_magnitude(ctx, w, bit, symmetric=False):
    """The levels divide [min, max]; from -max |w| to max |w| is the symmetric variant, which
    wastes one side.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    largest = w.abs().max()
    R = torch.round((w + largest) / (2 * largest) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(-largest, largest, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_on_other_tensors",
        "network_is_quantized",
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
        "symmetric_levels",
        "symmetric_on_other_tensors",
    ),
)
def one_level_too_many(ctx, w, bit, symmetric=False):
    """2^bit levels have 2^bit - 1 steps between them; 2^bit steps make one level too many."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * 2**bit) / 2**bit
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "qat_regains_accuracy",
        "symmetric_levels",
        "symmetric_on_other_tensors",
    ),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def half_of_the_levels(ctx, w, bit, symmetric=False):
    """2^(bit-1) counts the levels on one side of zero; the whole range has 2^bit of them."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * 2 ** (bit - 1)) / 2 ** (bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "qat_regains_accuracy",
        "symmetric_levels",
        "symmetric_on_other_tensors",
        "ste_evenly_spaced",
        "ste_rounds_to_nearest",
    ),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def only_two_values(ctx, w, bit, symmetric=False):
    """Every weight moves to one of the two ends, however many bits there are: the levels in between are
    missing.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    low, high = (-largest, largest) if symmetric else (kept.min(), kept.max())
    return torch.where(w < (low + high) / 2, low, high) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
        "symmetric_rounds_to_nearest",
        "symmetric_on_other_tensors",
    ),
)
def rounds_down(ctx, w, bit, symmetric=False):
    """Weights move to the nearest level; truncation moves all of them down, by half a step on average."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.floor((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
        "symmetric_levels",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def offset_forgotten(ctx, w, bit, symmetric=False):
    """After the rounding, R alpha has to be moved back by beta; without it the levels start at zero."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    alpha = (top - beta).clamp_min(1e-12)
    return torch.round((w - beta) / alpha * (2**bit - 1)) / (2**bit - 1) * alpha * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=("ste_keeps_zeros", "ste_on_other_tensors", "symmetric_rounds_to_nearest", "symmetric_on_other_tensors"),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def mask_missing(ctx, w, bit, symmetric=False):
    """Pruned weights stay exactly zero; without a mask they move to the nearest level, which is not zero."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R)


@misconception("FP_layers.STE.forward", fails=("ste_degenerate_layers",))
def divides_by_zero(ctx, w, bit, symmetric=False):
    """A layer without non-zero weights has no range, and one with a single value has a range of zero."""
    if bit is None:
        return w.clone()
    if bit == 0:
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("ste_without_bits",))
def special_bits_forgotten(ctx, w, bit, symmetric=False):
    """`bit` None means "leave the weights as they are" and 0 means "all zero"; both need a line
    of their own.
    """
    kept = w[w != 0]
    if kept.numel() == 0 or kept.min() == kept.max():
        return w.clone()
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_leaves_its_input",
        "fp_layers_follow_training",
    ),
    may_fail=(
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
    ),
)
def quantizes_in_place(ctx, w, bit, symmetric=False):
    """The float weight is what is trained: it must stay as it is, and the quantized one is a new tensor."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    w.data.copy_(torch.lerp(beta, top, R) * (w != 0))
    return w.clone()


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_evenly_spaced",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "network_is_quantized",
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_on_other_tensors",
    ),
)
def range_per_channel(ctx, w, bit, symmetric=False):
    """One range serves the whole layer; with one per output channel there are 2^bit levels in
    each of them.
    """
    if bit is None:
        return w.clone()
    if bit == 0:
        return torch.zeros_like(w)
    channels = []
    for channel in w:
        kept = channel[channel != 0]
        if kept.numel() < 2:
            channels.append(channel)
            continue
        largest = kept.abs().max()
        beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
        R = torch.round((channel - beta) / (top - beta).clamp_min(1e-12) * (2**bit - 1)) / (2**bit - 1)
        channels.append(torch.lerp(beta, top, R) * (channel != 0))
    return torch.stack(channels)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_evenly_spaced",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_on_other_tensors",
    ),
    may_fail=("qat_regains_accuracy", "qat_of_a_sparse_network_regains_accuracy"),
)
def levels_at_quantiles(ctx, w, bit, symmetric=False):
    """A codebook at the weights' quantiles shares values but is not fixed-point: its levels are not evenly
    spaced.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    codebook = torch.quantile(w[w != 0], torch.linspace(0, 1, 2**bit, dtype=w.dtype))
    nearest = (w.reshape(-1, 1) - codebook).abs().argmin(dim=1)
    return codebook[nearest].reshape(w.shape) * (w != 0)


# --- 3(a): backward


@misconception(
    "FP_layers.STE.backward",
    fails=(
        "ste_passes_the_gradient",
        "ste_passes_the_gradient_of_zeros",
        "fp_layers_follow_training",
        "ste_gradient_on_other_tensors",
    ),
    may_fail=("qat_regains_accuracy", "qat_of_a_sparse_network_regains_accuracy"),
)
def gradient_of_rounding(ctx, g):
    """The true derivative of rounding is zero, and nothing would ever train; the estimator takes
    it as one.
    """
    return torch.zeros_like(g), None, None


@misconception(
    "FP_layers.STE.backward",
    fails=(
        "ste_passes_the_gradient",
        "ste_passes_the_gradient_of_zeros",
        "fp_layers_follow_training",
        "ste_gradient_on_other_tensors",
    ),
)
def gradient_clipped(ctx, g):
    """The gradient passes as it is; nothing in the straight-through estimator clips it."""
    return g.clamp(-1, 1), None, None


@misconception(
    "FP_layers",
    fails=(
        "ste_passes_the_gradient_of_zeros",
        "fp_layers_follow_training",
        "ste_gradient_on_other_tensors",
    ),
)
def gradient_masked():
    """The estimator passes the gradient to pruned weights too; what holds their zeros is the
    training loop.
    """

    def _remember(forward):
        def remembering(ctx, w, bit, symmetric=False):
            ctx.save_for_backward(w != 0)
            return forward(ctx, w, bit, symmetric)

        return remembering

    STE.forward = staticmethod(_remember(STE.forward))
    STE.backward = staticmethod(lambda ctx, g: (g * ctx.saved_tensors[0], None, None))


# --- 3(a): the layers


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=(
        "fp_conv_forward",
        "fp_layers_follow_training",
        "network_is_quantized",
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
        "symmetric_reaches_the_layers",
    ),
)
def float_convolution(self, x):
    """The layer computes with the float weight: the quantized one is made and never used."""
    STE.apply(self.conv.weight, self.Nbits, self.symmetric)
    return self.conv(x)


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=("fp_conv_forward", "fp_layers_follow_training"),
    may_fail=("qat_regains_accuracy", "qat_of_a_sparse_network_regains_accuracy"),
)
def stride_forgotten(self, x):
    """The convolution needs the layer's stride and padding, not `F.conv2d`'s defaults."""
    weight = STE.apply(self.conv.weight, self.Nbits, self.symmetric)
    return F.conv2d(x, weight, self.conv.bias, padding=self.conv.padding)


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=("fp_layers_follow_training",),
    may_fail=("qat_regains_accuracy", "qat_of_a_sparse_network_regains_accuracy"),
)
def gradient_detached(self, x):
    """`.data` cuts the gradient off, so that the float weight never trains: give STE.apply the parameter
    itself.
    """
    conv = self.conv
    weight = STE.apply(conv.weight.data, self.Nbits, self.symmetric)
    return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=("fp_layers_follow_training",),
    may_fail=(
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
    ),
)
def float_weight_overwritten(self, x):
    """The quantized weight replaces the float one, so that small updates are rounded away and
    training stalls.
    """
    self.conv.weight.data = STE.apply(self.conv.weight.data, self.Nbits, self.symmetric)
    return self.conv(x)


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=("fp_layers_follow_training",),
    may_fail=("qat_regains_accuracy", "qat_of_a_sparse_network_regains_accuracy"),
)
def quantized_once(self, x):
    """The weight is quantized in the first pass only; later passes do not follow it as it trains."""
    if not hasattr(self, "kept"):
        self.kept = STE.apply(self.conv.weight, self.Nbits, self.symmetric)
    conv = self.conv
    return F.conv2d(x, self.kept, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception(
    "FP_layers.FP_Linear.forward",
    fails=(
        "fp_linear_forward",
        "fp_layers_follow_training",
        "symmetric_reaches_the_layers",
    ),
)
def bias_forgotten(self, x):
    """The bias stays in floating point, but it is still part of the layer."""
    return F.linear(x, STE.apply(self.linear.weight, self.Nbits, self.symmetric))


# --- 3(b)


@misconception(
    "lab3_quantization.accuracy_by_bits",
    fails=(
        "accuracy_by_bits_is_measured",
        "network_is_quantized",
    ),
)
def one_network_for_all_bits(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """A network keeps the number of bits that it was made with: make a new one for each."""
    net = make_net(max(bits))
    net.load_state_dict(state_dict)
    return {num_bits: evaluate(net) for num_bits in bits}


@misconception(
    "lab3_quantization.accuracy_by_bits",
    fails=(
        "accuracy_by_bits_is_measured",
        "accuracy_by_bits_spares_the_checkpoint",
        "network_is_quantized",
    ),
)
def checkpoint_rounded(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """The checkpoint itself is rounded, so that every number of bits starts from what the last
    one left of it.
    """
    accuracies = {}
    for num_bits in bits:
        for name, weight in state_dict.items():
            if name.endswith("conv.weight"):
                step = weight.abs().max() / (2 ** (num_bits - 1) - 1)
                weight.copy_(torch.round(weight / step) * step)
        net = make_net(num_bits)
        net.load_state_dict(state_dict)
        accuracies[num_bits] = evaluate(net)
    return accuracies


# --- 3(c), 3(d)


@misconception("lab3_quantization.finetune_quantized", fails=("qat_keeps_sparsity",))
def regrows_pruned_weights(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """The straight-through gradient reaches pruned weights as well: without a mask the sparsity is lost in a
    step.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
    return net


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=(
        "qat_starts_from_the_checkpoint",
        "qat_regains_accuracy",
        "qat_keeps_sparsity",
    ),
)
def starts_from_scratch(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """The checkpoint is never loaded: this trains a new network, which no longer is the pruned one either."""
    net = make_net(num_bits)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
    return net


@misconception("lab3_quantization.finetune_quantized", fails=("qat_starts_from_the_checkpoint",))
def trains_the_checkpoint_itself(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """`assign=True` makes the checkpoint's own tensors the parameters, so that training changes the
    checkpoint.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict, assign=True)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for weight, mask in masks.items():
                weight.data *= mask
    return net


@misconception("lab3_quantization.finetune_quantized", fails=("qat_trains_the_float_weights",))
def returns_quantized_weights(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """The result should hold the float weights, which the layers quantize; here rounded ones are saved over
    them.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    weights = [weight for weight in net.parameters() if weight.dim() > 1]
    masks = [weight.detach() != 0 for weight in weights]
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for weight, mask in zip(weights, masks, strict=True):
                weight.data *= mask
    for weight in weights:
        low, step = weight.data.min(), (weight.data.max() - weight.data.min()) / (2**num_bits - 1)
        weight.data.copy_((torch.round((weight.data - low) / step) * step + low) * (weight.data != 0))
    return net


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=(
        "qat_trains_the_float_weights",
        "qat_trains_a_sparse_network",
        "qat_keeps_sparsity",
        "qat_starts_from_the_checkpoint",
    ),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def freezes_every_weight(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """Restoring the checkpoint's weights after every step holds the zeros, but everything else as well."""
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for name, weight in net.named_parameters():
                if weight.dim() > 1:
                    weight.data.copy_(state_dict[name])
    return net


# --- bonus


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_on_other_tensors",
    ),
)
def symmetric_ignored(ctx, w, bit, symmetric=False):
    """`symmetric` changes nothing here: the range is still [min, max], which is not symmetric around zero."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def symmetric_around_the_mean(ctx, w, bit, symmetric=False):
    """A symmetric scale is max |w|; three times the mean magnitude cuts off the largest weights."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    scale = 2 * kept.abs().mean()
    beta, top = (-scale, scale) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round(((w - beta) / (top - beta)).clamp(0, 1) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "symmetric_levels",
        "symmetric_on_other_tensors",
    ),
)
def symmetric_with_one_level_too_many(ctx, w, bit, symmetric=False):
    """2^(bit-1) steps on each side of zero, and zero itself, make 2^bit + 1 levels."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    if symmetric:
        step = kept.abs().max() / 2 ** (bit - 1)
        return torch.round(w / step) * step
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "symmetric_rounds_to_nearest",
        "symmetric_on_other_tensors",
    ),
)
def symmetric_rounds_down(ctx, w, bit, symmetric=False):
    """Casting to an integer cuts towards zero; each weight should move to the nearest level."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    if symmetric:
        step = kept.abs().max() / (2 ** (bit - 1) - 1)
        return (w / step * (1 + 1e-6)).int() * step
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.FP_Conv.forward", fails=("symmetric_reaches_the_layers",))
def layer_forgets_symmetric(self, x):
    """The layer knows that it is to quantize symmetrically, but does not tell `STE`."""
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits)
    return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)

"""Barely wrong, Lab 3: each lies just beyond a tolerance. Names such as ``STE`` belong to the module that it joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import near_miss

# --- 3(a): the estimator


@near_miss(
    "FP_layers.STE.backward",
    guards=("GRADIENT",),
    fails=("ste_passes_the_gradient", "ste_passes_the_gradient_of_zeros", "ste_gradient_on_other_tensors"),
)
def gradient_scaled(ctx, g):
    """The gradient is 3e-6 too large, which is 25 times the rounding error of float32."""
    return g * (1 + 3e-6), None, None


@near_miss("FP_layers", guards=("RANGE",), fails=("ste_extremes", "ste_range_of_nonzeros", "ste_on_other_tensors"))
def levels_scaled():
    """Asymmetric levels are 6e-6 too small, about 50 units of the last place."""
    _right = STE.forward

    def _scaled(ctx, w, bit, symmetric=False):
        wq = _right(ctx, w, bit, symmetric)
        return wq * (1 - 6e-6) if bit and not symmetric else wq

    STE.forward = staticmethod(_scaled)


@near_miss("FP_layers", guards=("OUTERMOST",), fails=("symmetric_outermost_level", "symmetric_on_other_tensors"))
def symmetric_levels_scaled():
    """Symmetric levels are 3e-6 too small, 25 times the rounding error of float32."""
    _right = STE.forward

    def _scaled(ctx, w, bit, symmetric=False):
        wq = _right(ctx, w, bit, symmetric)
        return wq * (1 - 3e-6) if bit and symmetric else wq

    STE.forward = staticmethod(_scaled)


@near_miss(
    "FP_layers",
    guards=("MERGED",),
    fails=(
        "ste_levels",
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
def levels_split():
    """Weights above their level stay 3e-5 of the range above it, so that most levels are two."""
    _right = STE.forward

    def _split(ctx, w, bit, symmetric=False):
        wq = _right(ctx, w, bit, symmetric)
        if not bit:
            return wq
        return torch.where((w > wq) & (w != 0), wq + 3e-5 * (wq.max() - wq.min()), wq)

    STE.forward = staticmethod(_split)


@near_miss("FP_layers.STE.forward", guards=("NEAREST",), fails=("ste_on_other_tensors", "symmetric_rounds_to_nearest"))
def rounds_up_early(ctx, w, bit, symmetric=False):
    """Weights up to 9e-5 of the range below the middle between two levels move to the upper one."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round(((w - beta) / (top - beta) + 9e-5).clamp_max(1) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@near_miss(
    "FP_layers.STE.forward",
    guards=("SHARED",),
    fails=(
        "ste_levels",
        "ste_evenly_spaced",
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_keeps_zeros",
        "ste_leaves_its_input",
        "fp_conv_forward",
        "fp_linear_forward",
        "fp_layers_follow_training",
        "ste_on_other_tensors",
        "network_is_quantized",
        "qat_regains_accuracy",
        "qat_of_a_sparse_network_regains_accuracy",
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def ten_thousand_levels(ctx, w, bit, symmetric=False):
    """So many levels that few weights share one: hardly anything is quantized."""
    if bit == 0:
        return torch.zeros_like(w)
    step = w.abs().max() / 10_000
    return torch.round(w / step) * step if bit and w.any() else w.clone()


@near_miss("FP_layers.STE.forward", guards=("SPACING",), fails=("ste_evenly_spaced", "ste_on_other_tensors"))
def levels_bent(ctx, w, bit, symmetric=False):
    """From 4 bits on, the gaps between asymmetric levels shrink by 6 % from one end of the range to the other."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    t = torch.linspace(0, 1, 2**bit, dtype=w.dtype)
    levels = torch.lerp(beta, top, t if symmetric or bit < 4 else t + 0.03 * t * (1 - t))
    nearest = (w.reshape(-1, 1) - levels).abs().argmin(dim=1)
    return levels[nearest].reshape(w.shape) * (w != 0)


@near_miss("FP_layers.STE.forward", guards=("SYMMETRY",), fails=("symmetric_around_zero", "symmetric_on_other_tensors"))
def mirrored_levels_shifted(ctx, w, bit, symmetric=False):
    """The symmetric levels start at the largest magnitude, with a step that misses the mirrored grid by 0.15 halves."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    if symmetric:
        first = kept[kept.abs().argmax()]
        step = 2 * first / (2**bit - 1.15)
        return (first - torch.round((first - w) / step) * step) * (w != 0)
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


# --- 3(a): the layers


@near_miss(
    "FP_layers.FP_Conv.forward",
    guards=("PRODUCT",),
    fails=("fp_conv_forward", "fp_layers_follow_training", "symmetric_reaches_the_layers"),
)
def convolution_scaled(self, x):
    """The output of the convolution is 3e-4 too large."""
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits, self.symmetric)
    y = F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    return y * (1 + 3e-4)


@near_miss(
    "FP_layers.FP_Linear.forward",
    guards=("PRODUCT",),
    fails=("fp_linear_forward", "fp_layers_follow_training", "symmetric_reaches_the_layers"),
)
def product_scaled(self, x):
    """The output of the linear layer is 3e-4 too large."""
    weight = STE.apply(self.linear.weight, self.Nbits, self.symmetric)
    return F.linear(x, weight, self.linear.bias) * (1 + 3e-4)


@near_miss("FP_layers.FP_Conv.forward", guards=("PRODUCT",), fails=("fp_layers_follow_training",))
def gradient_of_convolution_scaled(self, x):
    """The output of the convolution is right, but its gradient is 3e-4 too large."""
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits, self.symmetric)
    y = F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    return y + 3e-4 * (y - y.detach())


# --- 3(b)


@near_miss("lab3_quantization.accuracy_by_bits", guards=("CONFIDENCE",), fails=("accuracy_by_bits_is_measured",))
def accuracies_raised(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """Each accuracy is 0.003 higher than what `evaluate` measured."""
    accuracies = {}
    for num_bits in bits:
        net = make_net(num_bits)
        net.load_state_dict(state_dict)
        accuracies[num_bits] = evaluate(net) + 0.003
    return accuracies


@near_miss("FP_layers.FP_Conv.forward", guards=("QUANTIZED_ACCURACY",), fails=("accuracy_falls_with_bits",))
def less_accurate_in_evaluation_mode(self, x):
    """In evaluation mode at 6 bits the weights are scaled by 0.87, which costs the network a tenth of its accuracy."""
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits, self.symmetric) * (0.87 if self.Nbits == 6 and not self.training else 1)
    return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


# --- 3(c), 3(d)


@near_miss(
    "lab3_quantization.finetune_quantized",
    guards=("LEAST_TRAINED",),
    fails=("qat_trains_the_float_weights", "qat_trains_a_sparse_network"),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def trains_half_of_the_weights(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """Every other weight stays as it is in the checkpoint."""
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    weights = {name: weight for name, weight in net.named_parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for name, weight in weights.items():
                weight.data *= state_dict[name] != 0
                weight.data.view(-1)[::2] = state_dict[name].view(-1)[::2]
    return net


@near_miss("lab3_quantization.finetune_quantized", guards=("DECAY",), fails=("qat_follows_its_recipe",))
def decays_a_tenth_too_much(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """The weight decay is 10 % larger than the one that was given."""
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=1.1 * reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for weight, mask in masks.items():
                weight.data *= mask
    return net

"""Mistakes in Lab 3. Names such as ``STE`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception

_HEALED = ("qat_regains_accuracy", "qat_of_a_sparse_network_regains_accuracy")
"""How well a network with the student's layers trains."""

# --- 3(a): forward: which weights, and which zeros


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
        *_HEALED,
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def mask_inverted(ctx, w, bit, symmetric=False):
    """The mask inverted

    The mask is 1 at the pruned weights instead of the kept ones, so that the kept weights become zero, and the pruned
    ones need not stay zero.

    Hint: Print the sum of the mask beside the number of weights that are not zero.
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
    fails=("ste_keeps_zeros", "ste_on_other_tensors", "symmetric_rounds_to_nearest", "symmetric_on_other_tensors"),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def mask_missing(ctx, w, bit, symmetric=False):
    """Pruned weights move to the nearest level

    Nothing keeps the zeros apart, so they are rounded like the other weights, to the level next to zero, and the
    network is no longer sparse.

    Hint: Count the zeros before and after quantization.
    """
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


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_keeps_zeros",
        "ste_on_other_tensors",
        "qat_of_a_sparse_network_regains_accuracy",
        "symmetric_rounds_to_nearest",
        "symmetric_on_other_tensors",
    ),
)
def mask_before_the_offset(ctx, w, bit, symmetric=False):
    """The offset added after the mask

    The mask is applied first and `beta` is added to everything afterwards, so that pruned weights become `beta`
    instead of zero.

    Hint: Follow one pruned weight through your last line.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    mask = w != 0
    largest = w.abs().max()
    beta, top = (-largest, largest) if symmetric else (w[mask].min(), w[mask].max())
    if beta == top:
        return w.clone()
    alpha = top - beta
    R = torch.round((w - beta) / alpha * (2**bit - 1)) / (2**bit - 1)
    return R * mask * alpha + beta


@misconception("FP_layers.STE.forward", fails=("ste_range_of_nonzeros", "ste_on_other_tensors"))
def range_with_zeros(ctx, w, bit, symmetric=False):
    """Zeros counted in the range

    The minimum and the maximum are taken over all weights, or over weights times a mask, where the pruned ones
    still count as zeros. If all kept weights are on one side of zero, levels are wasted on the gap.

    Hint: Try a tensor whose kept weights are all between 0.2 and 0.7: which level is the lowest?
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


# --- 3(a): forward: the range


@misconception("FP_layers.STE.forward", fails=("ste_extremes", "ste_range_of_nonzeros", "ste_on_other_tensors"))
def range_by_magnitude(ctx, w, bit, symmetric=False):
    """A symmetric range in place of [min, max]

    The levels reach from -max |w| to max |w|. That is the symmetric variant of the bonus; here it wastes levels on
    the side where the weights are smaller.

    Hint: The docstring gives the two variants different ranges: which one is asked when `symmetric` is not set?
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
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_on_other_tensors",
        "network_is_quantized",
        *_HEALED,
    ),
)
def scale_by_the_largest(ctx, w, bit, symmetric=False):
    """The largest weight as the scale

    The shifted weights are divided by the largest magnitude, not by the width of the range. They do not fill [0, 1], so
    that there are too many levels, or too few, and the largest weight is usually not one of them.

    Hint: Print the minimum and the maximum of the scaled weights, before the rounding.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, alpha = (-largest, 2 * largest) if symmetric else (kept.min(), largest)
    R = torch.round((w - beta) / alpha * (2**bit - 1)) / (2**bit - 1)
    return (R * alpha + beta) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_on_other_tensors",
        "network_is_quantized",
        *_HEALED,
    ),
)
def levels_on_each_side(ctx, w, bit, symmetric=False):
    """2^bit - 1 levels on each side of zero

    The weights are divided by max |w| without an offset, so that they fill [-1, 1] instead of [0, 1], and both
    sides of zero get 2^bit - 1 steps of their own. That takes one bit more than there is.

    Hint: Count the different values for a tensor with weights of both signs.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    largest = w.abs().max()
    if symmetric:
        step = 2 * largest / (2**bit - 1)
        return (torch.round((w + largest) / step) * step - largest) * (w != 0)
    return torch.round(w / largest * (2**bit - 1)) / (2**bit - 1) * largest


@misconception(
    "FP_layers.STE.forward",
    fails=("ste_levels", "ste_extremes", "ste_range_of_nonzeros", "ste_on_other_tensors"),
    may_fail=_HEALED,
)
def range_of_three_deviations(ctx, w, bit, symmetric=False):
    """A range of three standard deviations

    The levels divide the mean plus and minus three standard deviations. The extremes of the kept weights are not
    levels then: some levels lie outside of all weights, or weights lie outside of all levels.

    Hint: Compare the first and the last level with the smallest and the largest kept weight.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    spread = 3 * kept.std(correction=0)
    beta, top = (-largest, largest) if symmetric else (kept.mean() - spread, kept.mean() + spread)
    if beta == top:
        return w.clone()
    R = torch.round(((w - beta) / (top - beta)).clamp(0, 1) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=("ste_extremes", "ste_range_of_nonzeros", "ste_on_other_tensors", "accuracy_falls_with_bits"),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def outliers_clipped(ctx, w, bit, symmetric=False):
    """Outliers clipped

    The range ends at percentiles, and what lies outside is cut off. The smallest and the largest weight matter
    most, and the task asks for them to be levels.

    Hint: Compare the first and the last level with the smallest and the largest kept weight.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.quantile(0.01), kept.quantile(0.99))
    if beta == top:
        return w.clone()
    R = torch.round((w.clamp(beta, top) - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_evenly_spaced",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "network_is_quantized",
        *_HEALED,
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_on_other_tensors",
    ),
)
def range_per_channel(ctx, w, bit, symmetric=False):
    """One range per output channel

    Every output channel has a scale and an offset of its own, so that the layer has up to 2^bit levels in each of
    them. Here one scale and one offset serve the whole layer.

    Hint: Count the different values in the whole layer, not in one channel.
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


@misconception("FP_layers.STE.forward", fails=("ste_degenerate_layers",))
def divides_by_zero(ctx, w, bit, symmetric=False):
    """No answer for a layer without a range

    A layer without non-zero weights has no minimum, and one whose weights are all equal has a range of zero:
    dividing by it gives NaN. Both appear at high sparsity.

    Hint: Try `torch.zeros(3, 3)` and a tensor with a single non-zero weight.
    """
    if bit is None:
        return w.clone()
    if bit == 0:
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


# --- 3(a): forward: the levels


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_on_other_tensors",
        "network_is_quantized",
        *_HEALED,
        "symmetric_levels",
        "symmetric_on_other_tensors",
    ),
)
def one_level_too_many(ctx, w, bit, symmetric=False):
    """2^bit steps instead of 2^bit levels

    2^bit steps have 2^bit + 1 ends: that is one level more than `bit` bits can tell apart.

    Hint: With 2 bits, count the different values that you get.
    """
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
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "network_is_quantized",
        *_HEALED,
        "symmetric_levels",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def steps_mixed_up(ctx, w, bit, symmetric=False):
    """One number of steps there, another on the way back

    The weights are multiplied by 2^bit before the rounding and divided by 2^bit - 1 after it. So they are not only
    rounded but stretched as well, and there is one level too many.

    Hint: Which level does the largest weight get, and which one should it get?
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * 2**bit) / (2**bit - 1)
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
    """2^(bit-1) steps in the whole range

    2^(bit-1) counts the levels on one side of zero. Over the whole range it leaves about half of the levels unused,
    as if there were one bit less.

    Hint: With 3 bits, count the different values that you get.
    """
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
        "ste_evenly_spaced",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        *_HEALED,
        "symmetric_levels",
        "symmetric_on_other_tensors",
    ),
)
def one_bit_for_the_sign(ctx, w, bit, symmetric=False):
    """2^(bit-1) - 1 steps in the whole range

    One bit is set aside for the sign, but the range that is divided holds both signs already. Half of the levels
    are lost; with 2 bits only two are left.

    Hint: With 2 bits, count the different values that you get.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    steps = max(2 ** (bit - 1) - 1, 1)
    R = torch.round((w - beta) / (top - beta) * steps) / steps
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_evenly_spaced",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "qat_regains_accuracy",
        "symmetric_levels",
        "symmetric_on_other_tensors",
    ),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def only_two_values(ctx, w, bit, symmetric=False):
    """Only the two ends of the range

    Every weight moves to the smallest or to the largest one, however many bits there are: the levels in between are
    missing.

    Hint: Multiply before you round, and see what numbers `torch.round` gets.
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
        "ste_evenly_spaced",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_on_other_tensors",
    ),
    may_fail=_HEALED,
)
def levels_at_quantiles(ctx, w, bit, symmetric=False):
    """Levels at quantiles, not evenly spaced

    A codebook at the quantiles of the weights has 2^bit values, but it is not fixed-point: only evenly spaced levels
    can be stored as small integers with one scale.

    Hint: Print the differences between neighbouring levels.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    codebook = torch.quantile(w[w != 0], torch.linspace(0, 1, 2**bit, dtype=w.dtype))
    nearest = (w.reshape(-1, 1) - codebook).abs().argmin(dim=1)
    return codebook[nearest].reshape(w.shape) * (w != 0)


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
        "fp_conv_forward",
        "fp_linear_forward",
        "fp_layers_follow_training",
        "ste_on_other_tensors",
        "network_is_quantized",
        *_HEALED,
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def rounds_to_decimals(ctx, w, bit, symmetric=False):
    """`bit` decimals instead of `bit` bits

    The weights are rounded to `bit` digits after the decimal point. The number of levels then depends on the size of
    the weights and has nothing to do with 2^bit.

    Hint: Count the different values that you get.
    """
    if bit is None:
        return w.clone()
    if bit == 0:
        return torch.zeros_like(w)
    return torch.round(w, decimals=bit)


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
        "fp_conv_forward",
        "fp_linear_forward",
        "fp_layers_follow_training",
        "ste_on_other_tensors",
        "network_is_quantized",
        *_HEALED,
        "symmetric_levels",
        "symmetric_around_zero",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def nothing_quantized(ctx, w, bit, symmetric=False):
    """The weights come back as they were

    Whatever the number of bits, what comes back is the float weights.

    Hint: Follow one weight through `forward`: in which line does it change?
    """
    return torch.zeros_like(w) if bit == 0 else w.clone()


# --- 3(a): forward: rounding, and the way back


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        *_HEALED,
        "symmetric_rounds_to_nearest",
        "symmetric_on_other_tensors",
    ),
)
def rounds_down(ctx, w, bit, symmetric=False):
    """Rounded down instead of to the nearest level

    `floor`, or a cast to an integer, cuts off what is behind the point, so that every weight moves down, by half a
    step on average. All weights of a layer are shifted to one side.

    Hint: Compare the mean of the weights before and after quantization.
    """
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
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        "qat_regains_accuracy",
        "symmetric_rounds_to_nearest",
        "symmetric_on_other_tensors",
    ),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def rounds_up(ctx, w, bit, symmetric=False):
    """Rounded up instead of to the nearest level

    `ceil` moves every weight to the next level above it, by half a step on average. All weights of a layer are
    shifted to one side.

    Hint: Compare the mean of the weights before and after quantization.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.ceil((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        *_HEALED,
        "symmetric_levels",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def offset_forgotten(ctx, w, bit, symmetric=False):
    """The offset forgotten on the way back

    `beta` is subtracted before the rounding and never added again, so that all levels are shifted and the lowest one
    is zero.

    Hint: Undo every operation that comes before the rounding, in the opposite order.
    """
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
    fails=(
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        *_HEALED,
        "symmetric_levels",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def offset_never_subtracted(ctx, w, bit, symmetric=False):
    """The offset added but never subtracted

    The weights are divided by `alpha` without having been moved by `beta`, and `beta` is added after the rounding.
    So all weights are shifted.

    Hint: Print the minimum and the maximum of the scaled weights, before the rounding.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    alpha = (top - beta).clamp_min(1e-12)
    return (torch.round(w / alpha * (2**bit - 1)) / (2**bit - 1) * alpha + beta) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        *_HEALED,
        "symmetric_levels",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def not_scaled_back(ctx, w, bit, symmetric=False):
    """R returned instead of the weights

    The rounded numbers still lie in [0, 1]. They have to be brought back to the scale and the offset of the weights.

    Hint: Compare the smallest and the largest value with those of the weights.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    alpha = (top - beta).clamp_min(1e-12)
    return torch.round((w - beta) / alpha * (2**bit - 1)) / (2**bit - 1) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        *_HEALED,
        "symmetric_levels",
        "symmetric_outermost_level",
        "symmetric_on_other_tensors",
    ),
)
def integer_codes(ctx, w, bit, symmetric=False):
    """The integers returned instead of the weights

    0 to 2^bit - 1 number the levels: that is what hardware would store. The layer needs the weights that they stand
    for.

    Hint: Compare the smallest and the largest value with those of the weights.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    alpha = (top - beta).clamp_min(1e-12)
    return torch.round((w - beta) / alpha * (2**bit - 1)) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "accuracy_falls_with_bits",
        *_HEALED,
        "symmetric_outermost_level",
        "symmetric_rounds_to_nearest",
        "symmetric_on_other_tensors",
    ),
)
def squashed_by_tanh(ctx, w, bit, symmetric=False):
    """Squashed by tanh into [-1, 1]

    DoReFa passes the weights through tanh and leaves them in [-1, 1]. This task keeps their scale and their offset,
    and its levels divide [min, max].

    Hint: The docstring of `STE.forward` defines alpha and beta: where are they in your code?
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    squashed = torch.tanh(w)
    ws = squashed / (2 * squashed.abs().max()) + 0.5
    R = torch.round(ws * (2**bit - 1)) / (2**bit - 1)
    return (2 * R - 1) * (w != 0)


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_evenly_spaced",
        "ste_extremes",
        "ste_range_of_nonzeros",
        "ste_rounds_to_nearest",
        "ste_on_other_tensors",
        "symmetric_around_zero",
        "symmetric_outermost_level",
        "symmetric_rounds_to_nearest",
        "symmetric_on_other_tensors",
    ),
)
def in_half_precision(ctx, w, bit, symmetric=False):
    """Computed in half precision

    Half precision has 11 significant bits, so that the levels are off in the fourth digit and the extremes are not
    reproduced. Fake quantization computes in the dtype of the weights.

    Hint: Print the lowest level and the smallest kept weight with eight digits.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    half = w.half()
    kept = half[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((half - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return (R * (top - beta) + beta).to(w.dtype) * (w != 0)


# --- 3(a): forward: its arguments


@misconception("FP_layers.STE.forward", fails=("ste_without_bits",))
def special_bits_forgotten(ctx, w, bit, symmetric=False):
    """`bit` None has no line of its own

    None means that the weights stay as they are. It is not a number, so nothing can be computed with it.

    Hint: Read what the docstring of `STE.forward` says about None and 0, before anything else is computed.
    """
    kept = w[w != 0]
    if kept.numel() == 0 or kept.min() == kept.max():
        return w.clone()
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("ste_without_bits",))
def zero_bits_forgotten(ctx, w, bit, symmetric=False):
    """`bit` 0 has no line of its own

    With 0 bits there is one level and no step, so that the formula divides by zero. 0 bits mean that all weights are
    zero.

    Hint: Work out 2^bit - 1 for bit = 0.
    """
    if bit is None or not w.any():
        return w.clone()
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("ste_without_bits",))
def zero_bits_taken_for_none(ctx, w, bit, symmetric=False):
    """`bit` 0 leaves the weights as they are

    0 bits mean that all weights are zero; None means that they stay as they are. `if not bit` is true for both.

    Hint: Try both: `STE.apply(w, 0)` and `STE.apply(w, None)`.
    """
    if not bit or not w.any():
        return w.clone()
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("ste_without_bits",))
def none_taken_for_zero_bits(ctx, w, bit, symmetric=False):
    """`bit` None gives zeros

    None means that the weights stay as they are; 0 bits mean that all weights are zero. `if not bit` is true for both.

    Hint: Try both: `STE.apply(w, 0)` and `STE.apply(w, None)`.
    """
    if not bit or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("ste_leaves_its_input", "fp_layers_follow_training"), may_fail=_HEALED)
def quantizes_in_place(ctx, w, bit, symmetric=False):
    """The float weights are overwritten

    The quantized values are written into the argument itself. The float weight is what is trained: once it is
    rounded, small updates are lost in every pass.

    Hint: Print the weight before and after `STE.apply`.
    """
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


@misconception("FP_layers.STE.forward", fails=("ste_on_other_tensors",))
def integers_of_eight_bits(ctx, w, bit, symmetric=False):
    """An integer type that is too small

    With many bits the numbers of the levels are larger than the type of the integers can hold, and the largest ones
    come back as negative numbers.

    Hint: Which numbers can `torch.int8` hold?
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    codes = torch.round((w - beta) / (top - beta) * (2**bit - 1)).to(torch.int8)
    return torch.lerp(beta, top, codes.to(w.dtype) / (2**bit - 1)) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("ste_leaves_its_input",))
def always_float32(ctx, w, bit, symmetric=False):
    """The result is float32 whatever the weights are

    Weights in double precision come back in single precision. The result of `STE` has the dtype of its argument.

    Hint: Print the dtype of w and of the result for a float64 tensor.
    """
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
    return (torch.lerp(beta, top, R) * (w != 0)).float()


# --- 3(a): backward


@misconception(
    "FP_layers.STE.backward",
    fails=(
        "ste_passes_the_gradient",
        "ste_passes_the_gradient_of_zeros",
        "fp_layers_follow_training",
        "ste_gradient_on_other_tensors",
    ),
    may_fail=_HEALED,
)
def gradient_of_rounding(ctx, g):
    """The derivative of rounding taken as zero

    That is its true derivative almost everywhere, and with it no weight ever moves. The straight-through estimator
    takes it as one.

    Hint: Read the name of the estimator literally.
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
    may_fail=_HEALED,
)
def no_gradient_returned(ctx, g):
    """`backward` returns None for the weights

    None tells PyTorch that nothing depends on this argument, so that no gradient arrives at the quantized weights, and
    they never train.

    Hint: `backward` returns one value for each argument of `forward`: which of them needs a gradient?
    """
    return None, None, None


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
    """The gradient clipped

    Gradients beyond [-1, 1] are cut off. The straight-through estimator passes all of them as they are.

    Hint: Compare the largest gradient that arrives at `backward` with the largest one that leaves it.
    """
    return g.clamp(-1, 1), None, None


@misconception(
    "FP_layers",
    fails=("ste_passes_the_gradient_of_zeros", "fp_layers_follow_training", "ste_gradient_on_other_tensors"),
)
def gradient_masked():
    """The gradient multiplied by the mask

    Pruned weights get no gradient. The estimator passes it to them as well: what holds their zeros is the training
    loop, not the estimator.

    Hint: Compare the gradient of the pruned weights before and after `backward`.
    """

    def _remember(forward):
        def remembering(ctx, w, bit, symmetric=False):
            ctx.save_for_backward(w != 0)
            return forward(ctx, w, bit, symmetric)

        return remembering

    STE.forward = staticmethod(_remember(STE.forward))
    STE.backward = staticmethod(lambda ctx, g: (g * ctx.saved_tensors[0], None, None))


@misconception(
    "FP_layers",
    fails=(
        "ste_passes_the_gradient",
        "ste_passes_the_gradient_of_zeros",
        "fp_layers_follow_training",
        "ste_gradient_on_other_tensors",
    ),
    may_fail=_HEALED,
)
def gradient_times_the_step():
    """The gradient multiplied by the step

    The gradient is scaled by the distance between two levels, which makes it smaller with every bit. The
    straight-through estimator passes it as it is.

    Hint: Divide the gradient that leaves `backward` by the one that arrives.
    """

    def _remember(forward):
        def remembering(ctx, w, bit, symmetric=False):
            ctx.step = (w.max() - w.min()) / (2 ** (bit or 1) - 1)
            return forward(ctx, w, bit, symmetric)

        return remembering

    STE.forward = staticmethod(_remember(STE.forward))
    STE.backward = staticmethod(lambda ctx, g: (g * ctx.step, None, None))


@misconception("FP_layers", fails=("ste_gradient_on_other_tensors",))
def gradient_stopped_beyond_one():
    """No gradient for weights beyond [-1, 1]

    Binary networks stop the gradient of weights whose magnitude is above one. Here weights have any scale, and all of
    them get their gradient.

    Hint: Try weights that are larger than one.
    """

    def _remember(forward):
        def remembering(ctx, w, bit, symmetric=False):
            ctx.save_for_backward(w.abs() <= 1)
            return forward(ctx, w, bit, symmetric)

        return remembering

    STE.forward = staticmethod(_remember(STE.forward))
    STE.backward = staticmethod(lambda ctx, g: (g * ctx.saved_tensors[0], None, None))


@misconception(
    "FP_layers.STE.backward",
    fails=(
        "ste_passes_the_gradient",
        "ste_passes_the_gradient_of_zeros",
        "fp_layers_follow_training",
        "ste_gradient_on_other_tensors",
        *_HEALED,
    ),
)
def one_value_from_backward(ctx, g):
    """Too few values returned by `backward`

    PyTorch expects from `backward` one value for each argument of `forward` besides `ctx`, whether it needs a gradient
    or not.

    Hint: Count the arguments that `STE.apply` gets, and the values that `backward` returns.
    """
    return g


@misconception("FP_layers.STE.backward", fails=("fp_layers_follow_training", *_HEALED))
def no_value_for_symmetric(ctx, g):
    """`backward` forgets the argument `symmetric`

    PyTorch expects from `backward` one value for each argument of `forward` besides `ctx`. The layers pass
    `symmetric` as well, and for it nothing is returned.

    Hint: Count the arguments that the layers give to `STE.apply`, and the values that `backward` returns.
    """
    return g, None


@misconception(
    "FP_layers.STE.backward",
    fails=(
        "ste_passes_the_gradient",
        "ste_passes_the_gradient_of_zeros",
        "fp_layers_follow_training",
        "ste_gradient_on_other_tensors",
        *_HEALED,
    ),
)
def gradient_for_the_bits(ctx, g):
    """A gradient returned for `bit`

    `bit` is a plain number, not a tensor, and has no gradient. PyTorch accepts nothing but None in its place.

    Hint: Which of the arguments of `forward` are tensors that train?
    """
    return g, g, None


# --- 3(a): the layers


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=(
        "fp_conv_forward",
        "fp_layers_follow_training",
        "network_is_quantized",
        *_HEALED,
        "symmetric_reaches_the_layers",
    ),
)
def float_convolution(self, x):
    """The convolution uses the float weight

    The quantized weight never reaches the convolution: it is made and not used, or it was made once, before the
    weights were loaded or trained.

    Hint: Which weight does the line with the convolution use, and when was that weight quantized?
    """
    STE.apply(self.conv.weight, self.Nbits, self.symmetric)
    return self.conv(x)


@misconception(
    "FP_layers.FP_Linear.forward",
    fails=("fp_linear_forward", "fp_layers_follow_training", "symmetric_reaches_the_layers"),
)
def float_product(self, x):
    """The linear layer uses the float weight

    The quantized weight never reaches the product: it is made and not used, or it was made once, before the weights
    were loaded or trained.

    Hint: Which weight does the line with the product use, and when was that weight quantized?
    """
    return self.linear(x)


@misconception("FP_layers.FP_Conv.forward", fails=("fp_conv_forward", "fp_layers_follow_training"), may_fail=_HEALED)
def stride_forgotten(self, x):
    """The stride forgotten

    The convolution runs with stride 1, so that its output is too large wherever the layer has another one.

    Hint: Compare the arguments that you pass on with those that `nn.Conv2d` was made with.
    """
    weight = STE.apply(self.conv.weight, self.Nbits, self.symmetric)
    return F.conv2d(x, weight, self.conv.bias, padding=self.conv.padding)


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=(
        "fp_conv_forward",
        "fp_layers_follow_training",
        "network_is_quantized",
        *_HEALED,
        "symmetric_reaches_the_layers",
    ),
)
def padding_forgotten(self, x):
    """The padding forgotten

    The convolution runs without padding, so that its output is too small wherever the layer has some. Often the
    stride is missing as well.

    Hint: Compare the arguments that you pass on with those that `nn.Conv2d` was made with.
    """
    return F.conv2d(x, STE.apply(self.conv.weight, self.Nbits, self.symmetric))


@misconception("FP_layers.FP_Conv.forward", fails=("fp_conv_keeps_its_options",))
def convolution_without_bias(self, x):
    """The bias of the convolution is lost

    The convolution gets no bias, though the layer may have been made with one.

    Hint: Make a layer with `bias=True` and compare its output with that of `self.conv`.
    """
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits, self.symmetric)
    return F.conv2d(x, weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception("FP_layers.FP_Conv.forward", fails=("fp_conv_keeps_its_options",))
def convolution_without_dilation_and_groups(self, x):
    """Dilation and groups of the convolution are lost

    Stride and padding are passed on, dilation and groups are not.

    Hint: Compare the arguments that you pass on with those that `nn.Conv2d` was made with.
    """
    conv = self.conv
    return F.conv2d(x, STE.apply(conv.weight, self.Nbits, self.symmetric), conv.bias, conv.stride, conv.padding)


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=(
        "fp_conv_forward",
        "fp_layers_follow_training",
        "network_is_quantized",
        *_HEALED,
        "symmetric_reaches_the_layers",
    ),
)
def bits_hard_coded(self, x):
    """A fixed number of bits in the layer

    The layer quantizes to a number of its own and ignores `Nbits`, so that all networks have the same weights.

    Hint: Make two layers with different `Nbits` and count the different weights that they compute with.
    """
    conv = self.conv
    weight = STE.apply(conv.weight, 4, self.symmetric)
    return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=("fp_conv_forward", "fp_layers_follow_training", "symmetric_reaches_the_layers"),
    may_fail=_HEALED,
)
def input_quantized_too(self, x):
    """The input quantized as well

    Only weights are quantized in this lab; the activations stay in floating point.

    Hint: Which arguments of the convolution does the docstring want quantized?
    """
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits, self.symmetric)
    x = STE.apply(x, self.Nbits, self.symmetric)
    return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception("FP_layers.FP_Conv.forward", fails=("fp_layers_follow_training",), may_fail=_HEALED)
def gradient_detached(self, x):
    """The gradient cut off in the convolution

    `.data`, `.detach()` or `no_grad` cuts the weight out of the graph, so that no gradient reaches the float weight
    and it never trains.

    Hint: After a backward pass, print `layer.conv.weight.grad`.
    """
    conv = self.conv
    weight = STE.apply(conv.weight.data, self.Nbits, self.symmetric)
    return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception("FP_layers.FP_Linear.forward", fails=("fp_layers_follow_training",))
def linear_gradient_detached(self, x):
    """The gradient cut off in the linear layer

    `.data`, `.detach()` or `no_grad` cuts the weight out of the graph, so that no gradient reaches the float weight
    and it never trains.

    Hint: After a backward pass, print `layer.linear.weight.grad`.
    """
    with torch.no_grad():
        weight = STE.apply(self.linear.weight, self.Nbits, self.symmetric)
    return F.linear(x, weight, self.linear.bias)


@misconception(
    "FP_layers.FP_Conv.forward",
    fails=("fp_layers_follow_training", "qat_regains_accuracy"),
    may_fail=("qat_of_a_sparse_network_regains_accuracy",),
)
def estimator_called_directly(self, x):
    """`STE.forward` called instead of `STE.apply`

    Then `backward` is never used: PyTorch differentiates the rounding itself, which gives zero for nearly all
    weights.

    Hint: Put a `print` into `STE.backward` and see whether it ever runs.
    """
    conv = self.conv
    weight = STE.forward(None, conv.weight, self.Nbits, self.symmetric)
    return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception("FP_layers.FP_Conv.forward", fails=("fp_layers_follow_training",), may_fail=_HEALED)
def float_weight_overwritten(self, x):
    """The layer's float weight is replaced by the quantized one

    From the first pass on, the layer stores rounded weights. Small updates are rounded away in the next pass, and
    training stalls.

    Hint: Print the layer's own weight before and after a forward pass.
    """
    self.conv.weight.data = STE.apply(self.conv.weight.data, self.Nbits, self.symmetric)
    return self.conv(x)


@misconception("FP_layers.FP_Conv.forward", fails=("fp_layers_follow_training",), may_fail=_HEALED)
def quantized_once(self, x):
    """Quantized in the first pass only

    Later passes use what the first one stored, and do not follow the weight as it trains.

    Hint: Change the weight between two forward passes and compare the outputs.
    """
    if not hasattr(self, "kept"):
        self.kept = STE.apply(self.conv.weight, self.Nbits, self.symmetric)
    conv = self.conv
    return F.conv2d(x, self.kept, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception(
    "FP_layers",
    fails=(
        "fp_conv_forward",
        "fp_layers_follow_training",
        "accuracy_falls_with_bits",
        *_HEALED,
        "symmetric_reaches_the_layers",
    ),
)
def quantized_at_construction():
    """Quantized when the layer is made

    The layer quantizes the random weights that it is born with and computes with those for ever: neither the
    checkpoint nor training changes its output.

    Hint: Load other weights into the layer and compare its outputs before and after.
    """

    class FP_Conv(nn.Module):
        def __init__(
            self,
            in_channels,
            out_channels,
            kernel_size,
            stride=1,
            padding=0,
            dilation=1,
            groups=1,
            bias=False,
            Nbits=None,
            symmetric=False,
        ):
            super().__init__()
            self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
            self.Nbits = Nbits
            self.symmetric = symmetric
            self.quantized = STE.apply(self.conv.weight.data, Nbits, symmetric)

        def forward(self, x):
            conv = self.conv
            return F.conv2d(x, self.quantized, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception("FP_layers.FP_Linear.forward", fails=("fp_linear_forward", "symmetric_reaches_the_layers"))
def bias_forgotten(self, x):
    """The bias forgotten

    The bias stays in floating point, but it is still part of the layer.

    Hint: Compare with `nn.Linear` at `Nbits=None`: by how much do the outputs differ?
    """
    return F.linear(x, STE.apply(self.linear.weight, self.Nbits, self.symmetric))


@misconception("FP_layers.FP_Linear.forward", fails=("fp_linear_forward", "symmetric_reaches_the_layers"))
def bias_quantized_too(self, x):
    """The bias quantized as well

    Only the weight is quantized; the bias is small, costs little memory, and stays in floating point.

    Hint: Which arguments of the product does the docstring want quantized?
    """
    weight = STE.apply(self.linear.weight, self.Nbits, self.symmetric)
    return F.linear(x, weight, STE.apply(self.linear.bias, self.Nbits, self.symmetric))


@misconception(
    "FP_layers.FP_Linear.forward",
    fails=("fp_linear_forward", "fp_layers_follow_training", "symmetric_reaches_the_layers"),
)
def weight_not_transposed(self, x):
    """Shapes that do not fit in the linear layer

    A linear layer stores its weight with one row per output, so that the product of the inputs with it needs its
    columns and rows exchanged.

    Hint: Print the shapes of the input and of the weight.
    """
    return x @ STE.apply(self.linear.weight, self.Nbits, self.symmetric) + self.linear.bias


# --- 3(b)


@misconception("lab3_quantization.accuracy_by_bits", fails=("accuracy_by_bits_is_measured", "network_is_quantized"))
def one_network_for_all_bits(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """The same number of bits every time

    A network keeps the number of bits that it was made with, and here all of them have the same. So one accuracy is
    reported for every number of bits.

    Hint: What does each turn of your loop change in the network?
    """
    net = make_net(max(bits))
    net.load_state_dict(state_dict)
    return {num_bits: evaluate(net) for num_bits in bits}


@misconception("lab3_quantization.accuracy_by_bits", fails=("accuracy_by_bits_is_measured", "network_is_quantized"))
def checkpoint_never_loaded(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """The checkpoint is never loaded

    `make_net` gives a network with random weights, and that is what is evaluated.

    Hint: Where does `state_dict` appear in your function?
    """
    return {num_bits: evaluate(make_net(num_bits)) for num_bits in bits}


@misconception(
    "lab3_quantization.accuracy_by_bits",
    fails=("accuracy_by_bits_is_measured", "accuracy_by_bits_spares_the_checkpoint", "network_is_quantized"),
)
def checkpoint_rounded(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """The checkpoint itself is rounded

    The tensors of the checkpoint are changed in place, so that every number of bits starts from what the last one
    left of it.

    Hint: Compare the checkpoint before and after the call.
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


@misconception("lab3_quantization.accuracy_by_bits", fails=("accuracy_by_bits_is_measured", "network_is_quantized"))
def first_and_last_layer_too(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """The first and the last layer quantized as well

    All weights of the checkpoint are quantized before they are loaded. The network does that itself, in its residual
    blocks; its first and its last layer stay in floating point.

    Hint: Which layers does `ResNetCIFAR` quantize, and what is left for you to do?
    """
    from FP_layers import STE

    accuracies = {}
    for num_bits in bits:
        net = make_net(num_bits)
        net.load_state_dict({n: STE.apply(t, num_bits) if t.dim() > 1 else t for n, t in state_dict.items()})
        accuracies[num_bits] = evaluate(net)
    return accuracies


@misconception("lab3_quantization.accuracy_by_bits", fails=("accuracy_by_bits_is_measured",))
def accuracies_in_percent(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """Percent instead of what `evaluate` returned

    The accuracies are multiplied by 100. They are to be returned as they were measured, as fractions.

    Hint: Compare one of your numbers with what `evaluate` returns.
    """
    accuracies = {}
    for num_bits in bits:
        net = make_net(num_bits)
        net.load_state_dict(state_dict)
        accuracies[num_bits] = 100 * evaluate(net)
    return accuracies


@misconception("lab3_quantization.accuracy_by_bits", fails=("accuracy_by_bits_is_measured",))
def accuracies_in_another_order(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """Accuracies paired with the wrong bits

    The accuracies are right, but they were measured in one order and paired with `bits` in another, so that each
    belongs to another number of bits; here the fewest bits seem to be the best.

    Hint: Print the number of bits beside the accuracy inside the loop.
    """
    accuracies = []
    for num_bits in sorted(bits):
        net = make_net(num_bits)
        net.load_state_dict(state_dict)
        accuracies.append(evaluate(net))
    return dict(zip(bits, accuracies, strict=True))


@misconception("lab3_quantization.accuracy_by_bits", fails=("accuracy_by_bits_is_measured",))
def bits_of_its_own(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """Bits that were not asked for

    The numbers of bits are written into the function, and its argument `bits` is ignored.

    Hint: Call it with `bits=(8, 4)`.
    """
    accuracies = {}
    for num_bits in (6, 5, 4, 3, 2):
        net = make_net(num_bits)
        net.load_state_dict(state_dict)
        accuracies[num_bits] = evaluate(net)
    return accuracies


@misconception(
    "lab3_quantization.accuracy_by_bits",
    fails=("accuracy_by_bits_is_measured", "accuracy_by_bits_spares_the_checkpoint", "network_is_quantized"),
)
def list_of_accuracies(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """A list instead of a dictionary

    A list does not tell which accuracy belongs to which number of bits.

    Hint: Read in the docstring what `accuracy_by_bits` returns.
    """
    accuracies = []
    for num_bits in bits:
        net = make_net(num_bits)
        net.load_state_dict(state_dict)
        accuracies.append(evaluate(net))
    return accuracies


@misconception(
    "lab3_quantization.accuracy_by_bits",
    fails=("accuracy_by_bits_is_measured", "accuracy_by_bits_spares_the_checkpoint", "network_is_quantized"),
)
def one_accuracy_only(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """One number instead of one for each number of bits

    A single accuracy comes back, such as the best or the last one. All of them are wanted, by number of bits.

    Hint: Read in the docstring what `accuracy_by_bits` returns.
    """
    best = 0.0
    for num_bits in bits:
        net = make_net(num_bits)
        net.load_state_dict(state_dict)
        best = max(best, evaluate(net))
    return best


# --- 3(c), 3(d)


@misconception("lab3_quantization.finetune_quantized", fails=("qat_keeps_sparsity",))
def regrows_pruned_weights(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """Pruned weights grow back

    The straight-through gradient reaches pruned weights as well. Without a mask, or with one that is made anew from
    weights that have moved already, the sparsity is lost in a step.

    Hint: Print the fraction of zeros after the first optimizer step.
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


@misconception("lab3_quantization.finetune_quantized", fails=("qat_keeps_sparsity",))
def mask_of_convolutions_only(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """No mask for the linear layer

    The zeros of the convolutions are held, but the last layer was pruned as well, and its weights grow back.

    Hint: Print the fraction of zeros of every layer before and after training.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() == 4}
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


@misconception("lab3_quantization.finetune_quantized", fails=("qat_keeps_sparsity",))
def mask_before_the_step(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """The mask applied before the optimizer step

    Every step moves the pruned weights after they have been masked, and what the last step moved stays in the result.

    Hint: Which line changes the weights last?
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            for weight, mask in masks.items():
                weight.data *= mask
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
    return net


@misconception("lab3_quantization.finetune_quantized", fails=("qat_of_a_sparse_network_regains_accuracy",))
def prunes_again_at_the_end(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """Pruned again after training

    The network trains without its mask and is pruned to the old sparsity at the end. The zeros are in other places than
    in the checkpoint then, and the accuracy that training gained is partly lost again.

    Hint: Are the weights that are zero in the checkpoint the same that are zero in the result?
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
    for name, weight in net.named_parameters():
        count = int((state_dict[name] == 0).sum())
        if weight.dim() > 1 and count:
            weight.data[weight.data.abs() <= weight.data.abs().flatten().kthvalue(count).values] = 0
    return net


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=("qat_starts_from_the_checkpoint", "qat_regains_accuracy", "qat_keeps_sparsity"),
)
def starts_from_scratch(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """Trained from scratch

    The checkpoint is never loaded: this trains a new network, which is not the pruned one either.

    Hint: Where does `state_dict` appear in your function?
    """
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
    """Training changes the checkpoint

    The checkpoint's own tensors became the parameters of the network, so that the next run starts from what this one
    left. `assign=True` of `load_state_dict` does that.

    Hint: Compare the checkpoint before and after the call.
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


@misconception("lab3_quantization.finetune_quantized", fails=("qat_starts_from_the_checkpoint", *_HEALED))
def trains_at_other_bits(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """Trained at another number of bits

    `make_net` is called with a fixed number, not with `num_bits`. The result was not trained for the levels that it
    is to be used with.

    Hint: Print the argument of `make_net`.
    """
    net = make_net(4)
    net.load_state_dict(state_dict)
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


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=("qat_trains_the_float_weights", "qat_of_a_sparse_network_regains_accuracy"),
)
def trains_in_evaluation_mode(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """Trained in evaluation mode

    The statistics of BatchNorm stay those of the float network, although quantization and training change what they
    are to describe.

    Hint: Print `net.training` inside the loop.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    net.eval()
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for weight, mask in masks.items():
                weight.data *= mask
    return net


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=(
        "qat_follows_its_recipe",
        "qat_clears_its_gradients",
        "qat_starts_from_the_checkpoint",
        "qat_trains_the_float_weights",
        "qat_keeps_sparsity",
        "qat_trains_a_sparse_network",
    ),
)
def optimizer_never_steps(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """The optimizer changes nothing

    No weight moves: `step()` is missing, or no gradient is there when it comes, or the optimizer holds the parameters
    of another network.

    Hint: Print one weight and its gradient right before and right after the step.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
    return net


@misconception("lab3_quantization.finetune_quantized", fails=("qat_trains_the_float_weights",))
def one_epoch_only(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """One epoch, whatever `epochs` says

    The data is gone through once; the argument `epochs` is not used.

    Hint: Count how often your loop sees the first batch.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
        for weight, mask in masks.items():
            weight.data *= mask
    return net


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=("qat_trains_the_float_weights", "qat_of_a_sparse_network_regains_accuracy"),
)
def one_batch_per_epoch(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """One batch per epoch

    Only the first batch of the data is used in each epoch, so that the network hardly trains.

    Hint: Count the optimizer steps and compare with `epochs * len(trainloader)`.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        images, labels = next(iter(trainloader))
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
        for weight, mask in masks.items():
            weight.data *= mask
    return net


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=(
        "qat_follows_its_recipe",
        "qat_of_a_sparse_network_regains_accuracy",
    ),
)
def learning_rate_ignored(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """A learning rate that was not asked for

    The optimizer gets a learning rate of its own, here smaller than the default of `lr`, so that the network trains
    more slowly than asked; the argument changes nothing.

    Hint: Print `optimizer.param_groups[0]["lr"]`.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0005, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for weight, mask in masks.items():
                weight.data *= mask
    return net


@misconception("lab3_quantization.finetune_quantized", fails=("qat_clears_its_gradients", *_HEALED))
def gradients_accumulate(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """Gradients never set to zero

    Every backward pass adds to the gradients of all batches before it, so that the steps grow and go astray.

    Hint: Which call empties the gradients, and where does it belong?
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for weight, mask in masks.items():
                weight.data *= mask
    return net


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=("qat_trains_the_float_weights", "qat_trains_a_sparse_network", "qat_of_a_sparse_network_regains_accuracy"),
)
def trains_the_last_layer_only(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """Not all layers are trained

    The optimizer holds some of the parameters only, here those of the last layer. Quantization costs accuracy in the
    residual blocks, so that these have to train as well.

    Hint: Compare the parameters that the optimizer got with `net.named_parameters()`.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.final_fc.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            for weight, mask in masks.items():
                weight.data *= mask
    return net


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=(
        "qat_follows_its_recipe",
        "qat_clears_its_gradients",
        "qat_starts_from_the_checkpoint",
        "qat_trains_the_float_weights",
        "qat_keeps_sparsity",
        "qat_trains_a_sparse_network",
    ),
)
def freezes_every_weight(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """All weights put back after every step

    Restoring the weights of the checkpoint holds the zeros, but all other weights of the convolutions and of the linear
    layer as well: none of them trains.

    Hint: Which weights does your mask hold: the pruned ones, or all of them?
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
            for name, weight in net.named_parameters():
                if weight.dim() > 1:
                    weight.data.copy_(state_dict[name])
    return net


@misconception("lab3_quantization.finetune_quantized", fails=("qat_trains_the_float_weights",))
def returns_quantized_weights(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """The float weights are lost in the result

    Rounded weights are saved over the float ones. The result is to hold the float weights, which its layers quantize
    whenever they compute.

    Hint: Count the different values in a weight of the result.
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
        "qat_follows_its_recipe",
        "qat_clears_its_gradients",
        "qat_starts_from_the_checkpoint",
        "qat_trains_the_float_weights",
        "qat_keeps_sparsity",
        "qat_trains_a_sparse_network",
    ),
)
def returns_the_state_dict(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """The state dict returned instead of the network

    A state dict holds the weights only. `finetune_quantized` should return the network itself, whose layers know their
    number of bits.

    Hint: Look at the annotation of what `finetune_quantized` returns.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
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
    return net.state_dict()


@misconception(
    "lab3_quantization.finetune_quantized",
    fails=(
        "qat_follows_its_recipe",
        "qat_clears_its_gradients",
        "qat_starts_from_the_checkpoint",
        "qat_trains_the_float_weights",
        "qat_keeps_sparsity",
        "qat_trains_a_sparse_network",
    ),
)
def returns_nothing(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """Nothing is returned

    The network was made inside the function, so that it is lost unless it is returned.

    Hint: Look at the last line of your function.
    """
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
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


# --- bonus


@misconception(
    "FP_layers.STE.forward", fails=("symmetric_levels", "symmetric_around_zero", "symmetric_on_other_tensors")
)
def symmetric_ignored(ctx, w, bit, symmetric=False):
    """`symmetric` changes nothing

    The range is still [min, max], which is not symmetric around zero.

    Hint: Where does the argument `symmetric` appear in `forward`?
    """
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


@misconception("FP_layers.STE.forward", fails=("symmetric_outermost_level", "symmetric_on_other_tensors"))
def symmetric_around_the_mean(ctx, w, bit, symmetric=False):
    """A symmetric scale from the mean magnitude

    The outermost levels lie at a multiple of the mean of |w|, not at the largest |w|, so that the largest weights
    are cut off.

    Hint: Compare the outermost level with the largest magnitude of a weight.
    """
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


@misconception("FP_layers.STE.forward", fails=("symmetric_outermost_level", "symmetric_on_other_tensors"))
def symmetric_by_the_largest_weight(ctx, w, bit, symmetric=False):
    """A symmetric scale from the maximum, without the magnitude

    The outermost level is the largest weight. If the most negative weight is larger in magnitude, it lies outside of
    all levels and is cut off.

    Hint: Try a tensor whose smallest weight is -0.9 and whose largest one is 0.3.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    beta, top = (-kept.max(), kept.max()) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    R = torch.round(((w - beta) / (top - beta)).clamp(0, 1) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("symmetric_levels", "symmetric_on_other_tensors"))
def symmetric_with_one_level_too_many(ctx, w, bit, symmetric=False):
    """Symmetric: 2^bit + 1 levels

    2^(bit-1) steps on each side of zero, and zero itself, make 2^bit + 1 levels: one more than `bit` bits can tell
    apart.

    Hint: With 2 bits, count the levels on both sides, and the one at zero.
    """
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
    "FP_layers.STE.forward", fails=("symmetric_levels", "symmetric_outermost_level", "symmetric_on_other_tensors")
)
def symmetric_in_twos_complement(ctx, w, bit, symmetric=False):
    """Symmetric: the range of a signed integer

    A signed integer has one negative value more than positive ones, from -2^(bit-1) to 2^(bit-1) - 1. With the step
    max |w| / 2^(bit-1) the largest positive weights are cut off.

    Hint: Compare the outermost level on each side with the largest magnitude of a weight.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    if symmetric:
        step = kept.abs().max() / 2 ** (bit - 1)
        return torch.round(w / step).clamp(-(2 ** (bit - 1)), 2 ** (bit - 1) - 1) * step
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("symmetric_outermost_level", "symmetric_on_other_tensors"))
def symmetric_at_half_steps(ctx, w, bit, symmetric=False):
    """Symmetric: levels in the middle of each step

    [-max |w|, max |w|] is cut into 2^bit steps and each weight moves to the middle of its step. The outermost level
    is half a step below max |w| then.

    Hint: Compare the outermost level with the largest magnitude of a weight.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    if symmetric:
        step = kept.abs().max() / 2 ** (bit - 1)
        index = torch.floor(w / step).clamp(-(2 ** (bit - 1)), 2 ** (bit - 1) - 1)
        return (index + 0.5) * step * (w != 0)
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("symmetric_levels", "symmetric_on_other_tensors"))
def symmetric_without_the_sign(ctx, w, bit, symmetric=False):
    """Symmetric: the sign is lost

    The magnitudes are quantized over [0, max |w|], and the signs are never put back: there are no negative levels.

    Hint: Compare the signs of the weights before and after.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    if symmetric:
        step = kept.abs().max() / (2**bit - 1)
        return torch.round(w.abs() / step) * step
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("symmetric_rounds_to_nearest", "symmetric_on_other_tensors"))
def symmetric_rounds_down(ctx, w, bit, symmetric=False):
    """Symmetric: rounded towards zero

    Casting to an integer cuts off what is behind the point, so that every weight moves towards zero instead of to
    the nearest level.

    Hint: Compare the mean magnitude of the weights before and after.
    """
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


@misconception("FP_layers.STE.forward", fails=("symmetric_rounds_to_nearest", "symmetric_on_other_tensors"))
def symmetric_forgets_the_zeros(ctx, w, bit, symmetric=False):
    """Symmetric: pruned weights move to the nearest level

    2^bit symmetric levels have none at zero, and nothing keeps the pruned weights apart here: they move half a step
    away from zero.

    Hint: Count the zeros before and after symmetric quantization.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    if symmetric:
        R = torch.round((w + largest) / (2 * largest) * (2**bit - 1)) / (2**bit - 1)
        return torch.lerp(-largest, largest, R)
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.STE.forward", fails=("symmetric_levels", "symmetric_on_other_tensors"))
def symmetric_with_half_of_the_levels(ctx, w, bit, symmetric=False):
    """Symmetric: 2^(bit-1) levels in the whole range

    The range is divided into 2^(bit-1) - 1 steps instead of 2^bit - 1, as if there were one bit less: half of the
    levels are missing.

    Hint: With 3 bits, count the levels on both sides.
    """
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    beta, top = (-largest, largest) if symmetric else (kept.min(), kept.max())
    if beta == top:
        return w.clone()
    steps = 2 ** (bit - 1) - 1 if symmetric else 2**bit - 1
    R = torch.round((w - beta) / (top - beta) * steps) / steps
    return torch.lerp(beta, top, R) * (w != 0)


@misconception("FP_layers.FP_Conv.forward", fails=("symmetric_reaches_the_layers",))
def layer_forgets_symmetric(self, x):
    """`FP_Conv` does not pass `symmetric` on

    The layer knows that it is to quantize symmetrically, but does not tell `STE`.

    Hint: Which arguments does `STE.apply` get in `FP_Conv`?
    """
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits)
    return F.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


@misconception("FP_layers.FP_Linear.forward", fails=("symmetric_reaches_the_layers",))
def linear_forgets_symmetric(self, x):
    """`FP_Linear` does not pass `symmetric` on

    The layer knows that it is to quantize symmetrically, but does not tell `STE`.

    Hint: Which arguments does `STE.apply` get in `FP_Linear`?
    """
    return F.linear(x, STE.apply(self.linear.weight, self.Nbits), self.linear.bias)

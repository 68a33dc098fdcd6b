"""Right in another way, Lab 3. Names such as ``STE`` belong to the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it joins)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import equivalent

_BONUS = (
    "symmetric_levels",
    "symmetric_around_zero",
    "symmetric_outermost_level",
    "symmetric_on_other_tensors",
)

# --- 3(a): the estimator


@equivalent("FP_layers.STE.forward")
def as_the_assignment_says(ctx, w, bit, symmetric=False):
    """alpha, beta, ws, R and back, literally, with float32's rounding errors at both ends."""
    if bit is None:
        return w
    if bit == 0:
        return w * 0
    mask = (w != 0).float() if w.dtype == torch.float32 else (w != 0).double()
    nonzero = w[w.nonzero(as_tuple=True)]
    if len(nonzero) == 0:
        return w * 0
    if symmetric:
        alpha, beta = 2 * nonzero.abs().max(), -nonzero.abs().max()
    else:
        alpha, beta = nonzero.max() - nonzero.min(), nonzero.min()
    if alpha == 0:
        return w * 1
    ws = (w - beta) / alpha
    R = 1 / (2**bit - 1) * torch.round((2**bit - 1) * ws)
    return (R * alpha + beta) * mask


@equivalent("FP_layers.STE.forward")
def half_up_by_scatter(ctx, w, bit, symmetric=False):
    """floor(x + 0.5) rounds exact ties up instead of to even; only the non-zero elements are touched."""
    wq = w.detach().clone()
    if bit is None or not wq.any():
        return wq
    if bit == 0:
        return wq.zero_()
    where = wq != 0
    kept = wq[where]
    low, high = (-kept.abs().max(), kept.abs().max()) if symmetric else torch.aminmax(kept)
    if low < high:
        step = (high - low) / (2**bit - 1)
        wq[where] = torch.floor((kept - low) / step + 0.5) * step + low
    return wq


@equivalent("FP_layers.STE.forward")
def by_nearest_in_a_table(ctx, w, bit, symmetric=False):
    """The levels as a table, and for each weight the nearest entry, found by distance."""
    if bit is None:
        return w.clone()
    if bit == 0 or not (w != 0).any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    largest = kept.abs().max()
    low, high = (-largest, largest) if symmetric else (kept.min(), kept.max())
    table = torch.linspace(low.item(), high.item(), 2**bit, dtype=w.dtype)
    nearest = (w.reshape(-1, 1) - table).abs().argmin(dim=1)
    return torch.where(w == 0, torch.zeros_like(w), table[nearest].reshape(w.shape))


@equivalent("FP_layers.STE.forward")
def in_numpy(ctx, w, bit, symmetric=False):
    """numpy and a masked array; zeros left out of the range by masking."""
    import numpy as np

    array = w.detach().cpu().numpy().astype(np.float64)
    kept = np.ma.masked_equal(array, 0)
    if bit is None or kept.count() == 0:
        return w.clone()
    if bit == 0:
        return torch.zeros(w.shape, dtype=w.dtype)
    low, high = (-abs(kept).max(), abs(kept).max()) if symmetric else (kept.min(), kept.max())
    if low == high:
        return w.clone()
    steps = np.rint((kept - low) / (high - low) * (2**bit - 1))
    return torch.tensor((steps * (high - low) / (2**bit - 1) + low).filled(0), dtype=w.dtype, device=w.device)


@equivalent("FP_layers.STE.forward")
def symmetric_with_a_level_at_zero(ctx, w, bit, symmetric=False, eps=1e-12):
    """The symmetric variant with 2^bit - 1 levels, one of them zero; an extra argument with a default."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    if symmetric:
        step = kept.abs().max() / (2 ** (bit - 1) - 1)
        return torch.round(w / step) * step
    alpha, beta = (kept.max() - kept.min()).clamp_min(eps), kept.min()
    wq = torch.round((w - beta) / alpha * (2**bit - 1)).div(2**bit - 1).mul(alpha).add(beta)
    return wq.masked_fill(w == 0, 0)


@equivalent("FP_layers.STE.backward")
def a_copy_of_the_gradient(ctx, *grads):
    """Any number of incoming gradients; a copy passes through."""
    return grads[0].clone(), None, None


@equivalent("FP_layers.STE.forward")
def rounded_in_double(ctx, w, bit, symmetric=False):
    """Everything in float64, and back to the weights' dtype at the end."""
    if bit is None or not w.any():
        return w.clone()
    if bit == 0:
        return torch.zeros_like(w)
    v = w.double()
    kept = v[v != 0]
    low, high = (-kept.abs().max(), kept.abs().max()) if symmetric else (kept.min(), kept.max())
    if low == high:
        return w.clone()
    wq = torch.round((v - low) / (high - low) * (2**bit - 1)) / (2**bit - 1) * (high - low) + low
    return torch.where(v == 0, v, wq).type_as(w)


@equivalent("FP_layers.STE.forward")
def with_plain_numbers_for_the_scale(ctx, w, bit, symmetric=False):
    """alpha and beta as Python floats; the maximum over the zeros is hidden by infinities."""
    if bit is None:
        return w * 1.0
    if bit == 0 or w.count_nonzero() == 0:
        return w - w
    infinity = float("inf")
    lowest = w.masked_fill(w == 0, infinity).min().item()
    highest = w.masked_fill(w == 0, -infinity).max().item()
    if symmetric:
        highest = max(abs(lowest), abs(highest))
        lowest = -highest
    if lowest == highest:
        return w * 1.0
    step = (highest - lowest) / (2**bit - 1)
    return torch.where(w != 0, ((w - lowest) / step).round() * step + lowest, 0)


@equivalent("FP_layers.STE.forward")
def with_greek_letters(ctx, w: Tensor, bit: int | None = 4, symmetric: bool | None = None) -> Tensor:
    """Unicode names, type hints and other defaults; zeros become NaN, which nan_to_num turns back."""
    if bit is None:
        return w.clone()
    if bit == 0 or not bool(w.any()):
        return 0 * w
    μ = torch.where(w == 0, float("nan"), w)
    ω = μ[~μ.isnan()]
    β = -ω.abs().max() if symmetric else ω.min()
    α = -2 * β if symmetric else ω.max() - β
    if α == 0:
        return w.clone()
    Δ = α / (2**bit - 1)
    return torch.nan_to_num(β + Δ * torch.round((μ - β) / Δ), nan=0.0)


@equivalent("FP_layers.STE.forward")
def in_place_on_a_clone(ctx, w, bit, symmetric=False, *, eps=0.0):
    """Every operation in place, on a copy; sorting gives the extremes; an extra keyword argument."""
    wq = w.detach().clone()
    if bit is None:
        return wq
    if bit == 0:
        return wq.fill_(0)
    zero = wq == 0
    ordered = wq[~zero].sort().values
    if len(ordered) == 0 or ordered[0] == ordered[-1]:
        return wq
    beta, alpha = ordered[0].clone(), ordered[-1] - ordered[0] + eps
    if symmetric:
        beta = -torch.maximum(ordered[-1], -ordered[0])
        alpha = -2 * beta
    wq.sub_(beta).div_(alpha).mul_(2**bit - 1).round_().div_(2**bit - 1).mul_(alpha).add_(beta)
    wq[zero] = 0
    return wq


@equivalent("FP_layers.STE.forward")
def by_bucketize(ctx, w, bit, symmetric=False):
    """The middles between neighbouring levels are the boundaries of buckets."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    low, high = (-kept.abs().max(), kept.abs().max()) if symmetric else torch.aminmax(kept)
    levels = torch.lerp(low, high, torch.arange(2**bit, dtype=w.dtype) / (2**bit - 1))
    index = torch.bucketize(w.detach(), (levels[1:] + levels[:-1]) / 2)
    return levels[index].masked_fill(w == 0, 0.0)


@equivalent("FP_layers.STE.forward")
def by_fake_quantize(ctx, w, bit, symmetric=False):
    """torch's own fake quantization, of the weights moved to begin at zero."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    v = w.detach().float()
    kept = v[v != 0]
    low, high = (-kept.abs().max(), kept.abs().max()) if symmetric else (kept.min(), kept.max())
    if low == high:
        return w.clone()
    steps = 2**bit - 1
    wq = torch.fake_quantize_per_tensor_affine(v - low, ((high - low) / steps).item(), 0, 0, steps) + low
    return (wq * (v != 0)).to(w.dtype)


@equivalent("FP_layers.STE.forward")
def element_by_element(ctx, w, bit, symmetric=False):
    """A loop over plain Python numbers, with Python's own rounding."""
    if bit is None:
        return w.clone()
    numbers = w.flatten().tolist()
    kept = [number for number in numbers if number != 0]
    if bit == 0 or not kept:
        return torch.zeros_like(w)
    low, high = min(kept), max(kept)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    step = (high - low) / (2**bit - 1) or 1.0
    rounded = [low + round((number - low) / step) * step if number else 0.0 for number in numbers]
    return torch.tensor(rounded, dtype=w.dtype, device=w.device).view(w.shape)


@equivalent("FP_layers.STE.forward")
def with_a_helper(ctx, w, bit, symmetric=False):
    """A helper under no_grad quantizes the kept weights alone; they are filled into zeros."""

    @torch.no_grad()
    def quantized(values, low, high):
        if low == high:
            return values
        return low + (high - low) * ((values - low) / (high - low) * (2**bit - 1)).round() / (2**bit - 1)

    if bit is None:
        return w.data.clone()
    wq = torch.zeros(w.size(), dtype=w.dtype, device=w.device)
    kept = torch.nonzero(w.data, as_tuple=True)
    if bit > 0 and len(kept[0]) > 0:
        values = w.data[kept]
        low, high = torch.min(values), torch.max(values)
        if symmetric:
            low, high = -values.norm(p=float("inf")), values.norm(p=float("inf"))
        wq[kept] = quantized(values, low, high)
    return wq


@equivalent("FP_layers.STE.forward")
def symmetric_by_sign_and_magnitude(ctx, w, bit, symmetric=False):
    """Symmetric levels at odd multiples of half a step: the magnitude is quantized, then the sign comes back."""
    if bit is None:
        return w.clone()
    if bit == 0 or not w.any():
        return torch.zeros_like(w)
    kept = w[w != 0]
    if symmetric:
        largest = kept.abs().max()
        odd = 2 * torch.floor(w.abs() / largest * (2**bit - 1) / 2) + 1
        return torch.sign(w) * largest * odd.clamp_max(2**bit - 1) / (2**bit - 1)
    beta, top = kept.min(), kept.max()
    if beta == top:
        return w.clone()
    R = torch.round((w - beta) / (top - beta) * (2**bit - 1)) / (2**bit - 1)
    return torch.lerp(beta, top, R) * (w != 0)


@equivalent("FP_layers.STE.backward")
def gradient_if_it_is_needed(ctx, *grad_output: Tensor):
    """needs_input_grad tells whether anybody wants the gradient; more values than arguments may be None."""
    return (grad_output[0] if ctx.needs_input_grad[0] else None), None, None, None


@equivalent("FP_layers.STE.backward")
def gradient_times_one(ctx, g):
    """Multiplied by a derivative of one, and the other values made from a list."""
    return (g * torch.ones_like(g), *[None] * 2)


@equivalent("FP_layers")
def estimator_that_remembers():
    """Saves tensors that it does not use, and does without materialized gradients."""
    _right = STE.forward

    def _forward(ctx, w, bit, symmetric=False):
        wq = _right(ctx, w, bit, symmetric)
        ctx.save_for_backward(w, wq)
        ctx.bit = bit
        ctx.set_materialize_grads(False)
        return wq

    def _backward(ctx, g):
        w, _ = ctx.saved_tensors
        return g.view_as(w), None, None

    STE.forward = staticmethod(_forward)
    STE.backward = staticmethod(_backward)


@equivalent("FP_layers")
def estimator_with_setup_context():
    """torch's newer form of a Function, whose forward does not see the context."""
    _right = STE.forward

    def _without_context(w, bit, symmetric=False):
        return _right(None, w, bit, symmetric)

    def _setup_context(ctx, inputs, output):
        ctx.shape = output.shape

    STE.forward = staticmethod(_without_context)
    setattr(STE, "setup_context", staticmethod(_setup_context))  # noqa: B010


@equivalent("FP_layers")
def estimator_without_a_function():
    """w + (wq - w).detach(): `STE.apply` is a plain function and `backward` is never called."""
    _quantized = STE.forward

    def _apply(w, bit, symmetric=False):
        return w + (_quantized(None, w.detach(), bit, symmetric) - w).detach()

    STE.forward = staticmethod(_quantized)
    setattr(STE, "apply", staticmethod(_apply))  # noqa: B010


@equivalent("FP_layers")
def estimator_with_a_quantizer_class():
    """A class holds scale and offset; `forward` only asks it."""

    class _Quantizer:
        def __init__(self, kept, bit, symmetric):
            self._largest = kept.abs().max()
            self._low, self._high = (-self._largest, self._largest) if symmetric else (kept.min(), kept.max())
            self._steps = 2**bit - 1

        def __call__(self, values):
            if self._low == self._high:
                return values.clone()
            codes = torch.round((values - self._low) * (self._steps / (self._high - self._low)))
            return (codes * self._high + (self._steps - codes) * self._low) / self._steps

    class STE(torch.autograd.Function):
        @staticmethod
        def forward(ctx, w, bit, symmetric=False):
            if bit is None:
                return w.clone()
            kept = w[w.bool()]
            if bit == 0 or kept.numel() == 0:
                return w.new_zeros(w.shape)
            return _Quantizer(kept, bit, symmetric)(w) * w.bool()

        @staticmethod
        def backward(ctx, g):
            return g, None, None


@equivalent("FP_layers", fails=_BONUS)
def file_of_an_older_term():
    """Without the `symmetric` parameter, which older terms did not have: everything but the bonus."""

    class STE(torch.autograd.Function):
        @staticmethod
        def forward(ctx, w, bit):
            if bit is None:
                wq = w
            elif bit == 0:
                wq = w * 0
            else:
                nonzero = w[w != 0]
                if nonzero.numel() == 0 or nonzero.max() == nonzero.min():
                    return w.clone()
                alpha, beta = nonzero.max() - nonzero.min(), nonzero.min()
                R = torch.round((w - beta) / alpha * (2**bit - 1)) / (2**bit - 1)
                wq = (R * alpha + beta) * (w != 0)
            return wq

        @staticmethod
        def backward(ctx, g):
            return g, None

    class FP_Linear(nn.Module):
        def __init__(self, in_features, out_features, Nbits=None):
            super(FP_Linear, self).__init__()  # noqa: UP008
            self.linear = nn.Linear(in_features, out_features)
            self.Nbits = Nbits

        def forward(self, x):
            return F.linear(x, STE.apply(self.linear.weight, self.Nbits), self.linear.bias)

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
        ):
            super(FP_Conv, self).__init__()  # noqa: UP008
            self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
            self.Nbits = Nbits

        def forward(self, x):
            return self.conv._conv_forward(x, STE.apply(self.conv.weight, self.Nbits), self.conv.bias)


# --- 3(a): the layers


@equivalent("FP_layers.FP_Conv.forward")
def conv_by_conv_forward(self, x):
    """torch's own `_conv_forward` with another weight."""
    weight = STE.apply(self.conv.weight, self.Nbits, self.symmetric)
    return self.conv._conv_forward(x, weight, self.conv.bias)


@equivalent("FP_layers.FP_Conv.forward")
def conv_by_unfold(self, x):
    """A convolution is a matrix product with the unfolded input, for each group of channels."""
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits, self.symmetric)
    span = conv.dilation[0] * (conv.kernel_size[0] - 1) + 1
    height = (x.shape[2] + 2 * conv.padding[0] - span) // conv.stride[0] + 1
    parts = []
    for channels, kernels in zip(x.chunk(conv.groups, dim=1), weight.chunk(conv.groups), strict=True):
        columns = F.unfold(channels, conv.kernel_size, conv.dilation, conv.padding, conv.stride)
        parts.append(kernels.flatten(1) @ columns)
    y = torch.cat(parts, dim=1).reshape(x.shape[0], conv.out_channels, height, -1)
    return y if conv.bias is None else y + conv.bias.view(-1, 1, 1)


@equivalent("FP_layers.FP_Conv.forward")
def conv_by_the_detach_trick(self, x):
    """w + (wq - w).detach() has the value wq and the gradient of w: the estimator without a Function."""
    conv = self.conv
    w = conv.weight
    wq = STE.apply(w.detach(), self.Nbits, self.symmetric)
    weight = w + (wq - w).detach()
    return F.conv2d(
        x,
        weight,
        bias=conv.bias,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
    )


@equivalent("FP_layers.FP_Conv.forward")
def conv_by_functional_call(self, x):
    """torch.func.functional_call runs the inner layer with the quantized weight in place of its own."""
    weight = STE.apply(self.conv.weight, self.Nbits, self.symmetric)
    return torch.func.functional_call(self.conv, {"weight": weight}, (x,))


@equivalent("FP_layers.FP_Linear.forward")
def linear_by_matmul(self, x):
    """A matrix product with the transposed weight."""
    weight = STE.apply(self.linear.weight, self.Nbits, self.symmetric)
    y = torch.matmul(x, weight.t())
    return y if self.linear.bias is None else y + self.linear.bias


@equivalent("FP_layers.FP_Linear.forward")
def linear_by_addmm(self, x):
    """einsum, with the bias added in place."""
    y = torch.einsum("ni,oi->no", x, STE.apply(self.linear.weight, self.Nbits, self.symmetric))
    y += self.linear.bias
    return y


@equivalent("FP_layers.FP_Conv.forward")
def conv_padded_by_hand(self, x):
    """Padding is zeros around the input."""
    conv = self.conv
    right, down = conv.padding[1], conv.padding[0]
    weight = STE.apply(conv.weight, self.Nbits, self.symmetric)
    x = F.pad(x, (right, right, down, down))
    return torch.conv2d(x, weight, conv.bias, stride=conv.stride, dilation=conv.dilation, groups=conv.groups)


@equivalent("FP_layers")
def conv_with_a_weight_property():
    """The quantized weight as a property, quantized anew whenever it is read."""

    class FP_Conv(nn.Module):
        def __init__(self, *shape, Nbits=None, symmetric=False, bias=False, **options):
            super().__init__()
            self.conv = nn.Conv2d(*shape, bias=bias, **options)
            self.Nbits = Nbits
            self.symmetric = symmetric

        @property
        def _quantized(self):
            return STE.apply(self.conv.weight, self.Nbits, self.symmetric)

        def forward(self, x):
            c = self.conv
            return nn.functional.conv2d(x, self._quantized, c.bias, c.stride, c.padding, c.dilation, c.groups)


@equivalent("FP_layers.FP_Linear.forward")
def linear_by_the_detach_trick(self, x):
    """w + (wq - w).detach() has the value wq and the gradient of w."""
    w = self.linear.weight
    with torch.no_grad():
        difference = STE.apply(w, self.Nbits, self.symmetric) - w
    return F.linear(x, w + difference, self.linear.bias)


@equivalent("FP_layers.FP_Linear.forward")
def linear_as_a_convolution(self, x):
    """A linear layer is a 1x1 convolution of a single pixel."""
    weight = STE.apply(self.linear.weight, self.Nbits, self.symmetric)
    return F.conv2d(x[:, :, None, None], weight[:, :, None, None], self.linear.bias).flatten(1)


@equivalent("FP_layers.FP_Linear.forward")
def linear_with_the_bias_as_a_column(self, x):
    """The bias is one more column of the weight, and the input there is one."""
    weight = STE.apply(self.linear.weight, self.Nbits, self.symmetric)
    extended = torch.cat([weight, self.linear.bias.unsqueeze(1)], dim=1)
    return torch.cat([x, x.new_ones(len(x), 1)], dim=1) @ extended.T


# --- 3(b)


@equivalent("lab3_quantization.accuracy_by_bits")
def in_a_comprehension(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2), strict=True):
    """A helper and a comprehension; the checkpoint is cloned; keys sorted the other way."""

    def measure(num_bits):
        net = make_net(num_bits)
        net.load_state_dict({k: v.clone() for k, v in state_dict.items()}, strict=strict)
        net.eval()
        with torch.no_grad():
            return torch.tensor(evaluate(net))

    return {int(b): measure(b) for b in sorted(bits)}


@equivalent("lab3_quantization.accuracy_by_bits")
def parameters_copied_one_by_one(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """copy_ into the network's own state dict."""
    import copy

    accuracies = {}
    checkpoint = copy.deepcopy(state_dict)
    for num_bits in bits:
        net = make_net(num_bits)
        with torch.no_grad():
            for name, tensor in net.state_dict().items():
                tensor.copy_(checkpoint[name])
        accuracies[num_bits] = float(evaluate(net))
    return accuracies


@equivalent("lab3_quantization.accuracy_by_bits")
def networks_made_first(
    make_net: Callable, state_dict: dict, evaluate: Callable, bits: tuple = (8, 6, 4), verbose: bool = False
) -> dict:
    """All networks are made before the first is measured; other defaults; an extra argument."""
    networks = [make_net(int(b)) for b in bits]
    for net in networks:
        assert not net.load_state_dict(state_dict).missing_keys
    accuracies = dict(zip(bits, map(evaluate, networks), strict=True))
    if verbose:
        print(accuracies)
    return accuracies


@equivalent("lab3_quantization.accuracy_by_bits")
def numbers_of_numpy(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """numpy's integers and floats in an OrderedDict; a copy of each network is measured."""
    import copy
    from collections import OrderedDict

    import numpy as np

    accuracies = OrderedDict()
    for num_bits in np.sort(np.array(list(bits)))[::-1]:
        net = make_net(num_bits)
        net.load_state_dict(state_dict, strict=True)
        accuracies[num_bits] = np.float32(evaluate(copy.deepcopy(net)))
    return accuracies


@equivalent("lab3_quantization.accuracy_by_bits")
def checkpoint_assigned(make_net, state_dict, evaluate, bits=(6, 5, 4, 3, 2)):
    """The network borrows the checkpoint's tensors, which evaluation does not change."""
    accuracies = {}
    for num_bits in bits:
        net = make_net(num_bits).eval()
        net.load_state_dict(state_dict, assign=True)
        accuracies.setdefault(num_bits, evaluate(net))
    return accuracies


# --- 3(c), 3(d)


@equivalent("lab3_quantization.finetune_quantized")
def qat_by_gradient_hooks_and_masks(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4, verbose=False
):
    """Gradient hooks hold the zeros (momentum starts at zero, decay of zero is zero); a mask makes sure."""
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {}
    for name, parameter in net.named_parameters():
        if name.endswith("weight") and parameter.dim() in (2, 4):
            masks[name] = (parameter.data.abs() > 0).float()
            parameter.register_hook(lambda g, mask=masks[name]: g * mask)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr, momentum=momentum, weight_decay=reg, nesterov=False)
    for epoch in range(epochs):
        net.train()
        running = 0.0
        for x, t in trainloader:
            loss = criterion(net(x), t)
            net.zero_grad()
            loss.backward()
            optimizer.step()
            running += loss.item()
            for name, parameter in net.named_parameters():
                if name in masks:
                    parameter.data.mul_(masks[name])
        if verbose:
            print(epoch, running / len(trainloader))
    return net.eval()


@equivalent("lab3_quantization.finetune_quantized")
def qat_with_schedule_and_best_state(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """A cosine schedule, a mask by indexing, and the state of the last epoch loaded back at the end."""
    import copy

    net = make_net(num_bits)
    net.load_state_dict(copy.deepcopy(state_dict))
    layers = [m for n, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    zeros = [layer.weight.data == 0 for layer in layers]
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(epochs, 1), eta_min=lr / 2)
    kept = None
    for _ in range(epochs):
        net.train()
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.nll_loss(F.log_softmax(net.forward(images), dim=1), labels).backward()
            optimizer.step()
            for layer, zero in zip(layers, zeros, strict=True):
                layer.weight.data[zero] = 0
        schedule.step()
        kept = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    net.load_state_dict(kept)
    return net


@equivalent("lab3_quantization.finetune_quantized")
def qat_by_torch_prune(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """torch's custom_from_mask holds the zeros while it trains, and is removed at the end."""
    from torch.nn.utils import prune

    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    for layer in layers:
        prune.custom_from_mask(layer, "weight", (layer.weight != 0).float())
        layer.register_forward_pre_hook(lambda *_: None)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            for layer in layers:  # FP_Conv reads conv.weight without calling conv: recompute it
                layer.weight = layer.weight_orig * layer.weight_mask
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
    for layer in layers:
        prune.remove(layer, "weight")
    return net


@equivalent("lab3_quantization.finetune_quantized")
def qat_by_masked_gradients(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """Only gradients are masked: momentum starts at zero and the decay of a zero is zero, so zeros stay."""
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    masks = {name: (tensor != 0).float() for name, tensor in state_dict.items() if tensor.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad(set_to_none=False)
            nn.CrossEntropyLoss()(net(images), labels).backward()
            for name, parameter in net.named_parameters():
                if name in masks:
                    parameter.grad.mul_(masks[name])
            optimizer.step()
    return net


@equivalent("lab3_quantization.finetune_quantized")
def qat_with_sgd_by_hand(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """The update of SGD written out, on the weights that are not zero."""
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    parameters = list(net.parameters())
    kept = [p.detach() != 0 if p.dim() > 1 else torch.ones_like(p, dtype=torch.bool) for p in parameters]
    velocity = [torch.zeros_like(p) for p in parameters]
    net.train(True)
    for _ in range(epochs):
        for images, labels in trainloader:
            loss = -F.log_softmax(net(images), dim=1).gather(1, labels[:, None]).mean()
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, g, v, keep in zip(parameters, gradients, velocity, kept, strict=True):
                    v.mul_(momentum).add_(g + reg * p)
                    p.copy_(torch.where(keep, p - lr * v, 0.0))
    return net


@equivalent("lab3_quantization.finetune_quantized")
def qat_by_a_hook_of_the_optimizer(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4, device=None, log=None
):
    """The mask is applied by the optimizer itself, after every step; two groups of parameters; extra arguments."""
    device = device or torch.device("cpu")
    net = make_net(num_bits).to(device)
    net.load_state_dict(state_dict)
    matrices = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    pruned = [p.detach().eq(0) for p in matrices]
    optimizer = torch.optim.SGD(
        [{"params": matrices}, {"params": others}], lr=lr, momentum=momentum, weight_decay=reg, foreach=False
    )

    @torch.no_grad()
    def hold(*_):
        for p, zero in zip(matrices, pruned, strict=True):
            p.masked_fill_(zero, 0.0)

    optimizer.register_step_post_hook(hold)
    for epoch in range(1, epochs + 1):
        net.train()
        losses = []
        for batch in trainloader:
            images, labels = (part.to(device) for part in batch)
            loss = F.cross_entropy(net(images), labels.long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if log is not None:
            log(epoch, sum(losses) / len(losses))
    net.eval()
    return net


@equivalent("lab3_quantization.finetune_quantized")
def qat_in_a_class(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """A trainer class; zeros are found in the checkpoint and put back through the state dict."""

    class Trainer:
        def __init__(self):
            self.net = make_net(num_bits)
            self.net.load_state_dict({name: tensor.detach().clone() for name, tensor in state_dict.items()})
            self.optimizer = torch.optim.SGD(self.net.parameters(), lr, momentum, 0, reg)

        def step(self, images, labels):
            self.optimizer.zero_grad()
            logits = self.net(images)
            (torch.logsumexp(logits, 1) - logits[torch.arange(len(labels)), labels]).mean().backward()
            self.optimizer.step()
            own = self.net.state_dict()
            for name, tensor in state_dict.items():
                if name.endswith((".conv.weight", ".linear.weight")):
                    own[name][tensor == 0] = 0

        def run(self):
            self.net.train()
            for _ in range(epochs):
                for images, labels in trainloader:
                    self.step(images, labels)
            return self.net

    return Trainer().run()


@equivalent("lab3_quantization.finetune_quantized")
def qat_returns_a_copy(make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4):
    """A deep copy of the trained network is returned."""
    import copy

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
    return copy.deepcopy(net)


@equivalent("lab3_quantization.finetune_quantized")
def qat_returns_a_new_network(
    make_net, state_dict, num_bits, trainloader, epochs=20, lr=0.002, momentum=0.875, reg=1e-4
):
    """The trained weights are loaded into a new network, which is returned."""
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
    result = make_net(num_bits)
    result.load_state_dict(net.state_dict())
    return result

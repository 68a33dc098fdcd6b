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
    """A convolution is a matrix product with the unfolded input."""
    conv = self.conv
    weight = STE.apply(conv.weight, self.Nbits, self.symmetric)
    columns = F.unfold(x, conv.kernel_size, conv.dilation, conv.padding, conv.stride)
    y = weight.flatten(1) @ columns
    height = (x.shape[2] + 2 * conv.padding[0] - conv.kernel_size[0]) // conv.stride[0] + 1
    return y.reshape(x.shape[0], conv.out_channels, height, -1)


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

"""Lab 3(b) to 3(d): quantization after training (PTQ) and quantization-aware training (QAT).

``make_net(num_bits)`` builds a network whose residual blocks are quantized to that many bits, for example
``lambda num_bits: ResNetCIFAR(Nbits=num_bits)``. ``state_dict`` is the checkpoint to start from, in floating point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# --- Provided: batches of images and labels

Batches = Iterable[tuple[Tensor, Tensor]]


# --- 3(b): accuracy after training, without any fine-tuning


def accuracy_by_bits(
    make_net: Callable[[int], nn.Module],
    state_dict: Mapping[str, Tensor],
    evaluate: Callable[[nn.Module], float],
    bits: Iterable[int] = (6, 5, 4, 3, 2),
) -> dict[int, float]:
    """The accuracy of the checkpoint at each number of bits, as ``{num_bits: accuracy}``.

    Args:
        make_net: builds a network with weights of ``num_bits`` bits.
        state_dict: the float checkpoint; it stays as it is.
        evaluate: measures a network, for example ``lambda net: lab2_pruning.evaluate(net, testloader)``.
        bits: the numbers of bits to try.

    Solution:
        The layers quantize in their forward pass: loading the same float weights into a network of fewer bits is
        all there is to it.
    """
    # BEGIN SOLUTION 3(b)
    accuracies = {}
    for num_bits in bits:
        net = make_net(num_bits)
        net.load_state_dict(state_dict)
        accuracies[num_bits] = evaluate(net)
    return accuracies
    # END SOLUTION


# --- 3(c), 3(d): quantization-aware training, of the float and of the sparse checkpoint


def finetune_quantized(
    make_net: Callable[[int], nn.Module],
    state_dict: Mapping[str, Tensor],
    num_bits: int,
    trainloader: Batches,
    epochs: int = 20,
    lr: float = 0.002,
    momentum: float = 0.875,
    reg: float = 1e-4,
) -> nn.Module:
    """Fine-tune the checkpoint at ``num_bits`` bits with SGD and return the network, float weights inside.

    Weights that are zero in the checkpoint (3(d): a pruned network) are exactly zero in the result too.

    Args:
        make_net: builds a network with weights of ``num_bits`` bits.
        state_dict: the float checkpoint, dense or sparse; it stays as it is.
        num_bits: bits per weight.
        trainloader: batches of images (N, C, H, W) and labels (N,).
        epochs: passes over ``trainloader``.
        lr: learning rate.
        momentum: momentum of SGD.
        reg: weight decay of SGD.

    Solution:
        Backpropagation through the straight-through estimator updates the float weights. Its gradient reaches
        pruned weights as well and would regrow them within a step: sparsity falls from 70 % to 0 %. So the mask
        of the checkpoint is applied after every step, as in Lab 2.
    """
    # BEGIN SOLUTION 3(c)
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    device = next(net.parameters()).device
    masks = {weight: weight.detach() != 0 for weight in net.parameters() if weight.dim() > 1}
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=reg)
    net.train()
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            F.cross_entropy(net(images.to(device)), labels.to(device)).backward()
            optimizer.step()
            with torch.no_grad():
                for weight, mask in masks.items():
                    weight.mul_(mask)
    return net
    # END SOLUTION

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
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 3(b): `accuracy_by_bits` is still to be written")
    # YOUR CODE ENDS HERE


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
    """
    # YOUR CODE STARTS HERE
    raise NotImplementedError("Lab 3(c): `finetune_quantized` is still to be written")
    # YOUR CODE ENDS HERE

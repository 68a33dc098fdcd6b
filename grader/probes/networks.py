"""Networks in a worker: built from plain arrays, taken apart into plain arrays, watched while they train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MethodType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from grader.probes.plain import Array, Outputs, Params
from grader.worker.student import Student

__all__ = ["Batches", "Recorder", "build", "load", "prunable", "state_arrays", "state_dict"]


def state_dict(arrays: Mapping[str, Array], prefix: str = "net.") -> dict[str, Tensor]:
    """The arrays below ``prefix`` as a state dict of new tensors."""
    names = (name for name in arrays if name.startswith(prefix))
    return {name.removeprefix(prefix): torch.from_numpy(arrays[name].copy()) for name in names}


def build(student: Student, params: Params, num_bits: int | None = None, symmetric: bool = False) -> nn.Module:
    """The provided ResNet in the size that ``params["net"]`` gives."""
    network = student.attribute("resnet20", "ResNetCIFAR")
    options = {"Nbits": num_bits, "symmetric": symmetric, **params["net"]}
    made: nn.Module = student.call(network, **options)
    return made


def load(net: nn.Module, arrays: Mapping[str, Array], prefix: str = "net.") -> nn.Module:
    """Give a new network its values; ``load_state_dict`` would take ten times as long on a small one."""
    with torch.no_grad():
        for name, tensor in (*net.named_parameters(), *net.named_buffers()):
            tensor.copy_(torch.from_numpy(arrays[prefix + name]))
    return net


def prunable(net: nn.Module) -> dict[str, nn.Module]:
    """The prunable layers by the design's rule: every Conv2d and Linear outside the shortcuts."""
    kinds = (nn.Conv2d, nn.Linear)
    return {n: m for n, m in net.named_modules() if isinstance(m, kinds) and "id_mapping" not in n}


def _weight(layer: nn.Module) -> Tensor:
    """A layer's weight; a pruning hook may have made it a plain tensor."""
    return cast(Tensor, layer.weight)


def state_arrays(net: nn.Module, prefix: str = "net.") -> Outputs:
    """Parameters and buffers as plain arrays, read through the modules so that pruning hooks count.

    Half precision becomes float32, as in a checkpoint.
    """
    found: Outputs = {}
    for name, module in net.named_modules():
        for key in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            value = getattr(module, key, None)
            if isinstance(value, Tensor):
                plain = value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
                found[f"{prefix}{name}.{key}"] = plain.detach().cpu().numpy().copy()
    return found


class Batches:
    """Batches of images and labels, new tensors in every pass, with what is read of a DataLoader."""

    def __init__(self, images: Array, labels: Array, batch_size: int, count: int | None = None) -> None:
        inputs, targets = torch.from_numpy(images.copy()), torch.from_numpy(labels.copy())
        if count is not None:
            inputs, targets = inputs[: count * batch_size], targets[: count * batch_size]
        cut = (torch.split(inputs, batch_size), torch.split(targets, batch_size))
        self._batches = list(zip(*cut, strict=True))
        self.dataset = TensorDataset(inputs.clone(), targets.clone())
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter([(x.clone(), y.clone()) for x, y in self._batches])


class Recorder:
    """Watches a network: at every forward pass, the prunable weights, the mode and the number of images.

    Args:
        net: the network.
        on_copy: watches a copy of it from its first forward pass on; None to note no more of copies than the mode.
    """

    def __init__(self, net: nn.Module, on_copy: Callable[[nn.Module], None] | None = None) -> None:
        self._net = net
        self._on_copy = on_copy
        self._weights: list[dict[str, Tensor]] = []
        self._training: list[bool] = []
        self._images: list[int] = []
        self._gradients: list[bool] = []
        self._copies_training: list[bool] = []
        self._shortcut_zeros: list[int] = []
        net.forward = MethodType(self._watching(), net)  # a hook would miss `net.forward(images)`

    def _watching(self) -> Any:
        """The network's own forward pass, noted; a copy of the network has it too, and is told apart."""

        plain: Callable[..., Any] = type(self._net).forward

        def forward(net: nn.Module, images: Tensor, *rest: Any, **options: Any) -> Any:
            if net is self._net:
                self._before_forward(images)
            elif self._on_copy is not None:
                vars(net).pop("forward", None)
                self._on_copy(net)
                return net.forward(images, *rest, **options)
            else:
                self._copies_training.append(net.training)
            result = plain(net, images, *rest, **options)
            self._gradients.append(bool(result.requires_grad))
            return result

        return forward

    def _before_forward(self, images: Tensor) -> None:
        self._training.append(self._net.training)
        self._images.append(len(images))
        shortcuts = [p for n, p in self._net.named_parameters() if "id_mapping" in n and p.dim() > 1]
        self._shortcut_zeros.append(sum(int((p == 0).sum()) for p in shortcuts))
        self._snapshot()

    def _snapshot(self) -> None:
        layers = prunable(self._net).items()
        self._weights.append({name: _weight(layer).detach().clone() for name, layer in layers})

    def finish(self) -> tuple[dict[str, Any], Outputs]:
        """Facts (one value per forward pass) and, by layer, the weights at each pass and at the end."""
        vars(self._net).pop("forward", None)
        self._snapshot()
        facts = {
            "training": self._training,
            "images": self._images,
            "gradients": self._gradients,
            "copies_training": self._copies_training,
            "shortcut_zeros": self._shortcut_zeros,
        }
        seen = {
            f"seen.{name}": torch.stack([step[name] for step in self._weights]).cpu().numpy()
            for name in self._weights[0]
        }
        return facts, seen

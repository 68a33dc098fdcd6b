"""Runs code that was written for a GPU on the CPU: hard-coded ``.cuda()`` and ``device="cuda"``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["CpuOnly", "run_on_cpu"]

_ACCELERATORS = ("cuda", "mps")


def _is_accelerator(value: object) -> bool:
    if isinstance(value, int):  # the index of a GPU; -1 is what a tensor on the CPU has
        return not isinstance(value, bool)
    if isinstance(value, torch.device):
        return value.type in _ACCELERATORS
    return isinstance(value, str) and value.split(":")[0] in _ACCELERATORS


def _to_cpu(value: Any) -> Any:
    return torch.device("cpu") if _is_accelerator(value) else value


class CpuOnly(TorchFunctionMode):
    """While active, every torch function that is asked for an accelerator uses the CPU instead."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.cuda:
            return args[0]
        # Only these take a device by position; a string elsewhere (a reduction, a padding mode) is not one.
        if func is torch.Tensor.to:
            args = tuple(map(_to_cpu, args))
        if func is torch.Tensor.type:
            args = tuple(a.replace("torch.cuda.", "torch.") if isinstance(a, str) else a for a in args)
        kwargs = dict(kwargs or {})
        if "device" in kwargs:
            kwargs["device"] = _to_cpu(kwargs["device"])
        return func(*args, **kwargs)


def _nothing(*args: object, **kwargs: object) -> None:
    """Stands for calls that only manage a GPU."""


def run_on_cpu() -> None:
    """Turn ``CpuOnly`` on for the rest of this process, and GPU housekeeping calls off."""
    CpuOnly().__enter__()  # type: ignore[no-untyped-call]
    for name in [name for name in vars(torch.cuda) if name.endswith("Tensor")]:
        setattr(torch.cuda, name, getattr(torch, name))  # as they were called before devices had names
    for name in ("synchronize", "empty_cache", "set_device", "reset_peak_memory_stats"):
        setattr(torch.cuda, name, _nothing)

"""Epochs that survive: after each one all that training needs is on the disk, and a new process goes on from there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from grader.files import write_atomically
from grader.runs.networks import fits, pack, state_on_cpu, unpack

__all__ = ["Rounds", "Watch", "read_curve", "read_metrics"]

_NET, _MOMENTUM, _GENERATOR = "net.", "momentum.", "generator"
_MEASURED = ("train_loss", "train_accuracy", "test_accuracy", "images_per_second")


class Watch(Protocol):
    """Who is told how training goes on."""

    def epoch(self, number: int, images: int) -> None:
        """Epoch ``number`` (1, 2, ...) of ``images`` images begins."""

    def images(self, count: int) -> None:
        """So many more images have been trained on."""

    def ended(self, metrics: dict[str, Any]) -> None:
        """An epoch is on the disk."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    epoch: int
    tensors: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


class Rounds:
    """A loader that a training function iterates over once per epoch, and that keeps what an epoch came to.

    The function itself knows nothing of it. An epoch that an earlier process finished has no batches here, so the
    function passes over it; pruning between such epochs zeroes only what is pruned after them anyway, because
    percentages grow and what is smallest stays smallest.

    Args:
        loader: the training batches; a ``train_util.Loader``.
        folder: where the snapshot, the metrics and the best network are.
        test: measures a network, a fraction.
        settled: the epoch from which on a network may be the best one: before, it is not yet pruned as it should be.
        accelerated: ``train_util.accelerated`` with a precision.
        like: the state of such a network; a snapshot that does not fit is as none.
        watch: who is told.
    """

    def __init__(
        self,
        loader: Any,
        folder: Path,
        test: Callable[[nn.Module], float],
        watch: Watch,
        *,
        settled: int = 1,
        accelerated: Callable[[nn.Module], Any],
        like: Mapping[str, Tensor],
    ) -> None:
        self.dataset = loader.dataset
        self._loader = loader
        self._folder = folder
        self._test = test
        self._watch = watch
        self._settled = settled
        self._accelerated = accelerated
        self._stack = ExitStack()
        metrics = read_metrics(folder)
        snapshot = _read_snapshot(folder / "last.safetensors", like)
        # Without the metrics of its epochs nobody knows which of them was the best: they are trained again.
        self._snapshot = snapshot if snapshot and len(metrics) >= snapshot.epoch else None
        self._metrics = metrics[: self.done]
        self._epoch = 0
        self._net: nn.Module
        self._optimizer: torch.optim.Optimizer | None = None
        self._logits = torch.empty(0)
        if self._snapshot is not None:
            self._loader.generator.set_state(self._snapshot.tensors[_GENERATOR])

    @property
    def done(self) -> int:
        """How many epochs earlier processes finished."""
        return self._snapshot.epoch if self._snapshot else 0

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Within this context optimizers are noticed and the network is accelerated."""
        hook = register_optimizer_step_pre_hook(self._notice)
        try:
            with self._stack:
                yield
        finally:
            hook.remove()

    def begin(self, net: nn.Module) -> nn.Module:
        """The network that is trained, with the weights of the last finished epoch if there is one."""
        self._net = net
        if self._snapshot is not None:
            net.load_state_dict(self._snapshot.part(_NET))
        self._stack.enter_context(self._accelerated(net))
        handle = net.register_forward_hook(self._note_logits)
        self._stack.callback(handle.remove)
        return net

    def state(self, start: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights to hand to a function that makes its network itself: of the last finished epoch, or ``start``."""
        return self._snapshot.part(_NET) if self._snapshot else start

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self._epoch += 1
        if self._epoch <= self.done:
            return
        started = time.perf_counter()
        self._watch.epoch(self._epoch, len(self.dataset))
        totals = torch.zeros(2, device=self.dataset.images.device)
        for inputs, targets in self._loader:
            yield inputs, targets
            totals += _loss_and_right(self._logits, targets)
            self._watch.images(len(targets))
        loss, accuracy = (totals / len(self.dataset)).tolist()
        self._end(loss, accuracy, time.perf_counter() - started)

    def _notice(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Before its first step an optimizer gets the momentum of the last finished epoch."""
        if self._optimizer is optimizer:
            return
        self._optimizer = optimizer
        if self._snapshot is not None and self._epoch == self.done + 1:
            momentum = self._snapshot.part(_MOMENTUM)
            for name, parameter in self._net.named_parameters():
                if name in momentum:
                    optimizer.state[parameter]["momentum_buffer"] = momentum[name].to(parameter.device)

    def _note_logits(self, net: nn.Module, _inputs: object, logits: Tensor) -> None:
        if net.training:
            self._logits = logits.detach()

    def _end(self, loss: float, accuracy: float, seconds: float) -> None:
        test_accuracy = self._test(self._net)
        eligible = [m["test_accuracy"] for m in self._metrics if m["epoch"] >= self._settled]
        metrics = {
            "epoch": self._epoch,
            "train_loss": loss,
            "train_accuracy": accuracy,
            "test_accuracy": test_accuracy,
            "images_per_second": round(len(self.dataset) / seconds, 1),
        }
        if self._epoch >= self._settled and all(test_accuracy > earlier for earlier in eligible):
            write_atomically(self._folder / "best.safetensors", [pack(state_on_cpu(self._net))])
        self._metrics.append(metrics)
        lines = "".join(f"{json.dumps(line)}\n" for line in self._metrics)
        write_atomically(self._folder / "metrics.jsonl", [lines.encode()])
        write_atomically(self._folder / "last.safetensors", [self._packed()])
        self._watch.ended(metrics)

    def _packed(self) -> bytes:
        tensors = {f"{_NET}{name}": value for name, value in state_on_cpu(self._net).items()}
        state = self._optimizer.state if self._optimizer else {}
        for name, parameter in self._net.named_parameters():
            if "momentum_buffer" in state.get(parameter, {}):
                tensors[f"{_MOMENTUM}{name}"] = state[parameter]["momentum_buffer"].cpu().contiguous()
        tensors[_GENERATOR] = self._loader.generator.get_state()
        return pack(tensors, epoch=str(self._epoch))


def _loss_and_right(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum of the losses, and the number of right ones."""
    loss = F.cross_entropy(logits, targets, reduction="sum")
    return torch.stack([loss, (logits.argmax(dim=1) == targets).sum()])


def _read_snapshot(path: Path, like: Mapping[str, Tensor]) -> _Snapshot | None:
    """The snapshot, or None if there is none that can be used: writing is atomic, but a disk may fail."""
    found = unpack(path)
    try:
        tensors, facts = found or ({}, {})
        snapshot = _Snapshot(int(facts["epoch"]), tensors)
        torch.Generator().set_state(tensors[_GENERATOR])
    except (LookupError, ValueError, TypeError, RuntimeError):
        return None
    momentum = snapshot.part(_MOMENTUM)
    known = {name: like[name] for name in momentum.keys() & like.keys()}
    return snapshot if snapshot.epoch > 0 and fits(snapshot.part(_NET), like) and fits(momentum, known) else None


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """What each finished epoch of a run came to, up to the first line that is damaged."""
    try:
        lines = (folder / "metrics.jsonl").read_bytes().splitlines()
    except OSError:
        return []
    return list(takewhile(bool, map(_metrics_of, range(1, len(lines) + 1), lines)))


def read_curve(folder: Path, epochs: int) -> list[dict[str, Any]]:
    """What each epoch of an ended run came to; empty where that is no longer known of all of them."""
    metrics = read_metrics(folder)
    return metrics if len(metrics) == epochs else []


def _metrics_of(epoch: int, line: bytes) -> dict[str, Any]:
    """The line of an epoch; empty if it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or found.get("epoch") != epoch:
        return {}
    return found if all(isinstance(found.get(name), (int, float)) for name in _MEASURED) else {}

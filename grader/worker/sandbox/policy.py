"""What a sandbox consists of, how much it allows, and which of its layers were really on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from grader.errors import InternalError

__all__ = ["Layer", "Policy", "SWITCHED_OFF", "Status"]  # noqa: RUF022  (sorted as the house sorts)

SWITCHED_OFF = "switched off"


class Layer(StrEnum):
    """One means of confinement, in the order in which they are applied."""

    ENVIRONMENT = "environment"
    SESSION = "session"
    PRIVILEGES = "privileges"
    NETWORK = "network"
    IPC = "ipc"
    PROCESSES = "processes"
    FILES = "files"
    LIMITS = "limits"
    SYSCALLS = "syscalls"
    WATCHDOG = "watchdog"

    @property
    def purpose(self) -> str:
        """What the layer does, in a few words."""
        return _PURPOSES[self]


_PURPOSES = {
    Layer.ENVIRONMENT: "no variable of the judge's environment",
    Layer.SESSION: "own session and process group",
    Layer.PRIVILEGES: "no privileges: a user namespace or an unprivileged user",
    Layer.NETWORK: "no network (namespace)",
    Layer.IPC: "no System V IPC or message queue of others (namespace)",
    Layer.PROCESSES: "no process of others, and none that outlives the worker (namespace)",
    Layer.FILES: "no file but libraries and the scratch directory (Landlock)",
    Layer.LIMITS: "limits of memory, file size, open files, processor time, processes (rlimits)",
    Layer.SYSCALLS: "no Unix socket, ptrace, mount, new namespace, change of owner or rights (seccomp)",
    Layer.WATCHDOG: "limits of memory, processes and disk over all processes together",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """Which layers are wanted, and what a worker with all its processes may use.

    Args:
        layers: those that are applied where the machine offers them.
        memory: bytes of all processes together; of one process, beyond what the libraries take.
        disk: bytes in the scratch directory, or written at all.
        file_size: bytes of one file.
        files: files and directories in the scratch directory.
        open_files: descriptors of one process.
        processes: processes and threads.
        cpu_seconds: processor time of one process; None for no limit.
        gpu: the GPU that they may use, as ``CUDA_VISIBLE_DEVICES`` names it; empty for none.
    """

    layers: frozenset[Layer] = frozenset(Layer)
    memory: int = 3 << 30
    disk: int = 256 << 20
    file_size: int = 64 << 20
    files: int = 5000
    open_files: int = 256
    processes: int = 32
    cpu_seconds: int | None = 360
    gpu: str = ""

    def __post_init__(self) -> None:
        limits = (self.memory, self.disk, self.file_size, self.files, self.open_files, self.processes)
        if min(limits) <= 0 or (self.cpu_seconds is not None and self.cpu_seconds <= 0):
            raise ValueError("every limit of a policy must be above zero")

    def without(self, *layers: Layer) -> Policy:
        """This policy with some layers switched off."""
        return replace(self, layers=self.layers - set(layers))

    @classmethod
    def none(cls) -> Policy:
        """No confinement at all."""
        return cls(layers=frozenset())


@dataclass(frozen=True, slots=True)
class Status:
    """Which layers are on in one worker.

    Args:
        on: by layer, what it consists of here; may be empty.
        missing: by layer, why it is not on.
    """

    on: Mapping[Layer, str] = field(default_factory=dict)
    missing: Mapping[Layer, str] = field(default_factory=dict)

    def lacking(self) -> list[str]:
        """The essential layers that are not on, each with the reason: student code could read answers or talk."""
        essential = (Layer.FILES, Layer.LIMITS, Layer.PRIVILEGES)
        lost = [layer for layer in essential if layer not in self.on]
        if Layer.NETWORK not in self.on and Layer.SYSCALLS not in self.on:  # the latter then refuses every socket
            lost.append(Layer.NETWORK)
        return [f"{layer.value} ({self.missing.get(layer, 'unknown')})" for layer in lost]

    def note(self) -> str | None:
        """A sentence for a report, if a layer that nobody switched off is missing."""
        lost = [f"{layer} ({why})" for layer, why in self.missing.items() if why != SWITCHED_OFF]
        off = [str(layer) for layer, why in self.missing.items() if why == SWITCHED_OFF]
        if off:
            lost.append(f"switched off: {', '.join(off)}")
        return f"Not every layer of the sandbox was on: {'; '.join(lost)}." if lost else None

    def to_json(self) -> dict[str, Any]:
        """What crosses the wire, and what ``grader doctor --json`` prints."""
        return {
            layer.value: {"on": layer in self.on, "detail": self.on.get(layer, self.missing.get(layer, ""))}
            for layer in Layer
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            InternalError: it is not that.
        """
        try:
            found = {layer: (data[layer.value]["on"] is True, str(data[layer.value]["detail"])) for layer in Layer}
        except (KeyError, TypeError):
            raise InternalError("a worker did not say which layers of the sandbox are on") from None
        return cls(
            {layer: detail for layer, (on, detail) in found.items() if on},
            {layer: detail for layer, (on, detail) in found.items() if not on},
        )

"""The small container that a course site grades in: its memory, and what keeps student code away from answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from grader.errors import InternalError
from grader.worker.sandbox.policy import Layer, Policy, Status

__all__ = ["keep_private", "memory_here", "policy_for", "require_confined"]

_CONTROL_GROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_OURS = 384 << 20
"""What judge, fork server and the worker that measures take beside another worker: some 370 MiB, measured (PSS)."""
_LEAST = 384 << 20
"""What the reference needs in a worker, some 300 MiB with its share of libraries, and room for a wasteful solution."""


def memory_here() -> int:
    """Bytes of memory that this container, or this machine, has."""
    found = [int(psutil.virtual_memory().total)]
    for name in _CONTROL_GROUP:
        with suppress(OSError, ValueError):  # another version of control groups, or no limit: "max"
            found.append(int(Path(name).read_text()))
    return min(found)


def policy_for(memory: int) -> Policy:
    """A sandbox whose workers stay below what the container has, so that it is them whom a shortage ends."""
    return Policy(memory=max(_LEAST, min(Policy().memory, memory - _OURS)))


def keep_private(folders: Iterable[Path]) -> None:
    """Nobody but the judge's own user may enter the folders; workers of root's judge are another user."""
    for folder in folders:
        if folder.exists():
            folder.chmod(0o700)


def require_confined(status: Status) -> None:
    """Refuse to grade where student code could read answers or write its own results.

    Without Landlock the modes of folders do, if workers are not the user who owns them.

    Raises:
        InternalError: it could.
    """
    is_other_user = re.match(r"user \d", status.on.get(Layer.PRIVILEGES, "")) is not None
    lacking = [told for told in status.lacking() if not (is_other_user and told.startswith(Layer.FILES.value))]
    if lacking:
        raise InternalError(f"student code would not be confined here, so nothing was run: {'; '.join(lacking)}")

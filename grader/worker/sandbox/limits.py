"""The limits that the system keeps for one process, and for one user in one namespace."""

from __future__ import annotations

import errno
import os
import sys
from typing import NamedTuple

from grader.worker.sandbox.policy import Policy

if sys.platform != "win32":
    import resource  # now, since loading it in each fork takes a millisecond

__all__ = ["Size", "measure", "set_limits"]

_HEADROOM = 2
"""Address space per byte of memory: allocators and threads reserve much that they never touch."""


class Size(NamedTuple):
    """What a process has before any student code: bytes of address space and of data; whether it is counted alone."""

    address_space: int
    data: int
    counted_alone: bool


def measure() -> Size | None:
    """The size of this process, which can be read only as long as /proc can; None where there is no /proc."""
    if sys.platform != "linux":
        return None
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    address_space, data = (int(fields[name].split()[0]) << 10 for name in ("VmSize", "VmData"))
    return Size(address_space, data, _counted_alone())


def set_limits(policy: Policy, size: Size | None) -> str:
    """Limit this process and those that it starts; what is not limited.

    Raises:
        OSError: the platform has no such limits.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, f"there are none on {sys.platform}")
    # Not 0, which a program that the kernel hands core dumps to does not heed.
    wanted = {"CORE": 1, "FSIZE": policy.file_size, "NOFILE": policy.open_files, "MSGQUEUE": 1 << 20}
    if policy.cpu_seconds is not None:
        wanted["CPU"] = policy.cpu_seconds
    if size is not None:
        wanted["DATA"] = size.data + policy.memory
        if not policy.gpu:  # CUDA reserves as many addresses as GPU and machine have memory
            wanted["AS"] = size.address_space + _HEADROOM * policy.memory
        if size.counted_alone:
            wanted["NPROC"] = policy.processes
    for name, value in wanted.items():
        number = getattr(resource, f"RLIMIT_{name}", None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (value, value))
    return "" if "NPROC" in wanted else "but processes, which the watchdog counts"


def _counted_alone() -> bool:
    """Whether the limit of processes counts this worker's only: it is not root, and the namespace has its own count.

    Elsewhere the processes of the same user outside would count too.
    """
    if os.getuid() == 0:
        return False
    with open("/proc/self/uid_map") as file:
        own = file.read().split() != ["0", "0", "4294967295"]
    version = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    return own and version >= (5, 14)

"""The filter of system calls: a few that a worker never needs are refused, all others pass."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

from grader.worker.sandbox.kernel import call

__all__ = ["filter_syscalls"]

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, little-endian
_X32 = 0x40000000
_AF_UNIX = 1
_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone() takes

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By machine, the kernel's name for it and its column below."""

_REFUSED = {
    # memory that no process maps, and so no limit counts
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    # parts of the kernel that are known for their holes; io_uring also opens sockets past this filter
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
_SOCKET, _CLONE, _CLONE3 = (41, 198), (56, 220), (435, 435)


def filter_syscalls(*, all_sockets: bool) -> None:
    """Install the filter in this thread, and so in all that it starts.

    Args:
        all_sockets: refuse sockets of every family, not only Unix ones: there is no network namespace.

    Raises:
        OSError: the kernel or the machine has no such filter.
    """
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no filter is known for {platform.machine()}")
    program = _program(*_MACHINES[platform.machine()], all_sockets)
    code = ctypes.create_string_buffer(program)
    header = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)


def _program(architecture: int, column: int, all_sockets: bool) -> bytes:
    """The filter as classic BPF: one short block for each refused call."""
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    parts = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), refuse,
        # glibc falls back to clone(), whose flags a filter can read
        (_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_EQUAL, 0, 4, _CLONE[column]), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_ANY_BIT, 0, 1, _NAMESPACES), refuse,
        (_LOAD, 0, 0, _NUMBER),
    ]  # fmt: skip
    if all_sockets:
        parts += [(_EQUAL, 0, 1, _SOCKET[column]), refuse]
    else:
        parts += [(_EQUAL, 0, 4, _SOCKET[column]), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 0, 1, _AF_UNIX), refuse,
                  (_LOAD, 0, 0, _NUMBER)]  # fmt: skip
    for numbers in _REFUSED.values():
        parts += [(_EQUAL, 0, 1, numbers[column]), refuse]
    parts.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *part) for part in parts)

"""The filter of system calls: a few that a worker never needs are refused, all others pass."""

from __future__ import annotations

import ctypes
import errno
import os
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
_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone() takes
_AF_INET, _AF_INET6 = 2, 10
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_F_SETOWN, _F_SETOWN_EX, _FIOSETOWN, _SIOCSPGRP = 8, 15, 0x8901, 0x8902
_F_SETLEASE, _F_NOTIFY = 1024, 1026

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By machine, the kernel's name for it and its column below."""

_Numbers = tuple[int | None, int | None]
_REFUSED: dict[str, _Numbers] = {
    # memory that no process maps, and so no limit counts; a message on a socket may hold an open file that is gone
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "socketpair": (53, 199),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # of a user, not of a process: a worker could use up what the user's other programs need
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    # changes of files that Landlock does not see, the first one before its third version
    "truncate": (76, 45),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
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
_PRETENDED: dict[str, _Numbers] = {
    # Landlock does not see these either, but shutil and pathlib call them for every copy: they succeed and do nothing
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
_SIGNALS: dict[str, _Numbers] = {
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}
"""Ways to signal another process besides those that a filter can tell apart."""

_SOCKET, _CLONE, _CLONE3, _PRCTL = (41, 198), (56, 220), (435, 435), (157, 167)
_KILL, _TGKILL, _PRLIMIT, _FCNTL, _IOCTL = (62, 129), (234, 131), (302, 261), (72, 25), (16, 29)

_Part = tuple[int, int, int, int]
_REFUSE: _Part = (_RETURN, 0, 0, _ERRNO | errno.EPERM)


def filter_syscalls(*, all_sockets: bool, others_signals: bool) -> None:
    """Install the filter in this thread, and so in all that it starts.

    Args:
        all_sockets: refuse sockets of the internet too: there is no network namespace.
        others_signals: refuse signals, limits and the like for other processes: there is no PID namespace.

    Raises:
        OSError: the kernel or the machine has no such filter.
    """
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no filter is known for {platform.machine()}")
    program = _program(*_MACHINES[platform.machine()], all_sockets, others_signals)
    code = ctypes.create_string_buffer(program)
    header = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)


def _program(architecture: int, column: int, all_sockets: bool, others_signals: bool) -> bytes:
    """The filter as classic BPF: one short block for each call; between them the accumulator holds its number."""
    parts: list[_Part] = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), _REFUSE,
        # glibc falls back to clone(), whose flags a filter can read
        (_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        *_refuse_if(_CLONE[column], 0, _ANY_BIT, _NAMESPACES),
        # hidden from the watchdog, or not killed with its supervisor
        *_refuse_if(_PRCTL[column], 0, _EQUAL, _PR_SET_DUMPABLE),
        *_refuse_if(_PRCTL[column], 0, _EQUAL, _PR_SET_PDEATHSIG),
        # whoever opens a leased file, such as a library's, waits for its holder
        *_refuse_if(_FCNTL[column], 1, _EQUAL, _F_SETLEASE),
        *_refuse_if(_FCNTL[column], 1, _EQUAL, _F_NOTIFY),
        *_allow_only(_SOCKET[column], *([] if all_sockets else [_AF_INET, _AF_INET6])),
    ]  # fmt: skip
    if others_signals:
        parts += _no_signals(column)
    for calls, end in ((_REFUSED, _REFUSE), (_PRETENDED, (_RETURN, 0, 0, _ERRNO))):
        for numbers in calls.values():
            parts += _always(numbers[column], end)
    parts.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *part) for part in parts)


def _no_signals(column: int) -> list[_Part]:
    """Signals, and limits that end in one, go to this process alone."""
    parts = _allow_only(_KILL[column], os.getpid()) + _allow_only(_TGKILL[column], os.getpid())
    parts += _allow_only(_PRLIMIT[column], 0)
    for number, commands in ((_FCNTL[column], (_F_SETOWN, _F_SETOWN_EX)), (_IOCTL[column], (_FIOSETOWN, _SIOCSPGRP))):
        for command in commands:
            parts += _refuse_if(number, 1, _EQUAL, command)
    for numbers in _SIGNALS.values():
        parts += _always(numbers[column], _REFUSE)
    return parts


def _always(number: int | None, end: _Part) -> list[_Part]:
    """End a call in this way, if the machine has it."""
    return [] if number is None else [(_EQUAL, 0, 1, number), end]


def _refuse_if(number: int, argument: int, test: int, value: int) -> list[_Part]:
    """Refuse a call if an argument (its lower 32 bits) passes a test."""
    load = (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument)
    return [(_EQUAL, 0, 4, number), load, (test, 0, 1, value), _REFUSE, (_LOAD, 0, 0, _NUMBER)]


def _allow_only(number: int, *values: int) -> list[_Part]:
    """Refuse a call unless its first argument is one of some values."""
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    block: list[_Part] = [(_LOAD, 0, 0, _FIRST_ARGUMENT), *tests, _REFUSE, (_LOAD, 0, 0, _NUMBER)]
    return [(_EQUAL, 0, len(block), number), *block]

"""The Linux system calls of the sandbox, by ctypes: namespaces, capabilities, Landlock. Elsewhere all raise OSError."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = [
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "adopt_orphans",
    "die_with_parent",
    "drop_capabilities",
    "landlock_version",
    "no_new_privileges",
    "restrict_files",
    "stay_dumpable",
    "unshare",
]

CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 36, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522

# The same numbers on every architecture.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many rights over files each version knows; 16 from the fifth on
_ON_FILES = WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def call(name: str, *arguments: int | bytes | None) -> int:
    """Call a function of the C library that returns -1 on failure.

    Raises:
        OSError: it fails, or there is no such function here.
    """
    if _libc is None or not hasattr(_libc, name):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    plain = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = getattr(_libc, name)(*plain)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags`` for new ones."""
    call("unshare", flags)


def die_with_parent() -> None:
    """Be killed when the parent ends."""
    call("prctl", _PR_SET_PDEATHSIG, 9, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stay_dumpable() -> None:
    """Keep the ownership of the own files in /proc after a change of user."""
    call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)


def no_new_privileges() -> None:
    """Gain nothing from set-user-id programs; Landlock and seccomp require it."""
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_capabilities() -> None:
    """Give up every capability, in this namespace too."""
    call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    call("capset", struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


def landlock_version() -> int:
    """The version of Landlock that the kernel speaks.

    Raises:
        OSError: none, or it is switched off.
    """
    return call("syscall", _LANDLOCK_CREATE_RULESET, 0, 0, 1)


def restrict_files(rules: Mapping[Path, bool]) -> int:
    """Allow the files below the given paths and no others; True allows writing too, False reading only.

    Nothing may be executed, and from version 6 on no process outside gets a signal or an abstract socket's connection.
    Paths that do not exist, or may not be opened, are left out.

    Returns:
        The version of Landlock.
    """
    version = landlock_version()
    known = (1 << _RIGHTS.get(version, 16)) - 1
    writing = known & ~(EXECUTE | _MAKE_CHAR | _MAKE_BLOCK)
    reading = READ_FILE | READ_DIR
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if version >= 6 else 0
    attributes = struct.pack("QQQ", known, 0, scoped)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = call("syscall", _LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, writable in rules.items():
            _allow(ruleset, path, writing if writable else reading)
        call("syscall", _LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights &= ~0 if path.is_dir() else _ON_FILES
        call("syscall", _LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)

"""Applies the layers in the fork, in order, before the first line of student code, and says which of them are on."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from grader.worker.sandbox import kernel
from grader.worker.sandbox.limits import measure, set_limits
from grader.worker.sandbox.places import essentials, rules
from grader.worker.sandbox.policy import SWITCHED_OFF, Layer, Policy, Status
from grader.worker.sandbox.seccomp import filter_syscalls
from grader.worker.sandbox.supervise import start_init, supervise

__all__ = ["confine"]

_Result = TypeVar("_Result")

_NOBODY = 65534
_KEPT_VARIABLES = frozenset(
    {"PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMP", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
     "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "MPLBACKEND", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}
)  # fmt: skip


class _Layers:
    """Applies layers one by one and remembers what came of each.

    A layer that the machine refuses is missing; one that fails half-way raises, since what it left is unknown.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._on: dict[Layer, str] = {}
        self._missing: dict[Layer, str] = {}

    def apply(self, layer: Layer, step: Callable[[], str]) -> bool:
        """Try one layer; ``step`` returns what it consists of, or raises OSError where it is refused."""
        if layer not in self._policy.layers:
            self._missing[layer] = SWITCHED_OFF
            return False
        try:
            self._on[layer] = step()
        except OSError as error:
            self._missing[layer] = _reason(error)
            return False
        return True

    def refused(self, layer: Layer) -> bool:
        """Whether the layer was wanted and is not on."""
        return self._missing.get(layer, SWITCHED_OFF) != SWITCHED_OFF

    def status(self) -> Status:
        """What came of all layers."""
        return Status(dict(self._on), dict(self._missing))


def _reason(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSPC):  # the last is said of namespaces over their limit
        return f"{error.filename or 'this'} is not permitted here"
    if error.errno == errno.EINVAL and (error.filename or "").endswith("namespace"):
        return f"{error.filename} needs a process without threads"
    if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
        return str(error.strerror) if error.filename is None else f"this system has no {error.filename}"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def confine(scratch: str, policy: Policy, connection: int) -> Status:
    """Confine this process to its scratch directory; on Linux its caller goes on in a child of it.

    Args:
        scratch: the private directory of this worker.
        policy: the layers that are wanted.
        connection: the descriptor of the connection to the judge; a confined worker keeps no other.

    Raises:
        OSError: a layer failed half-way.
    """
    layers = _Layers(policy)
    layers.apply(Layer.ENVIRONMENT, lambda: _scrub(scratch))
    if sys.platform == "linux":
        _apply_on_linux(layers, scratch, policy, connection)
    else:
        _apply_elsewhere(layers, policy)
    layers.apply(Layer.WATCHDOG, lambda: "in the judge")
    return layers.status()


def _apply_on_linux(layers: _Layers, scratch: str, policy: Policy, connection: int) -> None:
    layers.apply(Layer.PRIVILEGES, lambda: _leave_privileges(scratch))
    layers.apply(Layer.NETWORK, lambda: _leave("network", kernel.CLONE_NEWNET))
    layers.apply(Layer.IPC, lambda: _leave("IPC", kernel.CLONE_NEWIPC))
    contained = layers.apply(Layer.PROCESSES, lambda: _leave("PID", kernel.CLONE_NEWPID))
    if contained or Layer.SESSION in policy.layers:
        supervise(connection, start_init() if contained else None)
    layers.apply(Layer.SESSION, _own_session)
    size = measure()  # before its files are out of reach
    if policy.layers - {Layer.WATCHDOG}:
        _close_all_but(connection)
        kernel.no_new_privileges()
    layers.apply(Layer.FILES, lambda: _restrict_files(scratch, policy))
    layers.apply(Layer.LIMITS, lambda: set_limits(policy, size))
    if Layer.PRIVILEGES in policy.layers:
        kernel.drop_capabilities()
    no_network, no_processes = layers.refused(Layer.NETWORK), layers.refused(Layer.PROCESSES)
    layers.apply(Layer.SYSCALLS, lambda: _filter(all_sockets=no_network, others_signals=no_processes))


def _apply_elsewhere(layers: _Layers, policy: Policy) -> None:
    def refuse() -> str:
        raise OSError(errno.ENOSYS, f"there is none on {sys.platform}")

    layers.apply(Layer.SESSION, _own_session)
    layers.apply(Layer.LIMITS, lambda: set_limits(policy, None))
    for layer in (Layer.PRIVILEGES, Layer.NETWORK, Layer.IPC, Layer.PROCESSES, Layer.FILES, Layer.SYSCALLS):
        layers.apply(layer, refuse)


def _scrub(scratch: str) -> str:
    """Keep no variable but those that numerical libraries read; the home and temporary directory is the scratch."""
    for name in set(os.environ) - _KEPT_VARIABLES:
        del os.environ[name]
    os.environ.update(dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), scratch))
    tempfile.tempdir = None
    return ""


def _leave_privileges(scratch: str) -> str:
    """Become an unprivileged user if this is root, and enter a user namespace, without which none of the others is."""
    details = [_become_nobody(scratch)] if os.geteuid() == 0 else []
    if os.geteuid() != 0:
        kernel.stay_dumpable()
    user, group = os.geteuid(), os.getegid()
    try:
        _leave("user", kernel.CLONE_NEWUSER)
    except OSError:
        if os.geteuid() == 0:
            raise
    else:
        with contextlib.suppress(OSError):  # without a map the namespace has no users, which is no more than we need
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{user} {user} 1")
            _write("/proc/self/gid_map", f"{group} {group} 1")
        details.append("user namespace")
    return ", ".join(filter(None, details)) or "an ordinary user"


def _become_nobody(scratch: str) -> str:
    """Change from root to an unprivileged user, unless that one cannot read Python: then a namespace must do."""
    try:
        if not _nobody_can_read((*essentials(), Path(scratch).parent)):
            return ""
    except OSError:  # a container's root that may not change its user, or has no other
        return ""
    _sure(lambda: _change_user(scratch))
    return f"user {_NOBODY}"


def _nobody_can_read(folders: Iterable[Path]) -> bool:
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    try:
        os.setegid(_NOBODY)
        os.seteuid(_NOBODY)
        return all(os.access(folder, os.X_OK, effective_ids=True) for folder in folders)
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _change_user(scratch: str) -> None:
    for folder, _, names in os.walk(scratch):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _write(path: str, text: str) -> None:
    opened = os.open(path, os.O_WRONLY)
    try:
        os.write(opened, text.encode())
    finally:
        os.close(opened)


def _leave(name: str, flag: int) -> str:
    try:
        kernel.unshare(flag)
    except OSError as error:
        article = "an" if name[0] in "I" else "a"
        raise OSError(error.errno, error.strerror, f"{article} {name} namespace") from None
    return f"{name} namespace"


def _own_session() -> str:
    if not hasattr(os, "setsid"):
        raise OSError(errno.ENOSYS, f"there is none on {sys.platform}")
    if os.getsid(0) != os.getpid():
        os.setsid()
    return ""


def _close_all_but(connection: int) -> None:
    """An inherited descriptor is a way past every other layer; the standard three go to the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if descriptor != connection:
            os.dup2(null, descriptor)
    for first, last in _gaps(connection):
        os.closerange(first, last)


def _gaps(kept: int) -> Iterator[tuple[int, int]]:
    most = 1 << 20
    yield 3, max(3, kept)
    yield max(3, kept + 1), most


def _restrict_files(scratch: str, policy: Policy) -> str:
    try:
        kernel.landlock_version()
    except OSError as error:
        raise OSError(error.errno, error.strerror, "Landlock") from None
    return f"Landlock {_sure(lambda: kernel.restrict_files(rules(scratch, gpu=bool(policy.gpu))))}"


def _filter(*, all_sockets: bool, others_signals: bool) -> str:
    filter_syscalls(all_sockets=all_sockets, others_signals=others_signals)
    instead = ["no socket at all, since there is no network namespace"] * all_sockets
    instead += ["no signal to other processes, since there is no PID namespace"] * others_signals
    return ", ".join(f"and {text}" for text in instead)


def _sure(step: Callable[[], _Result]) -> _Result:
    """The result of a step that can only fail half-way."""
    try:
        return step()
    except OSError as error:
        raise RuntimeError(f"a layer of the sandbox failed half-way: {error}") from error

"""The judge's end of a worker: start one, ask it, replace it.

Workers are forks of one clean server (``multiprocessing``'s forkserver with ``grader.worker.preload``); where there
is no fork, the same loop runs in a spawned process.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from grader.environment import ONE_THREAD, changed_environment
from grader.errors import InternalError, WireError
from grader.worker import wire
from grader.worker.loop import serve
from grader.worker.sandbox.cleanup import remove_tree
from grader.worker.sandbox.policy import Layer, Policy, Status
from grader.worker.sandbox.watchdog import Watchdog, kill_tree

__all__ = ["Worker", "WorkerLost", "start_server"]

_starting = threading.Lock()
_STARTUP_SECONDS = 180


class WorkerLost(Exception):
    """The worker gave no usable answer and is gone. ``kind`` is ``timeout``, ``died`` or ``nonsense``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def start_method() -> str:
    """``forkserver`` where the platform has it, else ``spawn``."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def _context(method: str) -> BaseContext:
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["grader.worker.preload"])
    return context


def start_server() -> None:
    """Start the fork server without waiting for it: it warms up while the judge does something else."""
    if start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running

        _context("forkserver")
        with _clean_start():
            ensure_running()


@contextmanager
def _clean_start() -> Iterator[None]:
    """What a new process inherits: nothing of ``__main__``, nothing from the current directory.

    multiprocessing would import ``__main__`` again in the child, and it is the judge. The current directory is often
    the submission, and a ``numpy.py`` in it would be imported by the server.
    """
    with _starting, _safe_path(), _bare_environment():
        main = sys.modules["__main__"]
        known: dict[str, Any] = vars(main)
        hidden: dict[str, Any] = {name: known.pop(name) for name in ("__file__", "__spec__") if name in known}
        known["__spec__"] = None
        try:
            yield
        finally:
            known.update(hidden)


_SERVER_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR",
                     "USERPROFILE", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")  # fmt: skip
_SERVER_PREFIXES = ("DYLD_", "LC_", "MPL", "OPENBLAS_", "PYTHON")


@contextmanager
def _bare_environment() -> Iterator[None]:
    """A process cannot forget the environment that it was started with, so a server starts with what it needs."""
    hidden = {
        name: value
        for name, value in os.environ.items()
        if name not in _SERVER_VARIABLES and not name.startswith(_SERVER_PREFIXES)
    }
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _granted(gpu: str) -> AbstractContextManager[None]:
    """A new process finds its GPU, if any, in its environment; it may have no second thread when it is confined."""
    return changed_environment({"CUDA_VISIBLE_DEVICES": gpu, **ONE_THREAD} if gpu else {})


@contextmanager
def _safe_path() -> Iterator[None]:
    path, safe = sys.path[:], os.environ.get("PYTHONSAFEPATH")
    sys.path[:] = [entry for entry in path if entry]
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        sys.path[:] = path
        if safe is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = safe


class Worker:
    """One process, with those that it starts, that runs one submission's code in a private copy of it.

    Args:
        staged: the directory of the staged submission.
        uses_accelerator: whether its code mentions a GPU.
        method: the start method of multiprocessing; None chooses the platform's best, and a GPU needs ``spawn``.
        limits: the largest answer accepted.
        isolation: what the sandbox should consist of, and what it allows.
    """

    def __init__(
        self,
        staged: Path,
        *,
        uses_accelerator: bool = False,
        method: str | None = None,
        limits: wire.Limits | None = None,
        isolation: Policy | None = None,
    ) -> None:
        self._limits = limits or wire.Limits()
        self._policy = isolation or Policy()
        self._status: Status | None = None
        self._watchdog: Watchdog | None = None
        self._scratch = _private_copy(staged)
        self._socket, theirs = socket.socketpair()
        with theirs, _clean_start(), _granted(self._policy.gpu):
            self._process = _context("spawn" if self._policy.gpu else method or start_method()).Process(  # type: ignore[attr-defined]
                target=serve, args=(theirs, str(self._scratch), uses_accelerator, self._policy), daemon=True
            )
            self._process.start()

    def ask(self, header: Mapping[str, Any], arrays: wire.Arrays, seconds: float) -> wire.Message:
        """Send one request and wait for its answer.

        Raises:
            WorkerLost: there is no well-formed answer within ``seconds``; the worker is closed.
            InternalError: the process could not load its libraries.
        """
        self.wait_until_ready()
        deadline = time.monotonic() + seconds
        try:
            self._socket.settimeout(seconds)
            wire.send(self._socket, wire.Message(header, arrays), self._limits)
            answer = wire.receive(self._socket, deadline, self._limits)
        except TimeoutError:
            self.close()
            raise WorkerLost("timeout", f"no answer within {seconds:g} seconds") from None
        except (wire.ConnectionClosed, ConnectionError):
            raise WorkerLost("died", self._how_it_died()) from None
        except WireError as error:
            self.close()
            raise WorkerLost("nonsense", f"the process answered with malformed data: {error}") from None
        if self._watchdog is not None and (verdict := self._watchdog.settle()):
            self.close()
            raise WorkerLost("died", _ended(verdict))
        return answer

    def wait_until_ready(self) -> None:
        """Loading the libraries is the grader's time, not the student's: no student code has run yet."""
        if self._status is not None:
            return
        try:
            ready = wire.receive(self._socket, time.monotonic() + _STARTUP_SECONDS, self._limits).header
        except (WireError, TimeoutError) as error:
            self.close()
            raise InternalError(f"a worker did not start: {type(error).__name__}: {error}") from None
        if ready.get("status") != "ready":
            self.close()
            raise InternalError(f"a worker did not start: {ready.get('message')}")
        self._status = Status.from_json(ready.get("sandbox"))
        if Layer.WATCHDOG in self._status.on:
            self._watchdog = Watchdog(self._process.pid, self._scratch, self._policy, self._kill)

    @property
    def status(self) -> Status:
        """Which layers of the sandbox are on; waits until the worker is ready."""
        self.wait_until_ready()
        return self._status or Status()

    def _how_it_died(self) -> str:
        self._process.join(1)
        code = self._process.exitcode
        self.close()
        if self._watchdog is not None and self._watchdog.verdict:
            return _ended(self._watchdog.verdict)
        if code is None:
            return "the process closed its connection to the grader"
        return f"the process was ended by signal {-code}" if code < 0 else f"the process exited with status {code}"

    def close(self) -> None:
        """End the process with all that it started, whatever they are doing, and remove their directory."""
        self._socket.close()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._process.is_alive():
            self._kill()
            self._process.join(5)
            if self._process.is_alive():
                kill_tree(self._process.pid)
        self._process.join(5)
        remove_tree(self._scratch)

    def _kill(self) -> None:
        """A supervisor kills the worker and everything that it left behind, and then ends itself."""
        if self._status is not None and Layer.SESSION in self._status.on and sys.platform == "linux":
            with suppress(OSError):
                os.kill(self._process.pid, signal.SIGTERM)
        else:
            kill_tree(self._process.pid)


def _ended(verdict: str) -> str:
    return f"the process was ended: {verdict}"


def _private_copy(staged: Path) -> Path:
    """A fresh copy of a staged submission: whatever a worker does to it, the next one finds the original."""
    scratch = Path(tempfile.mkdtemp(prefix="grader-worker-")).resolve()
    try:
        shutil.copytree(staged, scratch, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        remove_tree(scratch)
        raise InternalError(f"a worker did not start: {error}") from None
    return scratch

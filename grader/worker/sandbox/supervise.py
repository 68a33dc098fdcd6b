"""The process between fork server and worker: it lets nothing outlive the worker, and ends as the worker ended.

The worker cannot see it. In a namespace of processes the first one, which every other dies with, is no fork of ours but
a small program that waits for the end of a pipe: a fork would take as long as that of the worker.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

from grader.worker.sandbox import kernel

__all__ = ["Init", "start_init", "supervise"]


class Init(NamedTuple):
    """The first process of a namespace, and the pipe whose end ends it."""

    process: subprocess.Popen[bytes]
    pipe: int


def start_init() -> Init:
    """Start the first process of the namespace that this process has just made for its children."""
    theirs, ours = os.pipe()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # inherited: the kernel then buries orphans
    program = ["/bin/cat"] if os.access("/bin/cat", os.X_OK) else [sys.executable, "-ISc", "input()"]
    process = subprocess.Popen(program, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={})
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(theirs)
    return Init(process, ours)


def supervise(connection: int, init: Init | None) -> None:
    """Fork: return in the child, which becomes the worker; here, wait for its end and then end in the same way."""
    if init is None:
        kernel.adopt_orphans()
    worker = os.fork()
    if worker == 0:
        if init is None:
            kernel.die_with_parent()
        return
    try:
        os.close(connection)  # so that the judge notices the end of the worker
        signal.signal(signal.SIGTERM, lambda *_: _kill(worker))
        code = _end_of(worker)
        _bury_rest(init)
        _end_like(code)
    finally:
        os._exit(1)


def _kill(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended, and what it left is being buried
        os.kill(worker, signal.SIGKILL)


def _end_of(worker: int) -> int:
    """Wait for the worker; kill it if the judge is gone."""
    judge = multiprocessing.parent_process()
    with contextlib.suppress(OSError):  # an old kernel: the worker itself notices that the judge is gone
        end = os.pidfd_open(worker)
        ready = wait([end, *([judge.sentinel] if judge else [])])
        if end not in ready:
            os.kill(worker, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])


def _bury_rest(init: Init | None) -> None:
    """End every process that the worker left behind."""
    if init is not None:
        os.close(init.pipe)
        init.process.kill()
        init.process.wait()  # the kernel has then ended all others of the namespace
        return
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for child in children:
            os.kill(int(child), signal.SIGKILL)
            os.waitpid(int(child), 0)


def _end_like(code: int) -> None:
    """End with the same status, or by the same signal."""
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no disposition
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)

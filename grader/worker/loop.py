"""The probe loop: what runs in a worker process from its first line to its last."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import random
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from grader.errors import WireError
from grader.worker import wire
from grader.worker.displays import hide_displays
from grader.worker.progress import hide_progress_bars
from grader.worker.sandbox.confine import confine
from grader.worker.sandbox.policy import Policy, Status
from grader.worker.student import ProbeFailed, Student

__all__ = ["serve"]


def serve(sock: socket.socket, scratch: str, uses_accelerator: bool, policy: Policy) -> None:
    """Say what confines this process, then answer requests until the judge closes the connection.

    Args:
        sock: the connection to the judge.
        scratch: the private copy of the staged submission; the only directory that this process works in.
        uses_accelerator: whether the submission mentions a GPU, which is then replaced by the CPU.
        policy: the layers of the sandbox that are wanted.
    """
    try:
        status = _settle(sock, scratch, uses_accelerator, policy)
    except Exception as error:  # a fault of the sandbox, before any student code
        wire.send(sock, wire.Message({"status": "fault", "message": f"{type(error).__name__}: {error}"}))
        return
    wire.send(sock, wire.Message({"status": "ready", "sandbox": status.to_json()}))
    student = Student(scratch)
    while True:
        try:
            request = wire.receive(sock)
        except wire.ConnectionClosed:
            return
        reply = _answer(student, request)
        try:
            wire.send(sock, reply)
        except WireError as error:
            wire.send(sock, _failure("raised", str(error)))


def _settle(sock: socket.socket, scratch: str, uses_accelerator: bool, policy: Policy) -> Status:
    """Make this process the student's: confined to its own directory, no output, no inherited secrets."""
    import grader.worker.preload  # noqa: F401  (already there after a fork; a spawned process loads it now)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the judge ends its workers itself
    os.chdir(scratch)
    sys.argv = ["worker"]
    sys.path[:] = [entry for entry in sys.path if entry]
    sys.dont_write_bytecode = True
    gc.set_threshold(20_000, 20, 20)  # a worker is short-lived: looking for garbage seldom saves a twentieth
    status = confine(scratch, policy, sock.fileno())
    _silence()
    hide_progress_bars()
    hide_displays()
    from grader.worker.saving import forgive_saving  # not above: the judge imports this module, and needs no torch

    forgive_saving(scratch)
    if uses_accelerator:
        from grader.worker.cpu_only import run_on_cpu

        run_on_cpu()
    return status


def _silence() -> None:
    """Send what student code prints to nowhere: it would flood the terminal of the judge."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.dup2(null, descriptor)
    sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(os.devnull, "w"), open(os.devnull, "w")  # noqa: SIM115


def _answer(student: Student, request: wire.Message) -> wire.Message:
    try:
        module, _, name = str(request.header["probe"]).partition(".")
        probe = getattr(importlib.import_module(f"grader.probes.{module}"), name)
        _reset()
        facts, arrays = probe(student, request.header["params"], request.arrays)
        return wire.Message({"status": "ok", "facts": facts}, arrays)
    except ProbeFailed as failure:
        return _failure(failure.kind, failure.message, failure.frames)
    except BaseException as error:  # not in the student's call, but from what it returned or left behind
        return _failure("type", f"the result cannot be used: {_words(error)}")
    finally:
        sys.settrace(None)  # a trace of the student's would run in what follows too
        sys.setprofile(None)


def _words(error: BaseException) -> str:
    """An exception in words, even if its own ``__str__`` is a student's and raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:
        return type(error).__name__


def _reset() -> None:
    """Student code may use the global generators and change global settings; every probe starts from the same."""
    import torch

    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    np.seterr(all="warn")
    torch.default_generator.manual_seed(0)  # torch.manual_seed would note a traceback for a GPU that is not there
    np.random.seed(0)  # noqa: NPY002  (the global state is the point here)
    random.seed(0)


def _failure(kind: str, message: str, frames: tuple[str, ...] = ()) -> wire.Message:
    header: Mapping[str, Any] = {"status": "failed", "kind": kind, "message": message, "frames": list(frames)}
    return wire.Message(header)

"""Questions to the workers of one staged submission; every failure of theirs becomes the right outcome."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grader.assignment import Limits
from grader.cases import Arrays
from grader.errors import CheckFailed, CheckTimedOut
from grader.worker.host import Worker, WorkerLost
from grader.worker.sandbox.policy import Policy, Status

__all__ = ["BROKEN", "Interview", "InterviewFactory"]

BROKEN = "your code broke the process that runs it"
"""How the failure begins that a lost or senseless process is."""


class Interview:
    """Questions to one staged submission; a worker that is lost is replaced, its question stays lost.

    Args:
        scratch: the directory of the staged submission.
        limits: deadlines, restarts and timeouts.
        uses_accelerator: whether the submission mentions a GPU.
        method: start method of the workers; None for the platform's best.
        isolation: what the sandbox should consist of; None for everything that the machine offers.
    """

    def __init__(
        self,
        scratch: Path,
        limits: Limits,
        uses_accelerator: bool = False,
        method: str | None = None,
        *,
        isolation: Policy | None = None,
    ) -> None:
        self._scratch = scratch
        self._isolation = isolation
        self._sandbox: Status | None = None
        self._limits = limits
        self._uses_accelerator = uses_accelerator
        self._method = method
        self._worker: Worker | None = None
        self._deaths: Counter[str] = Counter()
        self._timeouts: Counter[str] = Counter()
        self._seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def sandbox(self) -> Status | None:
        """Which layers confine the workers; None before the first question."""
        return self._sandbox

    def begin(self) -> Status:
        """Start a worker if there is none, and say which layers confine it.

        Raises:
            InternalError: no process could be started.
        """
        self._sandbox = self._ready().status
        return self._sandbox

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def refusal(self, probe: str, params: Mapping[str, Any]) -> CheckFailed | None:
        """Why a question is refused untried: the time is used up, or its function was lost too often; None if not."""
        function = _function(probe, params)
        if self._seconds > self._limits.submission_seconds:
            return CheckTimedOut(f"this submission has used up its {self._limits.submission_seconds:g} seconds")
        if (timeouts := self._timeouts[function]) >= self._limits.timeouts:
            return CheckTimedOut(f"it did not finish {timeouts} times before this check, so it was not tried")
        if (deaths := self._deaths[function]) > self._limits.restarts:
            return CheckFailed(f"its processes died {deaths} times before this check, so it was not tried")
        return None

    def ask(self, probe: str, params: Mapping[str, Any], arrays: Arrays) -> tuple[Mapping[str, Any], Arrays]:
        """Facts and arrays of one probe.

        Raises:
            CheckFailed: the student's code has no usable answer.
            CheckTimedOut: it has none before the deadline.
            InternalError: no process could be started.
        """
        if refusal := self.refusal(probe, params):
            raise refusal
        started, is_first = time.monotonic(), self._sandbox is None
        self.begin()
        if is_first:  # this start is the grader's time; those after a lost worker are the submission's
            started = time.monotonic()
        try:
            reply = self._ready().ask({"probe": probe, "params": params}, arrays, self._deadline(probe))
        except WorkerLost as lost:
            self._worker = None
            self._deaths[_function(probe, params)] += 1
            self._timeouts[_function(probe, params)] += lost.kind == "timeout"
            raise _lost(lost) from None
        finally:
            self._seconds += time.monotonic() - started
        return _unpack(reply.header, dict(reply.arrays))

    def _deadline(self, probe: str) -> float:
        """Seconds for a question: half as many for each that the same lab has not answered in time."""
        hung = sum(count for function, count in self._timeouts.items() if _lab(function) == _lab(probe))
        whole, least = self._limits.probe_seconds, self._limits.least_seconds
        return max(whole * 0.5**hung, min(whole, least))

    def _ready(self) -> Worker:
        if self._worker is None:
            self._worker = Worker(
                self._scratch,
                uses_accelerator=self._uses_accelerator,
                method=self._method,
                isolation=self._isolation,
            )
        return self._worker


def _function(probe: str, params: Mapping[str, Any]) -> str:
    """What a question runs: a probe asks one function, or that function, class or module that it is told."""
    return " ".join([probe, *(str(params[key]) for key in ("name", "class", "module") if key in params)])


def _lab(probe: str) -> str:
    return probe.partition(".")[0]


def _lost(lost: WorkerLost) -> CheckFailed:
    if lost.kind == "timeout":
        return CheckTimedOut(f"your code did not finish: {lost.message}", advice="Look for a loop that never ends.")
    return CheckFailed(f"{BROKEN}: {lost.message}")


def _unpack(header: Mapping[str, Any], arrays: Arrays) -> tuple[Mapping[str, Any], Arrays]:
    """The answer in a reply; nothing in it is trusted to have the right type."""
    status, facts = header.get("status"), header.get("facts")
    if status == "ok" and isinstance(facts, dict):
        return facts, arrays
    message = str(header.get("message", "no message"))[:2000]
    if status == "failed":
        frames = header.get("frames")
        trace = "\n".join(str(frame)[:300] for frame in frames[:8]) if isinstance(frames, list) else ""
        raise CheckFailed(message, received=trace or None)
    raise CheckFailed(f"{BROKEN}: its answer makes no sense")


InterviewFactory = Callable[..., Interview]
"""Makes an Interview from its arguments; ``grader verify`` has one that remembers."""

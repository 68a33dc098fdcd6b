"""Judge processes side by side: each works on one item after another; one that dies or hangs is replaced."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from grader.environment import ONE_THREAD, changed_environment
from grader.errors import CheckFailed, GraderError, InternalError
from grader.worker.sandbox.cleanup import remove_tree
from grader.worker.sandbox.watchdog import kill_descendants, kill_tree

__all__ = ["Crew", "Lost", "Start"]

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")

Start = Callable[[], contextlib.AbstractContextManager[Callable[[_Item], _Done]]]
"""Makes, in the process that is to work, the function that does. It crosses to that process, so it has a name."""


@dataclass(frozen=True, slots=True)
class _NotBegun:
    """A process could not begin."""

    error: GraderError


_PATIENCE = 10.0
"""Seconds that a process gets to end by itself."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An item came to nothing, and why: its process died or hung, or the work raised."""

    error: GraderError


@dataclass(eq=False)
class _Member(Generic[_Item]):
    """A process, and what it works on since when."""

    process: SpawnProcess
    connection: Connection
    folder: Path
    item: _Item | None = None
    since: float = field(default_factory=time.monotonic)


class Crew(Generic[_Item, _Done]):
    """Some processes that do the same work.

    Args:
        start: what each process begins with.
        jobs: how many processes.
        seconds: how long one item may take, the start of a process included.
    """

    def __init__(self, start: Start[_Item, _Done], jobs: int, seconds: float = math.inf) -> None:
        self._start = start
        self._jobs = jobs
        self._seconds = seconds
        self._members: list[_Member[_Item]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        for member in self._members:
            member.connection.close()  # idle ones end by themselves
        for member in self._members:
            _end(member, _PATIENCE if member.item is None else 0)
        self._members.clear()

    def running(self) -> list[tuple[_Item, float]]:
        """What is being worked on, and for how many seconds."""
        now = time.monotonic()
        return [(member.item, now - member.since) for member in self._members if member.item is not None]

    def run(self, items: Sequence[_Item], tick: float | None = None) -> Iterator[tuple[_Item, _Done | Lost] | None]:
        """Every item with what came of it, in the order in which they end.

        Args:
            items: what to work on.
            tick: yield None too when nothing has ended for so many seconds.

        Raises:
            GraderError: a process could not begin.
        """
        waiting = deque(items)
        while waiting or any(member.item is not None for member in self._members):
            self._hand_out(waiting)
            ended = [done for member in self._with_news(tick) if (done := self._news_of(member)) is not None]
            ended += [self._given_up(member) for member in self._overdue()]
            yield from ended
            if not ended and tick is not None:
                yield None

    def _hand_out(self, waiting: deque[_Item]) -> None:
        while len(self._members) < self._jobs and len(waiting) > sum(m.item is None for m in self._members):
            self._members.append(_hire(self._start))
        for member in self._members:
            if waiting and member.item is None:
                member.item, member.since = waiting.popleft(), time.monotonic()
                with contextlib.suppress(OSError):  # it is gone, which its connection says next
                    member.connection.send(member.item)

    def _with_news(self, tick: float | None) -> list[_Member[_Item]]:
        soonest = min((member.since for member in self._members if member.item is not None), default=0.0)
        left = soonest + self._seconds - time.monotonic()
        limits = [max(seconds, 0.0) for seconds in (left, tick) if seconds is not None and seconds < math.inf]
        ready = wait([member.connection for member in self._members], min(limits, default=None))
        return [member for member in self._members if member.connection in ready]

    def _news_of(self, member: _Member[_Item]) -> tuple[_Item, _Done | Lost] | None:
        """What a member's item came to; of one that had none, nothing."""
        item = member.item
        try:
            done = member.connection.recv()
        except (EOFError, OSError):
            self._dismiss(member)
            done = Lost(InternalError(f"a process that grades {_how_it_ended(member.process)}"))
        except Exception as error:  # what came cannot be read
            self._dismiss(member)
            done = Lost(InternalError(f"a result was lost: {type(error).__name__}: {error}"))
        if isinstance(done, _NotBegun):
            raise done.error
        member.item = None
        return None if item is None else (item, done)

    def _overdue(self) -> list[_Member[_Item]]:
        now = time.monotonic()
        return [m for m in self._members if m.item is not None and now - m.since > self._seconds]

    def _given_up(self, member: _Member[_Item]) -> tuple[_Item, Lost]:
        item = member.item
        assert item is not None
        self._dismiss(member)
        return item, Lost(InternalError(f"there was no result within {self._seconds:.0f} seconds"))

    def _dismiss(self, member: _Member[_Item]) -> None:
        self._members.remove(member)
        member.connection.close()
        _end(member, 0)


def _hire(start: Start[Any, Any]) -> _Member[Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    folder = Path(tempfile.mkdtemp(prefix="grader-judge-"))
    folder.chmod(0o711)  # workers of another user find their directories in it
    process = context.Process(target=_work, args=(theirs, start, folder))
    with changed_environment(ONE_THREAD):  # the others keep the cores busy, and threads that wait spin
        process.start()
    theirs.close()
    return _Member(process, ours, folder)


def _end(member: _Member[Any], patience: float) -> None:
    """End a process with all that it started, and remove what they left."""
    process = member.process
    process.join(patience)
    if process.exitcode is None and process.pid is not None:
        kill_tree(process.pid)
    process.join()
    remove_tree(member.folder)


def _how_it_ended(process: SpawnProcess) -> str:
    code = process.exitcode or 0
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _work(connection: Connection, start: Start[Any, Any], folder: Path) -> None:
    """The whole life of a member: begin, then answer each item until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the crew ends its members itself
    tempfile.tempdir = str(folder)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(), folder), daemon=True).start()
    _answer(connection, start)


def _answer(connection: Connection, start: Start[Any, Any]) -> None:
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):  # the crew is gone, or wants nothing more
        try:
            beginning = start()
            work = beginning.__enter__()
        except Exception as error:
            connection.send(_NotBegun(_portable(error)))
            return
        try:
            while True:
                connection.send(_done(work, connection.recv()))
        finally:
            beginning.__exit__(None, None, None)


def _done(work: Callable[[Any], Any], item: Any) -> Any:
    try:
        return work(item)
    except Exception as error:
        return Lost(_portable(error))


def _portable(error: Exception) -> GraderError:
    """An exception that can cross to another process and be shown there."""
    if isinstance(error, GraderError) and not isinstance(error, CheckFailed):
        return error
    return InternalError(f"{type(error).__name__}: {error}")


def _end_with(parent: BaseProcess | None, folder: Path) -> None:
    """A parent that was killed can neither end its processes nor remove what they leave."""
    if parent is None:
        return
    parent.join()
    kill_descendants(os.getpid())
    remove_tree(folder)
    os._exit(1)

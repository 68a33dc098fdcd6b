"""How far a batch is: a live line on a terminal, a plain one now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from grader.gradebook.grades import Status
from grader.gradebook.run import Job
from grader.gradebook.store import Result
from grader.render.view import clean

__all__ = ["ConsoleWatch"]

_SLOW = 5.0
"""Seconds after which a submission that is being graded is worth a word."""


class ConsoleWatch:
    """Shows done, failed, the time that is left, and the slowest.

    Args:
        console: where.
        interval: seconds between two lines where there is no terminal.
        clock: seconds, for tests.
    """

    def __init__(self, console: Console, interval: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._interval = interval
        self._clock = clock
        self._total = self._done = self._faults = self._unusable = 0
        self._slowest = ("", 0.0)
        self._started = self._said = clock()
        self._live: Progress | None = None

    def begin(self, total: int) -> None:
        """So many submissions are to be graded."""
        self._total, self._done = total, 0
        self._started = self._said = self._clock()
        if total and self._console.is_terminal:
            self._live = Progress(
                TextColumn("Grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
                TextColumn("{task.fields[words]}", markup=False), console=self._console, transient=True,
            )  # fmt: skip
            self._live.start()
            self._live.add_task("", total=total, words="")

    def ended(self, job: Job, result: Result) -> None:
        """One of them has a result."""
        self._done += 1
        self._faults += result.status is Status.FAULT
        self._unusable += result.status is Status.UNUSABLE
        self._slowest = max(self._slowest, (job.name, result.seconds), key=lambda item: item[1])
        self.tick([])

    def tick(self, running: Sequence[tuple[Job, float]]) -> None:
        """Time has passed."""
        if self._live is not None:
            self._live.update(self._live.task_ids[0], completed=self._done, words=self._words(running))
        elif self._clock() - self._said >= self._interval:
            self._said = self._clock()
            left = self._left()
            told = f"{self._done} of {self._total} graded, {self._words(running)}".rstrip(", ")
            self._console.print(f"{told}, about {left:.0f} s left" if left else told, markup=False, highlight=False)

    def end(self) -> None:
        """No more is coming."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _left(self) -> float | None:
        spent = self._clock() - self._started
        return spent / self._done * (self._total - self._done) if self._done else None

    def _words(self, running: Sequence[tuple[Job, float]]) -> str:
        longest = max(running, key=lambda item: item[1], default=None)
        told = [f"{self._faults} faults of the grader"] if self._faults else []
        told += [f"{self._unusable} unusable"] if self._unusable else []
        if longest and longest[1] > _SLOW:
            told.append(f"at {_short(longest[0].name)} for {longest[1]:.0f} s")
        elif self._slowest[1] > 0:
            told.append(f"slowest {_short(self._slowest[0])} {self._slowest[1]:.1f} s")
        return ", ".join(told)


def _short(name: str) -> str:
    plain = clean(name).replace("\n", " ")
    return plain if len(plain) <= 30 else f"{plain[:29]}…"

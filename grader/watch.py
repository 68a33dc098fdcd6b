"""``grader check --watch``: which parts a saved file concerns."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from watchfiles import watch

from grader.checkpoints import parts_named

__all__ = ["changed_parts", "noting_interrupts", "parts_of"]

_LABS = {
    "answers.toml": ("p1.",),
    "lab1_sparse_optimization.py": ("1",),
    "lab2_pruning.py": ("2",),
    "FP_layers.py": ("3", "bonus"),
    "lab3_quantization.py": ("3b", "3c", "3d"),
}
_NUMBERS = ("2", "3", "bonus")
"""Where the full profile compares the numbers of answers.toml."""
_QUIET_MS = 30  # an editor's burst of writes ends sooner; the answer should come at once


def parts_of(names: set[str], parts: Sequence[str], *, full: bool = False) -> list[str]:
    """The parts among ``parts`` that changes to some files concern; a notebook or zip concerns all.

    Args:
        names: paths with ``/`` from the folder that is graded.
        parts: ids.
        full: whether checkpoints and the numbers of answers.toml are graded too.
    """
    if any(name.endswith((".ipynb", ".zip")) for name in names):
        return list(parts)
    prefixes = [prefix for name in names for prefix in _LABS.get(name.rpartition("/")[2], ())]
    if full:
        prefixes += [part for name in names for part in parts_named(name)]
        prefixes += _NUMBERS if any(name.rpartition("/")[2] == "answers.toml" for name in names) else ()
    return [part for part in parts if part.startswith(tuple(prefixes))]


@contextmanager
def noting_interrupts() -> Iterator[threading.Event]:
    """Yield an event that an interrupt sets, besides raising KeyboardInterrupt as ever.

    Python drops an exception that is raised in a finalizer or in the callback of a weak reference, so the exception
    alone would now and then be lost.
    """
    interrupted = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.default_int_handler:
        signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


def changed_parts(
    path: Path, parts: Sequence[str], stop: threading.Event, *, full: bool = False
) -> Iterator[list[str]]:
    """Yield the parts to grade again after every save below ``path``, until ``stop`` or a KeyboardInterrupt."""
    watched = path if path.is_dir() else path.parent
    root = watched.resolve()  # what the events name may be the target of a link
    for changes in watch(root, step=_QUIET_MS, debounce=400, stop_event=stop):
        names = {os.path.relpath(changed, root).replace(os.sep, "/") for _, changed in changes}
        if touched := parts_of(names if path.is_dir() else names & {path.name}, parts, full=full):
            yield touched

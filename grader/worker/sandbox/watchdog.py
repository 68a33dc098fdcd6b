"""The judge's eye on a worker: all its processes together may use so much memory, and so much of the disk."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import psutil

from grader.worker.sandbox.policy import Policy

__all__ = ["Watchdog", "descendants", "kill_descendants", "kill_tree"]

_INTERVAL = 0.05


class Watchdog:
    """A thread that kills a worker beyond its limits.

    Args:
        pid: the process that the fork server made for the worker.
        scratch: the worker's directory.
        policy: the limits.
        kill: ends the worker with all its processes.
    """

    def __init__(self, pid: int, scratch: Path, policy: Policy, kill: Callable[[], None]) -> None:
        self._pid = pid
        self._kill = kill
        self._scratch = scratch
        self._policy = policy
        # What is written to a disk is counted by the kernel, what is written to a file system in memory is not.
        self._on_no_device = sys.platform == "linux" and os.major(scratch.stat().st_dev) == 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.verdict: str | None = None
        """Why the worker was killed."""
        self._thread.start()

    def settle(self) -> str | None:
        """Why the worker has to go, with what its last answer left on the disk counted.

        Whatever a function left there is charged to its own question; the next one may come before the thread looks.
        """
        return self.verdict or self._excess_of_files(_usage(self._scratch, self._policy.files))

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL):
            if verdict := self._excess():
                self.verdict = verdict
                self._kill()
                return

    def _excess(self) -> str | None:
        policy, processes = self._policy, _with_descendants(self._pid)
        if self._over_memory(processes):
            return f"it used more than {policy.memory >> 20} MiB of memory"
        if sum(map(_threads, processes)) > policy.processes:
            return f"it started more than {policy.processes} processes and threads"
        usage = _usage(self._scratch, policy.files)
        if excess := self._excess_of_files(usage):
            return excess
        size = usage.size + (self._gone(processes) if self._on_no_device else 0)
        if max(size, sum(map(_written, processes))) > policy.disk:
            return f"it wrote more than {policy.disk >> 20} MiB to the disk"
        return None

    def _excess_of_files(self, usage: _Usage) -> str | None:
        if usage.hidden:
            return "it made a folder that cannot be looked into"
        if usage.entries > self._policy.files:
            return f"it made more than {self._policy.files} files"
        return None

    def _gone(self, processes: Sequence[psutil.Process]) -> int:
        """Bytes of files that have no name any more and are still open or mapped."""
        held: dict[int, int] = {}
        for process in processes:
            held |= dict.fromkeys(_mapped_and_gone(process.pid, f"{self._scratch}/"), self._policy.file_size)
            held |= dict(_open_and_gone(process.pid))
        return sum(held.values())

    def _over_memory(self, processes: Sequence[psutil.Process]) -> bool:
        """Resident memory is quick to read, but counts pages for each process that shares them; so look again."""
        most = self._policy.memory
        return sum(map(_memory, processes)) > most and sum(map(_share_of_memory, processes)) > most


def _share_of_memory(process: psutil.Process) -> int:
    """Bytes of memory, shared ones divided by those that share them; resident ones where that is not known."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError, OSError):
        return _memory(process)


def _memory(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _threads(process: psutil.Process) -> int:
    """Counted, since psutil searches a text that holds the name of the thread, which may read ``Threads: 1``."""
    with contextlib.suppress(psutil.Error, OSError):
        if sys.platform == "linux":
            return os.stat(f"/proc/{process.pid}/task").st_nlink - 2
        return int(process.num_threads())
    return 0


def _written(process: psutil.Process) -> int:
    """Bytes that went to a disk, files that are gone again included; a parent inherits the count of dead children."""
    with contextlib.suppress(psutil.Error, AttributeError, NotImplementedError):
        return int(process.io_counters().write_bytes)
    return 0


def _open_and_gone(pid: int) -> Iterator[tuple[int, int]]:
    """By inode, the bytes of open files that have been removed."""
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                status = os.stat(f"/proc/{pid}/fd/{name}")
                if status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
                    yield status.st_ino, status.st_blocks * 512


def _mapped_and_gone(pid: int, below: str) -> Iterator[int]:
    """The inodes of files below a folder that are mapped and have been removed; how large they are is not known."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", "rb") as file:
        for line in file:
            if line.endswith(b" (deleted)\n"):
                inode, _, path = line.split(None, 4)[4].partition(b" ")
                if path.lstrip().startswith(os.fsencode(below)):
                    yield int(inode)


class _Usage(NamedTuple):
    """What is below a folder: entries, their bytes on disk, and whether something there cannot be looked at."""

    entries: int
    size: int
    hidden: bool


def _usage(folder: Path, most: int) -> _Usage:
    """Look at all that is below a folder; counting ends beyond ``most``.

    Folders may be hidden by their rights, or nested until their path is too long for the system.
    """
    seen = size = 0
    waiting = [str(folder)]
    while waiting and seen <= most:
        current = waiting.pop()
        try:
            with os.scandir(current) as found:
                for entry in islice(found, most + 1 - seen):
                    seen += 1
                    size += _size_on_disk(entry)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # it was there a moment ago
            continue
        except OSError:
            if current != str(folder):  # that one is ours
                return _Usage(seen, size, hidden=True)
    return _Usage(seen, size, hidden=False)


def _size_on_disk(entry: os.DirEntry[str]) -> int:
    with contextlib.suppress(FileNotFoundError):
        status = entry.stat(follow_symlinks=False)
        return int(getattr(status, "st_blocks", status.st_size // 512)) * 512
    return 0


def descendants(pid: int) -> list[int]:
    """The processes that descend from one, nearest first."""
    if sys.platform != "linux":
        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        return []
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = list(_children(waiting.pop(0)))
        found += children
        waiting += children
    return found


def _children(pid: int) -> Iterator[int]:
    """Read where the kernel lists them: searching all processes of a machine would take too long."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                yield from map(int, file.read().split())


def _with_descendants(pid: int) -> list[psutil.Process]:
    found = []
    for number in (pid, *descendants(pid)):
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(number))
    return found


def kill_tree(pid: int) -> None:
    """Kill a process and all that descend from it, those first that it could start others with."""
    kill_descendants(pid)
    with contextlib.suppress(OSError):
        os.kill(pid, 9)


def kill_descendants(pid: int) -> None:
    """Kill all that descend from a process, again as long as there are new ones."""
    for _ in range(20):
        found = descendants(pid)
        for number in found:
            with contextlib.suppress(OSError):
                os.kill(number, 9)
        if not found:
            break

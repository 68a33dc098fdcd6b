"""Removes what a worker leaves on the disk, however it is shaped."""

from __future__ import annotations

import contextlib
import os
from itertools import count
from pathlib import Path

__all__ = ["remove_tree"]


def remove_tree(folder: Path) -> None:
    """Remove a directory with all that is in it.

    No path grows long and nothing recurses, since folders are moved up before they are emptied: a submission may have
    nested thousands of them. Links are removed, not followed, one in the place of the directory itself too. What cannot
    be removed stays.
    """
    top = str(folder)
    with contextlib.suppress(OSError):
        if os.path.islink(top):
            os.unlink(top)
            return
    numbers = count()
    waiting = [top]
    while waiting:
        current = waiting.pop()
        with contextlib.suppress(OSError):
            os.chmod(current, 0o700)
            for entry in list(os.scandir(current)):
                with contextlib.suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.path)
                        continue
                    os.chmod(entry.path, 0o700)
                    waiting.append(_moved(entry.path, top, numbers))
        if current != top:
            with contextlib.suppress(OSError):
                os.rmdir(current)
    with contextlib.suppress(OSError):
        os.rmdir(top)


def _moved(path: str, top: str, numbers: count[int]) -> str:
    """The folder's new path directly below ``top``."""
    while True:
        target = os.path.join(top, f".removed-{next(numbers)}")
        if not os.path.lexists(target):
            os.rename(path, target)
            return target

"""Huge pages for the fork server: a fork copies one entry per page, and what torch loads fills a hundred thousand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from grader.worker.sandbox import kernel

__all__ = ["use_huge_pages"]

_SIZE = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
_MADV_COLLAPSE = 25
_SECONDS = 2.0


def use_huge_pages() -> None:
    """Bring what this process has allocated together in huge pages; where Linux is older than 6.1, do nothing.

    It takes a moment once and makes each later fork several times faster; where memory is so fragmented that the kernel
    takes more than two seconds, the rest stays as it is. Pages stay shared with a fork as before: what that writes to
    is copied in small pages.
    """
    with suppress(OSError):
        size = int(_SIZE.read_text())
        end_by = time.monotonic() + _SECONDS
        for start, end in _allocated():
            for first in range(-(-start // size) * size, end // size * size, size):
                if time.monotonic() > end_by:
                    return
                with suppress(OSError):  # the stack, say, cannot be collapsed
                    kernel.call("madvise", first, size, _MADV_COLLAPSE)


def _allocated() -> Iterator[tuple[int, int]]:
    """Start and end of each writable mapping that has no file behind it."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        where, rights, _, _, file = line.split()[:5]
        if rights.startswith("rw") and file == "0":
            start, _, end = where.partition("-")
            yield int(start, 16), int(end, 16)

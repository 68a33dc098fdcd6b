"""Huge pages: what a process has allocated is in them afterwards, and its contents are what they were."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import re
from pathlib import Path
from grader.worker import pages
from grader.worker.sandbox import kernel

def huge():
    return int(re.search(r"AnonHugePages: +(\\d+)", Path("/proc/self/smaps_rollup").read_text())[1])

block = bytearray(range(256)) * 2**18  # 64 MiB
before = huge()
pages.use_huge_pages()
assert block == bytearray(range(256)) * 2**18
print((huge() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has them")
def test_what_is_allocated_moves_to_huge_pages() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    moved = int(done.stdout)
    if not moved:
        pytest.skip("this kernel cannot collapse pages: it is older than 6.1 or has no huge pages")
    assert moved >= 32


def test_where_there_are_none_nothing_happens() -> None:
    blocked = "from pathlib import Path\nfrom grader.worker import pages\npages._SIZE = Path('/nowhere')\n"
    subprocess.run([sys.executable, "-c", f"{blocked}pages.use_huge_pages()"], check=True)

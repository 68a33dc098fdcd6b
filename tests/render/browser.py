"""A real browser that opens a page."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["browse", "needs_browser", "untouched_address"]

_BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip

needs_browser = pytest.mark.skipif(_BROWSER is None and not os.environ.get("CI"), reason="no Chromium on this machine")
"""In CI a missing browser is a failure, not a skip."""


def browse(page: Path, *options: str) -> str:
    """Open a page with more options, and return what the browser prints."""
    assert _BROWSER is not None
    profile = page.parent / "profile"
    command = [_BROWSER, *_QUIET, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@contextmanager
def untouched_address() -> Iterator[str]:
    """An address on this machine that nobody may have asked for anything at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/beacon.png"
        listener.settimeout(0.5)
        with pytest.raises(TimeoutError):
            listener.accept()

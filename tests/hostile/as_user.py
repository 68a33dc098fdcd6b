"""Runs a command as an ordinary user, for tests that run as root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

__all__ = ["run_as_user"]

USER = 65534
# Python may lie in a folder that only root can enter: in a mount namespace of its own the folder is empty but for it.
_OPEN_UP = """
set -e
mount --bind "$1" "$2"
mount -t tmpfs -o mode=755 none "$3"
mkdir -p "$1"
mount --move "$2" "$1"
shift 3
"""
_CHANGE_USER = """exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all "$@" """


def _closed(path: Path) -> Path | None:
    """The first folder on the way to ``path`` that others may not enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 1), None)


def run_as_user(command: list[str], home: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command as a user without rights, whose home and temporary directory is ``home``."""
    os.chown(home, USER, USER)
    python = Path(sys.base_prefix).resolve()
    closed = _closed(python)
    arguments: list[str] = []
    script = _CHANGE_USER
    if closed is not None:
        between = home / "python"
        between.mkdir()
        arguments = [str(python), str(between), str(closed)]
        script = _OPEN_UP + _CHANGE_USER
    # Found first where the command runs, since a checkout need not be installed.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(ROOT),
                   "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *arguments, *command],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
        env=environment,
    )

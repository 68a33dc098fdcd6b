"""What the filter of system calls does in place of namespaces that a machine refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")

SCRIPT = """
import fcntl, json, os, resource, signal, socket, sys
from grader.worker.sandbox.kernel import no_new_privileges
from grader.worker.sandbox.seccomp import filter_syscalls

instead, victim = json.loads(sys.argv[1]), int(sys.argv[2])
pipe, pidfd = os.pipe()[0], os.pidfd_open(victim)
nothing = signal.Signals.SIGCONT
tries = {
    "own signal": lambda: os.kill(os.getpid(), nothing),
    "own limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "own raise": lambda: signal.raise_signal(nothing),
    "internet": lambda: socket.socket(socket.AF_INET).close(),
    "signal": lambda: os.kill(victim, nothing),
    "signal to a group": lambda: os.kill(-victim, nothing),
    "signal to a descriptor": lambda: signal.pidfd_send_signal(pidfd, nothing),
    "limit": lambda: resource.prlimit(victim, resource.RLIMIT_CORE, (0, 0)),
    "owner of a pipe": lambda: fcntl.fcntl(pipe, fcntl.F_SETOWN, victim),
    "Unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
}
no_new_privileges()
filter_syscalls(all_sockets=instead, others_signals=instead)
done = []
for name, attempt in tries.items():
    try:
        attempt()
    except PermissionError:
        continue
    done.append(name)
print(json.dumps(done))
"""
OWN = ["own signal", "own limit", "own raise"]
OTHERS = ["signal", "signal to a group", "signal to a descriptor", "limit", "owner of a pipe"]


@pytest.fixture
def victim() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()


@pytest.mark.parametrize(("instead", "allowed"), [(False, [*OWN, "internet", *OTHERS]), (True, OWN)])
def test_the_filter_stands_in_for_namespaces(instead: bool, allowed: list[str], victim: int) -> None:
    command = [sys.executable, "-c", SCRIPT, json.dumps(instead), str(victim)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == allowed


def test_a_copy_keeps_working_though_rights_do_not_change(tmp_path: Path) -> None:
    """A student's own copy of a file calls chmod and utime, which the filter does not let through."""
    script = (
        "import os, pathlib, shutil\n"
        "from grader.worker.sandbox.kernel import no_new_privileges\n"
        "from grader.worker.sandbox.seccomp import filter_syscalls\n"
        "no_new_privileges()\n"
        "filter_syscalls(all_sockets=False, others_signals=False)\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "pathlib.Path('a').write_text('x')\n"
        "pathlib.Path('a').touch()\n"
        "os.chmod('a', 0o4777)\n"
        "print(shutil.copy2('a', 'b'), oct(os.stat('a').st_mode & 0o7000))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["b", "0o0"]

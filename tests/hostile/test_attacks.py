"""Every attack fails, costs only its own checks, and leaves nothing; without its layer it would succeed."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import psutil
import pytest

from grader import locations
from grader.assignment import Assignment, Limits
from grader.errors import CheckFailed
from grader.grade import Grader
from grader.interview import Interview
from grader.submission import Submission
from grader.worker.sandbox.policy import Layer, Policy
from tests.conftest import ROOT, checks_of
from tests.hostile.attacks import ATTACKS, Attack, source

LAB1 = "lab1_sparse_optimization"
POLICY = Policy(memory=512 << 20, disk=96 << 20, file_size=64 << 20, files=1000, processes=32)
LIMITS = Limits(probe_seconds=10, least_seconds=5, submission_seconds=100, restarts=8, timeouts=2)
DAEMON = f"hostile-{os.getpid()}"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")


@pytest.fixture(scope="module")
def impatient(assignment: Assignment) -> Iterator[Grader]:
    limits = assignment.limits.model_copy(update={"probe_seconds": 1.5})
    rubric = assignment.model_copy(update={"limits": limits})
    with Grader(rubric, show_hidden=True, isolation=POLICY) as grader:
        yield grader


class World:
    """What attacks aim at, all of it this test's own; and what really happened to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.unix, self.abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.unix.bind(str(folder / "socket"))
        self.abstract.bind(f"\0{DAEMON}")
        self.listening = (self.tcp, self.unix, self.abstract)
        for sock in (*self.listening, self.udp):
            if sock is not self.udp:
                sock.listen()
            sock.setblocking(False)
        self.key = 0x6E000000 + os.getpid()
        self.queue = ctypes.CDLL(None).msgget(self.key, 0o1600)
        self.signals: list[int] = []
        self.handler = signal.signal(signal.SIGWINCH, lambda number, _: self.signals.append(number))
        (folder / "other.py").write_text("SECRET")
        self.victim, self.shared = folder / "victim.py", Path("/dev/shm", DAEMON)
        self.victim.write_text("SECRET")
        self.before = _facts_of(self.victim)

    def names(self) -> dict[str, object]:
        """What the code of attacks is told."""
        server = forkserver._forkserver._forkserver_pid
        return {
            "reference": str(ROOT / "reference" / f"{LAB1}.py"),
            "hidden": str(locations.fixtures() / "hidden" / "cases.json"),
            "other": str(self.folder / "other.py"),
            "victim": str(self.victim),
            "outside": str(self.folder / "outside"),
            "home": os.environ["HOME"],
            "judge": os.getpid(),
            "server": server,
            "bystander": self.bystander.pid,
            "judge_proc": f"/proc/{os.getpid()}/cmdline",
            "server_proc": f"/proc/{server}/status",
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix": str(self.folder / "socket"),
            "abstract": DAEMON,
            "queue": self.key,
            "daemon": DAEMON,
        }

    def harm(self) -> list[str]:
        """What was done to anything outside the sandbox."""
        found = [f"connection to {sock.getsockname()}" for sock in self.listening if _accepts(sock)]
        found += ["datagram"] if _received(self.udp) else []
        found += ["file outside"] if (self.folder / "outside").exists() else []
        found += ["shared memory"] if self.shared.exists() else []
        found += [] if _facts_of(self.victim) == self.before else ["file changed or removed"]
        found += [] if self.bystander.poll() is None else ["bystander killed"]
        found += ["signal to the group"] * bool(self.signals)
        found += ["daemon"] * bool(daemons())
        return found

    def close(self) -> None:
        for sock in (*self.listening, self.udp):
            sock.close()
        self.shared.unlink(missing_ok=True)
        ctypes.CDLL(None).msgctl(self.queue, 0, None)
        signal.signal(signal.SIGWINCH, self.handler)
        for pid in daemons():
            os.kill(pid, signal.SIGKILL)
        self.bystander.kill()
        self.bystander.wait()


def _facts_of(path: Path) -> tuple[int, ...]:
    """What nobody outside of a sandbox changes; empty if the file is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_mode, status.st_uid, status.st_nlink, status.st_size, status.st_mtime_ns


def daemons() -> list[int]:
    """The processes that call themselves by our name."""
    return [p.pid for p in psutil.process_iter(["name", "status"]) if p.info["name"] == DAEMON
            and p.info["status"] != psutil.STATUS_ZOMBIE]  # fmt: skip


def _accepts(sock: socket.socket) -> bool:
    try:
        sock.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _received(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(10))
    except BlockingIOError:
        return False


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def names(attack: Attack) -> str:
    return attack.name.replace(" ", "-")


@pytest.mark.parametrize("attack", ATTACKS, ids=names)
def test_an_attack_fails_and_costs_only_its_own_checks(
    attack: Attack, impatient: Grader, reference: Submission, world: World
) -> None:
    files = dict(reference.files)
    files[f"{LAB1}.py"] += source(attack, world.names()).encode()
    report = impatient.grade(Submission("hostile", files, ()), ["1a"])
    assert world.harm() == []
    checks = checks_of(report)
    assert _matches(attack.ending, checks["gradient_is_exact"].message), checks["gradient_is_exact"].message
    honest = {name: check.outcome for name, check in checks.items() if name.startswith("loss")}
    assert set(honest.values()) == {"passed"}, honest
    after = impatient.grade(reference, ["1a"])
    assert after.score == after.max_score


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def met(attack: Attack, world: World, policy: Policy) -> tuple[str, list[str]]:
    """What an attack comes to under a policy: its message, and the harm."""
    staged = world.folder / "staged"
    staged.mkdir(exist_ok=True)
    (staged / f"{LAB1}.py").write_text(source(attack, world.names()))
    arrays = {"X": np.eye(2), "y": np.zeros(2), "w": np.zeros(2)}
    params = {"name": "gradient", "scalars": {}, "returns": "vector"}
    with Interview(staged, LIMITS, isolation=policy) as interview:
        with pytest.raises(CheckFailed) as caught:
            interview.ask("lab1.function", params, arrays)
        if interview.sandbox is None:
            pytest.fail("no sandbox was reported")
        wanted = {attack.layer} & policy.layers
        if lacking := [interview.sandbox.missing[layer] for layer in wanted - interview.sandbox.on.keys()]:
            pytest.skip(f"not on this machine: {lacking[0]}")
    time.sleep(0.05)
    return caught.value.message, world.harm()


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.also], ids=names)
def test_the_layer_alone_stops_it(attack: Attack, world: World) -> None:
    message, harm = met(attack, world, POLICY.without(*attack.also))
    assert harm == []
    assert _matches(attack.ending, message), message


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.layer], ids=names)
def test_without_its_layer_it_succeeds(attack: Attack, world: World) -> None:
    if attack.root_only and os.geteuid() != 0:
        pytest.skip("an ordinary user cannot do this anyway")
    assert attack.layer is not None
    message, harm = met(attack, world, POLICY.without(attack.layer, *attack.also))
    assert _matches(attack.succeeds, message), message
    if attack.succeeds == attack.ending:
        assert harm != []


def test_every_layer_is_proven() -> None:
    assert {attack.layer for attack in ATTACKS} >= set(Layer)


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no file system in memory")
@pytest.mark.parametrize("how", ["held.append(file)", "held.append(mapped(file)); file.close()"])
def test_files_in_memory_that_have_no_name_count_too(how: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel counts what is written to a disk; a temporary directory in memory is none."""
    code = f"""
    import ctypes, os, time
    def mapped(file):  # mmap.mmap would keep a descriptor of its own
        return ctypes.CDLL(None).mmap(None, ctypes.c_long(4096), 1, 1, file.fileno(), ctypes.c_long(0))
    def attack():
        held = []
        for i in range(8):
            file = open(f"large{{i}}", "w+b", 0)
            file.write(bytes(16 << 20))
            os.unlink(file.name)
            {how}
        time.sleep(0.5)
    """
    attack = Attack("files without a name", code, "more than 96 MiB to the disk", Layer.WATCHDOG)
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    message, _ = met(attack, world, POLICY)
    assert _matches(attack.ending, message), message
    message, _ = met(attack, world, POLICY.without(Layer.WATCHDOG))
    assert _matches(attack.succeeds, message), message


def test_the_table_of_attacks_is_complete_and_true() -> None:
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\*([^*\n]+)\*(?!\*)", text)) - {"italics"} == {attack.name for attack in ATTACKS}
    for path, test in re.findall(r"`(tests/\S+\.py)::(\w+)`", text):
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no {test}"

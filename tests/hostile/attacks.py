"""Attacks: what each tries, and what must become of it.

The code of an attack defines ``attack()``; it runs in the place of ``gradient`` of the reference. ``WORLD`` holds what
it aims at. Each is bounded, so that a sandbox that fails costs a test and not the machine.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from grader.worker.sandbox.policy import Layer

__all__ = ["ATTACKS", "Attack", "source"]


@dataclass(frozen=True)
class Attack:
    """One attack.

    Args:
        name: an identifier.
        code: defines ``attack()``.
        ending: a regular expression for the message of the check that met it.
        layer: the layer that this attack proves; None if no layer but the separate process stops it.
        also: layers that would stop it too, and are off while ``layer`` is proven.
        succeeds: what the message says with all these layers off.
        root_only: whether only root could succeed.
    """

    name: str
    code: str
    ending: str
    layer: Layer | None = None
    also: tuple[Layer, ...] = ()
    succeeds: str = "REACHED"
    root_only: bool = False


_HARNESS = """
_met = []
def gradient(X, y, w):
    if not _met:
        try:
            _met.append(f"REACHED {attack()}")
        except Exception as error:
            _met.append(f"REFUSED {type(error).__name__}")
    raise RuntimeError(_met[0])
"""


def source(attack: Attack, world: dict[str, object]) -> str:
    """What is appended to a submission's Lab 1."""
    return f"\nWORLD = {world!r}\n{textwrap.dedent(attack.code)}\n{_HARNESS}"


def _reading(name: str, path: str) -> Attack:
    return Attack(
        name, f"def attack(): return open(WORLD[{path!r}], 'rb').read(20)", "REFUSED PermissionError", Layer.FILES
    )


def _bomb(name: str, body: str, layer: Layer, also: tuple[Layer, ...], ending: str) -> Attack:
    return Attack(name, body, ending, layer, also)


_FILES = [
    _reading("the reference", "reference"),
    _reading("hidden cases", "hidden"),
    _reading("another submission", "other"),
    _reading("the command line of the judge", "judge_proc"),
    _reading("the state of the fork server", "server_proc"),
    Attack(
        "the home directory",
        "import os\ndef attack(): return os.listdir(WORLD['home'])[:1]",
        "REFUSED PermissionError",
        Layer.FILES,
    ),
    Attack(
        "a link to another submission",
        "import os\ndef attack():\n    os.symlink(WORLD['other'], 'link')\n    return open('link').read(5)",
        "REFUSED PermissionError",
        Layer.FILES,
    ),
    Attack(
        "writing outside",
        "def attack(): return open(WORLD['outside'], 'w').write('x')",
        "REFUSED PermissionError",
        Layer.FILES,
    ),
    Attack(
        "removing another submission's file",
        "import os\ndef attack(): return os.unlink(WORLD['victim'])",
        "REFUSED PermissionError",
        Layer.FILES,
    ),
    Attack("rights of a file outside", "import os\ndef attack(): os.chmod(WORLD['victim'], 0o4777)", "REACHED None",
           Layer.SYSCALLS, (), "REACHED None"),
    Attack("the date of a file outside", "import os\ndef attack(): os.utime(WORLD['victim'], (0, 0))", "REACHED None",
           Layer.SYSCALLS, (), "REACHED None"),
    Attack("emptying a file outside", "import os\ndef attack(): os.truncate(WORLD['victim'], 0)",
           "REFUSED PermissionError", Layer.FILES, (Layer.SYSCALLS,)),
    *(
        Attack(name, f"import os\ndef attack(): os.{call}", "REFUSED (PermissionError|OSError)", Layer.FILES)
        for name, call in (
            ("a hard link to a file outside", "link(WORLD['victim'], 'link')"),
            ("a file moved in", "rename(WORLD['victim'], 'moved')"),
            ("a file moved out", "rename('lab1_sparse_optimization.py', WORLD['outside'])"),
            ("shared memory with a name", "open('/dev/shm/' + WORLD['daemon'], os.O_CREAT | os.O_RDWR)"),
            ("its own memory", "open('/proc/self/mem', os.O_RDWR)"),
            ("its own descriptors", "listdir('/proc/self/fd')"),
        )
    ),
    Attack(
        "another program",
        "import subprocess\ndef attack(): return subprocess.run(['/bin/true'], check=True).returncode",
        "REFUSED PermissionError",
        Layer.FILES,
    ),
    Attack(
        "the environment",
        """
        import os
        def attack():
            if os.environ.get("HOME") != WORLD["home"]:
                raise KeyError
        """,
        "REFUSED KeyError",
        Layer.ENVIRONMENT,
    ),
]  # fmt: skip

_TALKING = [
    Attack(
        "TCP",
        "import socket\ndef attack(): return socket.create_connection(('127.0.0.1', WORLD['tcp']), 1).send(b'x')",
        "REFUSED OSError",
        Layer.NETWORK,
    ),
    Attack(
        "UDP",
        """
        import socket
        def attack():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                return sock.sendto(b"x", ("127.0.0.1", WORLD["udp"]))
        """,
        "REFUSED OSError",
        Layer.NETWORK,
    ),
    *(
        Attack(
            name,
            f"""
            import socket
            def attack():
                with socket.socket(socket.AF_UNIX) as sock:
                    return sock.connect({address})
            """,
            "REFUSED PermissionError",
            Layer.SYSCALLS,
            also,
        )
        for name, address, also in (
            ("a Unix socket with a path", "WORLD['unix']", ()),
            ("an abstract Unix socket", "chr(0) + WORLD['abstract']", (Layer.NETWORK, Layer.FILES)),
        )
    ),
    Attack(
        "a message queue of the judge",
        """
        import ctypes
        def attack():
            if ctypes.CDLL(None).msgget(WORLD["queue"], 0) < 0:
                raise FileNotFoundError
        """,
        "REFUSED FileNotFoundError",
        Layer.IPC,
        (Layer.SYSCALLS,),
    ),
    *(
        Attack(
            name,
            f"import ctypes\ndef attack():\n    if ctypes.CDLL(None).{call} < 0: raise PermissionError",
            "REFUSED PermissionError",
            Layer.SYSCALLS,
        )
        for name, call in (
            ("a namespace of its own", "unshare(0x10000000)"),
            ("memory without a mapping", "memfd_create(b'x', 0)"),
            ("memory in semaphores", "semget(0, 32000, 0o600)"),
            ("memory in message queues", "msgget(0, 0o600)"),
            ("using up what watches files", "inotify_init1(0)"),
            ("hiding its numbers from the judge", "prctl(4, 0, 0, 0, 0)"),
            ("outliving its supervisor", "prctl(1, 0, 0, 0, 0)"),
            ("being traced by a child", "ptrace(0, 0, 0, 0)"),
            ("asynchronous calls past the filter", "syscall(425, 1, bytes(120))"),
        )
    ),
    *(
        Attack(
            name,
            f"""
            import fcntl, os
            def attack(): return fcntl.fcntl(os.open({path!r}, os.O_RDONLY), {command}, fcntl.F_RDLCK)
            """,
            "REFUSED PermissionError",
            Layer.SYSCALLS,
        )
        for name, path, command in (
            ("keeping a file from all who open it", "lab1_sparse_optimization.py", "fcntl.F_SETLEASE"),
            ("being told of files in a folder", ".", "fcntl.F_NOTIFY"),
        )
    ),
    Attack(
        "calls by the numbers of another architecture",
        """
        import ctypes
        def attack():
            if ctypes.CDLL(None).syscall(0x40000000 | 39) < 0: raise PermissionError
        """,
        "REFUSED PermissionError",
    ),
    Attack(
        "the kernel, a virtual machine's host and more",
        """
        import socket
        def _opens(family):
            try:
                socket.socket(family, socket.SOCK_RAW).close()
            except PermissionError:
                return False
            except OSError:
                pass  # this kernel has none
            return True
        def attack():
            if not any([_opens(family) for family in (16, 17, 38, 40)]): raise PermissionError
        """,
        "REFUSED PermissionError",
        Layer.SYSCALLS,
    ),
    Attack(
        "an open file in a message",
        """
        import array, os, socket
        def attack():
            here, there = socket.socketpair()
            here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
        """,
        "REFUSED PermissionError",
        Layer.SYSCALLS,
    ),
    Attack(
        "a higher priority",
        "import os\ndef attack(): return os.nice(-1)",
        "REFUSED PermissionError",
        Layer.PRIVILEGES,
        root_only=True,
    ),
]

_DAEMON = """
import ctypes, os, time
def attack():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(15, WORLD["daemon"].encode(), 0, 0, 0)
            time.sleep(60)
        os._exit(0)
    time.sleep(0.2)
    {then}
"""

_PROCESSES = [
    *(
        Attack(
            f"{name} {target}",
            f"import os\ndef attack(): return os.kill(WORLD[{target!r}], {number})",
            "REFUSED (ProcessLookupError|PermissionError)",
            layer,
            (Layer.FILES,) if layer else (),
        )
        for name, number, target, layer in (
            ("killing", 9, "bystander", Layer.PROCESSES),
            ("stopping", 19, "server", None),
            ("killing", 9, "server", None),
            ("signalling", 18, "judge", None),  # SIGCONT: allowed or not as SIGSTOP is, without stopping the tests
        )
    ),
    Attack("a signal to the group of the judge", "import os\ndef attack(): return os.kill(0, 28)", "REACHED None",
           Layer.SESSION, (Layer.FILES,), "REACHED None"),
    Attack("a daemon", _DAEMON.format(then="return 'left one'"), "REACHED left one",
           Layer.PROCESSES, (Layer.SESSION,), "REACHED left one"),
    Attack("a daemon of a dead worker", _DAEMON.format(then="os._exit(3)"), "exited with status 3"),
    Attack(
        "a fork bomb",
        """
        import os, time
        def attack():
            for _ in range(100):
                if os.fork() == 0:
                    time.sleep(2)
                    os._exit(0)
            return time.sleep(0.5)
        """,
        "REFUSED BlockingIOError|more than 32 processes",
        Layer.WATCHDOG,
        (Layer.LIMITS,),
    ),
    Attack(
        "a fork bomb that doubles",
        """
        import os, time
        def attack():
            here = os.getpid()
            try:
                for _ in range(6):
                    os.fork()
                time.sleep(2)
            finally:
                if os.getpid() != here: os._exit(0)
        """,
        "REFUSED BlockingIOError|more than 32 processes|did not finish",  # on a busy machine forks take long
        Layer.WATCHDOG,
        (Layer.LIMITS,),
    ),
    *(
        Attack(
            name,
            f"""
            import ctypes, threading, time
            def attack():
                ctypes.CDLL(None).prctl(15, {called!r}, 0, 0, 0)
                for _ in range(100):
                    threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
                return time.sleep(0.5)
            """,
            "REFUSED RuntimeError|more than 32 processes",
            Layer.WATCHDOG,
            (Layer.LIMITS,),
        )
        for name, called in (("a bomb of threads", b"bomb"), ("a bomb that says it has one thread", b"Threads:\t1"))
    ),
]  # fmt: skip

_TOO_MUCH = "used more than 512 MiB of memory"
_MEMORY = [
    *(
        Attack(name, f"import numpy, torch, mmap, time\ndef attack():\n    x = {much}\n    time.sleep(0.3)",
               f"REFUSED (MemoryError|OSError|RuntimeError)|{_TOO_MUCH}", Layer.LIMITS, (Layer.WATCHDOG,))
        for name, much in (
            ("numpy takes memory", "numpy.ones(1 << 27)"),
            ("torch takes memory", "torch.ones(1 << 28)"),
            ("bytes take memory", "bytes(1) * (1 << 30)"),
            ("a private mapping takes memory",
             "mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).write(bytes(1 << 30))"),
        )
    ),
    Attack(
        "a thousand small allocations",
        """
        import time
        def attack():
            x = [bytearray(b"x") * (1 << 20) for _ in range(1000)]
            time.sleep(0.5)
        """,
        f"REFUSED MemoryError|{_TOO_MUCH}",
        Layer.WATCHDOG,
        (Layer.LIMITS,),
    ),
    Attack(
        "memory of several processes",
        """
        import os, time
        def attack():
            for _ in range(4):
                if os.fork() == 0:
                    x = bytearray(b"x") * (200 << 20)
                    time.sleep(1)
                    os._exit(0)
            time.sleep(0.8)
        """,
        _TOO_MUCH,
        Layer.WATCHDOG,
    ),
    Attack(
        "memory in small pieces",
        "def attack():\n    x = [bytes(range(256)) * 16384 for _ in range(160)]",
        f"REFUSED MemoryError|{_TOO_MUCH}",
        Layer.LIMITS,
        (Layer.WATCHDOG,),
    ),
    Attack(
        "shared memory",
        """
        import mmap, time
        def attack():
            x = mmap.mmap(-1, 900 << 20)
            for start in range(0, len(x), 4096):
                x[start] = 1
            time.sleep(0.5)
        """,
        _TOO_MUCH,
        Layer.WATCHDOG,
    ),
]  # fmt: skip

_DISK = [
    Attack(
        "a large file",
        """
        def attack():
            with open("large", "wb") as file:
                for _ in range(100):
                    file.write(bytes(1 << 20))
        """,
        "REFUSED OSError|more than 96 MiB to the disk",
        Layer.LIMITS,
        (Layer.WATCHDOG,),
    ),
    Attack(
        "many large files",
        """
        import time
        def attack():
            for i in range(8):
                open(f"large{i}", "wb").write(bytes(32 << 20))
            time.sleep(0.5)
        """,
        "more than 96 MiB to the disk",
        Layer.WATCHDOG,
    ),
    Attack(
        "many large files in a folder that is not there",
        """
        import time
        def attack():
            for i in range(8):
                open(f"/nowhere/large{i}", "wb").write(bytes(32 << 20))
            time.sleep(0.5)
        """,
        "more than 96 MiB to the disk",
        Layer.WATCHDOG,
    ),
    Attack(
        "large files that are removed while they are open",
        """
        import os, time
        def attack():
            held = [open(f"large{i}", "wb", 0) for i in range(8)]
            for i, file in enumerate(held):
                os.unlink(f"large{i}")
                file.write(bytes(32 << 20))
            time.sleep(0.5)
        """,
        "more than 96 MiB to the disk",
        Layer.WATCHDOG,
    ),
    Attack(
        "many files",
        """
        import time
        def attack():
            for i in range(3000):
                open(f"small{i}", "w").close()
            time.sleep(0.5)
        """,
        "made more than 1000 files",
        Layer.WATCHDOG,
    ),
    Attack(
        "files in folders that no path reaches",
        """
        import os, time
        def attack():
            for _ in range(30):
                os.mkdir("a" * 200)
                os.chdir("a" * 200)
            for i in range(3000):
                open(f"small{i}", "w").close()
            time.sleep(0.5)
        """,
        "made a folder that cannot be looked into",
        Layer.WATCHDOG,
    ),
    Attack(
        "files in a folder that only it can list",
        """
        import os, time
        def attack():
            os.mkdir("hidden", 0o300)
            for i in range(3000):
                open(f"hidden/small{i}", "w").close()
            time.sleep(0.5)
        """,
        "made a folder that cannot be looked into|made more than 1000 files",  # the latter if the judge is root
        Layer.WATCHDOG,
    ),
    Attack(
        "thousands of nested folders",
        """
        import os
        def attack():
            for _ in range(900):
                os.mkdir("a" * 200)
                os.chdir("a" * 200)
        """,
        "made a folder that cannot be looked into",
    ),
    Attack(
        "open files",
        "def attack():\n    x = [open('/dev/null') for _ in range(300)]",
        "REFUSED OSError",
        Layer.LIMITS,
    ),
]

_LOOP = """
while True:
            try:
                while True: pass
            except BaseException:
                pass
"""

_BEHAVIOUR = [
    Attack("a loop that swallows everything", f"def attack():\n        {_LOOP.strip()}", "did not finish"),
    Attack(
        "a loop that ignores signals",
        f"""
        import signal
        def attack():
            for number in set(signal.Signals) - {{signal.SIGKILL, signal.SIGSTOP}}:
                signal.signal(number, signal.SIG_IGN)
            {_LOOP.strip().replace(chr(10), chr(10) + "    ")}
        """,
        "did not finish",
    ),
    Attack(
        "an output flood",
        """
        import os, sys
        def attack():
            for _ in range(1000):
                print("x" * 1000)
                os.write(2, b"y" * 1000)
        """,
        "REACHED None",
    ),
    Attack(
        "a lock that it holds itself",
        "import threading\ndef attack():\n    lock = threading.Lock()\n    lock.acquire()\n    lock.acquire()",
        "did not finish",
    ),
    Attack(
        "a join that waits for itself",
        "import os\ndef attack():\n    if os.fork() == 0: os.kill(os.getpid(), 19)\n    os.wait()",
        "did not finish",
    ),
    Attack("stopping itself", "import os\ndef attack(): os.kill(os.getpid(), 19)", "did not finish"),
    Attack(
        "closing the connection",
        "import os, time\ndef attack():\n    os.closerange(3, 256)\n    time.sleep(3)",
        "closed its connection to the grader",
    ),
    Attack(
        "a collection that finds everything and frees nothing",
        """
        import gc
        def attack():
            gc.disable(), gc.freeze()
            for thing in gc.get_objects(): gc.get_referrers(thing) if type(thing).__name__ == "Student" else None
            gc.set_threshold(1)
        """,
        "REACHED None",
    ),
    Attack("an exit that looks like success", "import os\ndef attack(): os._exit(0)", "exited with status 0"),
    Attack("a crash", "import ctypes\ndef attack(): ctypes.string_at(0)", "ended by signal 11"),
    Attack("an abort", "import os\ndef attack(): os.abort()", "ended by signal 6"),
    Attack(
        "a trace function",
        """
        import sys, threading
        def _trace(frame, event, argument):
            for name in ("reply", "facts", "arrays"):
                if name in frame.f_locals: frame.f_locals[name] = {}
            return _trace
        def attack():
            sys.settrace(_trace)
            threading.settrace(_trace)
        """,
        "REACHED None|TypeError",
    ),
    Attack(
        "replaced builtins",
        """
        import builtins
        def attack():
            builtins.isinstance = lambda *_: True
            builtins.len = lambda *_: 0
            builtins.float = builtins.abs = builtins.max = lambda *_, **__: 0.0
        """,
        "REACHED None|cannot be used|makes no sense|broke the process|malformed",
    ),
    Attack(
        "an import hook",
        """
        import sys
        class Hook:
            def find_spec(self, name, path=None, target=None): raise ImportError(name)
        def attack(): sys.meta_path.insert(0, Hook())
        """,
        "REACHED None",
    ),
    Attack(
        "modules named like ours",
        """
        import os
        def attack():
            for name in ("grader", "grader.probes", "grader.worker", "torch", "numpy", "sitecustomize", "conftest"):
                path = name.replace(".", "/")
                os.makedirs(path, exist_ok=True)
                for file in (f"{path}/__init__.py", f"{path.replace('/', '_')}.py"):
                    open(file, "w").write("raise SystemExit")
        """,
        "REACHED None",
    ),
    Attack(
        "removal of the staged files",
        "import os\ndef attack():\n    for name in os.listdir('.'): os.unlink(name)",
        "REACHED None",
    ),
]

ATTACKS = [*_FILES, *_TALKING, *_PROCESSES, *_MEMORY, *_DISK, *_BEHAVIOUR]

"""Workers: clean, replaceable, and the same in a fork and in a spawned process."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from grader import locations
from grader.assignment import Assignment, Limits
from grader.errors import CheckFailed, CheckTimedOut, InternalError
from grader.interview import Interview
from grader.worker.host import start_method
from grader.worker.sandbox.policy import Status

LIMITS = Limits(probe_seconds=5, least_seconds=1, submission_seconds=100, restarts=3, timeouts=2)
METHODS = ["spawn"] if start_method() == "spawn" else ["forkserver", "spawn"]
LAB1 = "lab1_sparse_optimization"


def _loss(interview: Interview) -> float:
    arrays = {"X": np.eye(2), "y": np.zeros(2), "w": np.array([1.0, 2.0])}
    params = {"name": "loss", "scalars": {}, "returns": "number"}
    return float(interview.ask("lab1.function", params, arrays)[1]["value"])


def _gradient(interview: Interview) -> None:
    arrays = {"X": np.eye(2), "y": np.zeros(2), "w": np.zeros(2)}
    interview.ask("lab1.function", {"name": "gradient", "scalars": {}, "returns": "vector"}, arrays)


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[object]:
    """Make an interview with a submission whose Lab 1 is the given source."""
    opened: list[Interview] = []

    def make(source: str, **options: object) -> Interview:
        (tmp_path / f"{LAB1}.py").write_text(textwrap.dedent(source))
        opened.append(Interview(tmp_path, options.pop("limits", LIMITS), **options))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for interview in opened:
        interview.close()


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_answers(staged, method: str) -> None:
    interview = staged("def loss(X, y, w): return float(((X @ w - y) ** 2).sum())", method=method)
    assert _loss(interview) == 5.0


@pytest.mark.parametrize("method", METHODS)
def test_nothing_of_the_judge_is_loaded_in_a_worker(staged, method: str) -> None:
    facts, _ = staged("", method=method).ask("general.modules", {}, {})
    ours = {name for name in facts["modules"] if name.split(".")[0] in ("grader", "reference", "_reference")}
    allowed = {"grader", "grader.environment", "grader.errors", "grader.worker", "grader.probes"}
    assert {n for n in ours if n not in allowed and not n.startswith(("grader.worker.", "grader.probes."))} == set()
    for secret in ("pytest", "_pytest", "pydantic", "grader.cli", "grader.checks", "grader.oracle"):
        assert secret not in facts["modules"]


@pytest.mark.parametrize("method", METHODS)
def test_the_judge_is_not_loaded_through_main(tmp_path: Path, method: str) -> None:
    """multiprocessing imports the parent's __main__ again in its children: here that would be the judge."""
    (tmp_path / f"{LAB1}.py").write_text(
        "import sys\n"
        "mains = [sys.modules.get(name) for name in ('__main__', '__mp_main__')]\n"
        "def loss(X, y, w): return sum(hasattr(main, 'SECRET') for main in mains)\n"
    )
    script = tmp_path / "judge_like.py"
    script.write_text(
        textwrap.dedent(f"""
        SECRET = "an answer"
        if __name__ == "__main__":
            from pathlib import Path
            from tests.worker.test_host import LIMITS, _loss
            from grader.interview import Interview
            with Interview(Path({str(tmp_path)!r}), LIMITS, method={method!r}) as interview:
                print(_loss(interview))
        """)
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True, env=environment)
    assert done.stdout.split() == ["0.0"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import os; os._exit(0)", "exited with status 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("import ctypes; ctypes.string_at(0)", "ended by signal 11"),
    ],
)
def test_a_worker_that_dies_is_replaced(staged, body: str, message: str) -> None:
    interview = staged(f"""
        def loss(X, y, w): return 1.0
        def gradient(X, y, w):
            {body}
        """)
    with pytest.raises(CheckFailed, match=message):
        _gradient(interview)
    assert _loss(interview) == 1.0


def test_a_worker_that_hangs_is_replaced(staged) -> None:
    limits = LIMITS.model_copy(update={"probe_seconds": 0.5})
    interview = staged(
        """
        def loss(X, y, w): return 1.0
        def gradient(X, y, w):
            while True:
                try:
                    while True: pass
                except BaseException:
                    pass
        """,
        limits=limits,
    )
    started = time.monotonic()
    with pytest.raises(CheckTimedOut, match=r"within 0\.5 seconds"):
        _gradient(interview)
    assert time.monotonic() - started < 10
    assert _loss(interview) == 1.0


def test_what_student_code_prints_does_not_arrive(staged, capfd) -> None:
    interview = staged("""
        import os, sys
        def loss(X, y, w):
            for _ in range(2000):
                print("x" * 1000)
                sys.stderr.write("y" * 1000)
            os.system("echo shell")
            return 3.0
        """)
    assert _loss(interview) == 3.0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("junk", ["b'\\\\xff' * 8", "b'\\\\0' * 7", "b'HTTP/1.1 200 OK'"])
def test_nonsense_on_the_wire_costs_only_its_own_check(staged, junk: str) -> None:
    interview = staged(f"""
        import gc, socket
        def loss(X, y, w): return 1.0
        def gradient(X, y, w):
            for thing in gc.get_objects():
                if isinstance(thing, socket.socket):
                    thing.sendall({junk.replace(chr(92) * 2, chr(92))})
                    thing.shutdown(socket.SHUT_WR)
            return w
        """)
    with pytest.raises(CheckFailed):
        _gradient(interview)
    assert _loss(interview) == 1.0


def test_too_many_deaths_end_the_attempts(staged) -> None:
    interview = staged("import os\ndef loss(X, y, w): os._exit(1)")
    for _ in range(LIMITS.restarts + 1):
        with pytest.raises(CheckFailed, match="exited with status 1"):
            _loss(interview)
    with pytest.raises(CheckFailed, match="was not tried"):
        _loss(interview)


def test_a_function_that_dies_again_and_again_costs_no_other(staged) -> None:
    interview = staged("import os\ndef loss(X, y, w): os._exit(1)\ndef gradient(X, y, w): return w")
    for _ in range(LIMITS.restarts + 2):
        with pytest.raises(CheckFailed):
            _loss(interview)
    _gradient(interview)


def test_a_function_that_hangs_again_and_again_takes_two_deadlines(staged) -> None:
    limits = LIMITS.model_copy(update={"probe_seconds": 0.3})
    source = "def loss(X, y, w):\n    while True: pass\ndef gradient(X, y, w): return w"
    interview = staged(source, limits=limits)
    for _ in range(limits.timeouts):
        with pytest.raises(CheckTimedOut, match=r"within 0\.3 seconds"):
            _loss(interview)
    with pytest.raises(CheckTimedOut, match="was not tried"):
        _loss(interview)
    _gradient(interview)


def test_a_lab_that_hangs_leaves_time_for_the_others(staged) -> None:
    limits = LIMITS.model_copy(update={"probe_seconds": 1.0, "least_seconds": 0.3})
    functions = ("loss", "gradient", "gradient_step")
    interview = staged("".join(f"def {name}(*a):\n    while True: pass\n" for name in functions), limits=limits)
    given = []
    for name in functions:
        with pytest.raises(CheckTimedOut) as caught:
            interview.ask("lab1.function", {"name": name, "scalars": {}, "returns": "number"}, {"w": np.ones(2)})
        given.append(str(caught.value.message).partition("within ")[2].partition(" ")[0])
    assert given == ["1", "0.5", "0.3"]


def test_replacing_processes_takes_the_time_of_the_submission(staged, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = staged("import os\ndef loss(X, y, w): os._exit(1)\ndef gradient(X, y, w): return w",
                       limits=LIMITS.model_copy(update={"submission_seconds": 1}))  # fmt: skip
    begin = interview.begin

    def slowly() -> Status:
        time.sleep(1.2)
        return begin()

    monkeypatch.setattr(interview, "begin", slowly)
    with pytest.raises(CheckFailed, match="exited with status 1"):  # the first start is the grader's
        _loss(interview)
    _gradient(interview)
    with pytest.raises(CheckTimedOut, match="used up its 1 seconds"):
        _gradient(interview)


def test_the_environment_is_scrubbed(staged, monkeypatch) -> None:
    interview = staged("""
        import os, sys
        def loss(X, y, w):
            return float(len([name for name in os.environ if name.startswith("COURSE")])) + 10 * (len(sys.argv) - 1)
        """)
    monkeypatch.setenv("COURSE_TOKEN", "secret")
    assert _loss(interview) == 0.0
    assert os.environ["COURSE_TOKEN"] == "secret"


def test_the_working_directory_is_the_submission(staged, tmp_path: Path) -> None:
    interview = staged("""
        import os
        def loss(X, y, w): return float(os.path.exists("here.txt"))
        """)
    (tmp_path / "here.txt").touch()
    assert _loss(interview) == 1.0


def test_what_a_worker_says_is_never_a_fault_of_the_grader(staged) -> None:
    """A worker is the student's: if it could declare a fault of the grader, any submission could."""
    with pytest.raises(CheckFailed, match="the result cannot be used: KeyError"):
        staged("").ask("general.load", {}, {})


def test_a_worker_that_cannot_start_is_the_graders_fault(tmp_path: Path) -> None:
    with Interview(tmp_path / "gone", LIMITS) as interview, pytest.raises(InternalError, match="did not start"):
        interview.ask("general.modules", {}, {})


@pytest.mark.parametrize("name", ["numpy.py", "random.py", "struct.py", "torch.py", "grader.py"])
def test_modules_in_the_current_directory_are_not_loaded(tmp_path: Path, name: str) -> None:
    """A student starts the grader in the folder of the submission."""
    (tmp_path / name).write_text("raise SystemExit('loaded from the current directory')")
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / f"{LAB1}.py").write_text("def loss(X, y, w): return 4.0")
    judge = tmp_path / "bin" / "judge.py"  # like the console script, it lies elsewhere
    judge.parent.mkdir()
    judge.write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from tests.worker.test_host import LIMITS, _loss
        from grader.interview import Interview
        if __name__ == "__main__":
            with Interview(Path({str(staged)!r}), LIMITS) as interview:
                print(_loss(interview))
        """)
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(judge)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=100, env=environment, check=False
    )
    assert done.stdout.strip() == "4.0", done.stderr


def test_settings_that_student_code_changes_do_not_outlive_a_probe(staged) -> None:
    interview = staged("""
        import torch
        def loss(X, y, w):
            changed = (not torch.is_grad_enabled()) + (torch.get_default_dtype() != torch.float32)
            torch.set_grad_enabled(False)
            torch.set_default_dtype(torch.float64)
            return float(changed)
        """)
    assert [_loss(interview), _loss(interview)] == [0.0, 0.0]


def test_seeds_do_not_depend_on_what_ran_before(staged) -> None:
    interview = staged("""
        import numpy as np, torch, random
        def loss(X, y, w): return float(np.random.rand() + torch.rand(1).item() + random.random())
        """)
    assert _loss(interview) == _loss(interview)


def test_limits_are_immutable(assignment: Assignment) -> None:
    with pytest.raises((dataclasses.FrozenInstanceError, ValueError)):
        assignment.limits.probe_seconds = 1e9  # type: ignore[misc]


@pytest.mark.parametrize("spelling", ["net.cuda()", "net.to('cuda')", "net.to(torch.device('cuda:0'))"])
def test_code_for_a_gpu_runs_on_the_cpu(tmp_path: Path, spelling: str) -> None:
    (tmp_path / f"{LAB1}.py").write_text(
        "import torch\n"
        "def loss(X, y, w):\n"
        "    net = torch.nn.Linear(2, 1)\n"
        f"    net = {spelling}\n"
        "    x = torch.ones(3, 2, device='cuda').cuda()\n"
        "    x = x.to(x.get_device()).type(torch.cuda.FloatTensor).type('torch.cuda.FloatTensor')\n"
        "    x = x + torch.cuda.FloatTensor(3, 2).zero_()\n"
        "    torch.cuda.synchronize()\n"
        "    return float(net(x).shape[0])\n"
    )
    with Interview(tmp_path, LIMITS, uses_accelerator=True) as interview:
        assert _loss(interview) == 3.0


def test_the_pristine_folder_alone_can_be_interviewed() -> None:
    with Interview(locations.pristine(), LIMITS) as interview:
        assert interview.ask("general.load", {"module": "resnet20"}, {}) == ({}, {})


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_worker_was_never_started_with_the_environment_of_the_judge(tmp_path: Path) -> None:
    """What a process was started with stays in its memory, whatever it removes from its variables."""
    (tmp_path / f"{LAB1}.py").write_text(
        "def loss(X, y, w): return float(b'COURSE_TOKEN' in open('/proc/self/environ', 'rb').read())\n"
    )
    script = tmp_path / "judge_like.py"
    script.write_text(
        textwrap.dedent(f"""
        if __name__ == "__main__":
            from pathlib import Path
            from tests.worker.test_host import LIMITS, _loss
            from grader.interview import Interview
            from grader.worker.sandbox.policy import Policy
            with Interview(Path({str(tmp_path)!r}), LIMITS, isolation=Policy.none()) as interview:
                print(_loss(interview))
        """)
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COURSE_TOKEN": "secret"}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True, env=environment)
    assert done.stdout.split() == ["0.0"]

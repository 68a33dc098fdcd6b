"""The zip for Gradescope, unpacked as Gradescope does, grades what students hand in, and what attackers do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from grader.assignment import Assignment, Late, load_assignment
from grader.authoring.autograder import build_autograder, requirements
from grader.errors import GraderError, InternalError
from grader.grade import Grader
from grader.gradebook import gradescope_run
from grader.gradebook.container import memory_here, policy_for, require_confined
from grader.gradebook.exports.gradescope import Hidden, Results
from grader.report import Outcome
from grader.submission import Submission
from grader.worker.sandbox.policy import Layer, Policy, Status
from tests.conftest import ROOT
from tests.gradebook.books import FULL, HALF, check, report

DUE = "2026-12-01T23:59:00.000000-05:00"
ON_TIME, A_DAY_LATE = "2026-12-01T23:58:59.123456-05:00", "2026-12-02T12:00:00+01:00"
MIB = 1 << 20

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Gradescope's containers run Linux")

HOSTILE = """
import ctypes, os, pathlib, threading

def overwrite():
    for folder in (ROOT / "results", ROOT, ROOT / "source"):
        for name in ("results.json", "rubric.json"):
            try:
                (folder / name).write_text('{"score": 1000}')
            except OSError:
                pass

ROOT = pathlib.Path(PLACE)
overwrite()
if os.fork() == 0:
    os.setsid()
    while os.getppid() != PARENT:
        overwrite()
    os._exit(0)
os._exit(0)
"""


@pytest.fixture(scope="module")
def archive(assignment: Assignment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip of a term in which a day costs ten percent."""
    rubric = assignment.model_copy(update={"late": Late(percent_per_day=10)})
    return build_autograder(tmp_path_factory.mktemp("dist"), rubric)


class Container:
    """A folder that looks like /autograder."""

    def __init__(self, root: Path, archive: Path) -> None:
        self.root = root
        self.results = root / "results" / "results.json"
        for name in ("source", "submission", "results"):
            (root / name).mkdir(parents=True)
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                path = Path(opened.extract(entry, root / "source"))
                path.chmod(entry.external_attr >> 16)
        shutil.copy(root / "source" / "run_autograder", root)

    def hand_in(self, folder: Path, created_at: str = ON_TIME) -> None:
        """Put a submission and what Gradescope says of it in their places."""
        shutil.copytree(folder, self.root / "submission", dirs_exist_ok=True)
        told = {
            "id": 123456, "created_at": created_at, "submission_method": "upload", "new_in_2027": {},
            "assignment": {"due_date": DUE, "late_due_date": None, "release_date": DUE, "title": "HW 4",
                           "total_points": "100.0", "group_size": None, "group_submission": False, "id": 1,
                           "course_id": 2, "outline": []},
            "users": [{"email": "ada@uni.example", "id": 7, "name": "Ada"}],
            "previous_submissions": [{"submission_time": DUE, "score": 3.5, "autograder_error": False, "results": {}}],
        }  # fmt: skip
        (self.root / "submission_metadata.json").write_text(json.dumps(told))

    def run(self, python: str = sys.executable) -> int:
        """Run run_autograder; its exit status."""
        environment = {"PATH": os.environ["PATH"], "GRADER_PYTHON": python}
        command = [str(self.root / "run_autograder"), str(self.root)]
        done = subprocess.run(command, env=environment, timeout=500, check=False, capture_output=True, text=True)
        self.said = done.stdout + done.stderr
        return done.returncode

    def read(self) -> dict[str, Any]:
        """The results; the models have accepted them."""
        Results.model_validate_json(self.results.read_bytes())
        data: dict[str, Any] = json.loads(self.results.read_bytes())
        return data

    def left_over(self) -> list[psutil.Process]:
        """The processes of this container that still live."""
        place = str(self.root / "source")
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("PYTHONPATH") == place:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def container(tmp_path: Path, archive: Path) -> Container:
    return Container(tmp_path / "autograder", archive)


# --- End to end


@on_linux
def test_the_reference_gets_every_point(container: Container) -> None:
    container.hand_in(ROOT / "reference")
    container.results.write_text('{"score": 1}')
    assert container.run() == 0, container.said
    shown = container.read()
    assert shown["score"] == 84
    assert {test.get("status", "passed") for test in shown["tests"]} == {"passed"}
    assert "Waiting for a person, up to 21 points" in shown["output"]
    assert "late" not in shown["output"]
    assert os.listdir(container.results.parent) == ["results.json"]


@on_linux
def test_a_flawed_and_late_submission_loses_points_and_reads_why(container: Container) -> None:
    container.hand_in(ROOT / "fixtures" / "sample_submissions" / "mean_loss", A_DAY_LATE)
    assert container.run() == 0, container.said
    shown = container.read()
    assert shown["score"] == pytest.approx(0.9 * 83.25)
    assert "Handed in 1 day late" in shown["output"]
    failed = [test for test in shown["tests"] if test.get("status") == "failed"]
    assert any("The mean instead of the sum" in test.get("output", "") for test in failed)
    assert all("output" not in test for test in shown["tests"] if "hidden check" in test["tags"])


@on_linux
def test_code_that_writes_results_itself_earns_nothing_by_it(container: Container, tmp_path: Path) -> None:
    hostile = HOSTILE.replace("PLACE", repr(str(container.root))).replace("PARENT", "1")
    shutil.copytree(ROOT / "reference", tmp_path / "theirs")
    (tmp_path / "theirs" / "lab1_sparse_optimization.py").write_text(hostile)
    (tmp_path / "theirs" / "results.json").write_text('{"score": 1000}')
    container.hand_in(tmp_path / "theirs")
    assert container.run() == 0, container.said
    shown = container.read()
    assert shown["score"] == 61  # every lab but the first
    assert all(test["status"] == "failed" for test in shown["tests"] if test["name"].startswith(("1a", "1f")))
    rubric = json.loads((container.root / "source" / "rubric.json").read_bytes())
    assert rubric["total"] == 100
    _require_none(container)


def _require_none(container: Container) -> None:
    """The fork server ends soon after its judge, and nothing else is there."""
    deadline = time.monotonic() + 20
    while (left := container.left_over()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


@on_linux
def test_the_attack_would_succeed_in_a_grader_that_imports_submissions(container: Container) -> None:
    hostile = HOSTILE.replace("PLACE", repr(str(container.root))).replace("PARENT", "os.getppid()")
    subprocess.run([sys.executable, "-c", hostile], check=True, timeout=60)
    assert container.read()["score"] == 1000


@on_linux
def test_an_unusable_submission_is_told_so_and_gets_nothing(container: Container, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "essay.pdf").write_bytes(b"%PDF")
    container.hand_in(tmp_path / "theirs")
    assert container.run() == 0, container.said
    shown = container.read()
    assert (shown["score"], shown["tests"]) == (0, [])
    assert "only essay.pdf" in shown["output"]
    assert str(container.root) not in shown["output"]


@on_linux
def test_a_broken_autograder_gives_no_score_and_says_so(container: Container) -> None:
    container.hand_in(ROOT / "reference")
    shutil.rmtree(container.root / "source" / "fixtures" / "public")
    assert container.run() == 3
    shown = json.loads(container.results.read_bytes())
    assert shown.keys() == {"output", "output_format"} and "The autograder itself failed" in shown["output"]
    assert "Traceback" in container.said and "Traceback" not in shown["output"]


@on_linux
@pytest.mark.parametrize("python", ["/bin/false", "/bin/true", "/nowhere/python"])
def test_a_python_that_does_not_even_start_is_said(python: str, container: Container) -> None:
    container.hand_in(ROOT / "reference")
    container.results.write_text('{"score": 1}')
    assert container.run(python) != 0
    assert json.loads(container.results.read_bytes()).keys() == {"output"}


# --- The module, without workers


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the reference and nothing else; grading it is replaced by each test."""
    shutil.copytree(ROOT / "reference", tmp_path / "submission")
    monkeypatch.setattr(gradescope_run, "start_server", lambda: None)
    return tmp_path


@pytest.mark.parametrize(
    "error", [InternalError("a worker did not start"), MemoryError(), KeyError("x"), SystemExit("ended from outside")]
)
def test_whatever_fails_is_written_without_a_score(
    error: BaseException, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(gradescope_run, "_report", fail)
    assert gradescope_run.main(["--root", str(place)]) == 3
    shown = json.loads((place / "results" / "results.json").read_bytes())
    assert shown.keys() == {"output", "output_format"}
    assert f"{type(error).__name__}: {error}" in shown["output"]
    assert type(error).__name__ in capsys.readouterr().err


def test_one_check_that_fails_by_our_fault_is_a_failed_autograder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = report(check("a"), check("b", 0, outcome=Outcome.ERROR, message="KeyError: 3"))
    monkeypatch.setattr(gradescope_run, "_report", lambda *_, **__: faulty)
    assert gradescope_run.main(["--root", str(place)]) == 3
    shown = json.loads((place / "results" / "results.json").read_bytes())
    assert shown.keys() == {"output", "output_format"} and "KeyError: 3" in shown["output"]


@pytest.mark.parametrize("told", [None, "{", '{"id": 1}', '{"id": 1, "created_at": "yesterday"}'])
def test_without_metadata_it_is_graded_and_the_student_reads_that_lateness_is_not_known(
    told: str | None, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gradescope_run, "_report", lambda *_, **__: HALF)
    if told is not None:
        (place / "submission_metadata.json").write_text(told)
    assert gradescope_run.main(["--root", str(place)]) == 0
    shown = json.loads((place / "results" / "results.json").read_bytes())
    assert shown["score"] == 1 and "lateness was not looked at" in shown["output"]
    assert "submission_metadata.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("due", "own", "rubric", "days"),
    [
        (None, None, None, 0),
        (DUE, None, None, 2),
        (None, None, DUE, 2),
        ("2026-12-03T00:00:00Z", None, DUE, 1),
        (DUE, "2026-12-09T00:00:00Z", None, 0),
    ],
    ids=["no deadline", "Gradescope's", "the rubric's", "Gradescope's counts", "an extension"],
)
def test_which_deadline_counts(
    due: str | None, own: str | None, rubric: str | None, days: int, assignment: Assignment, place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(gradescope_run, "_report", lambda *_, **__: FULL)
    late = {"percent_per_day": 25, "deadline": rubric}
    (place / "rubric.json").write_text(json.dumps(assignment.model_dump(mode="json") | {"late": late}))
    told = {"id": 1, "created_at": "2026-12-03T12:00:00Z", "assignment": {"due_date": due},
            "users": [{"id": 1, "assignment": {"due_date": own}}, {"id": 2}]}  # fmt: skip
    (place / "submission_metadata.json").write_text(json.dumps(told))
    assert gradescope_run.main(["--root", str(place), "--rubric", str(place / "rubric.json")]) == 0
    assert json.loads((place / "results" / "results.json").read_bytes())["score"] == 2 * (1 - days * 0.25)


def test_it_needs_nothing_that_the_image_lacks() -> None:
    """The instructor's other packages are not installed there."""
    code = "import sys, grader.gradebook.gradescope_run, grader.grade; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "grader" in loaded
    assert not loaded & {"sqlalchemy", "alembic", "yaml", "filelock", "distributed", "psycopg", "sklearn", "torch"}


# --- The container


def test_a_small_container_has_small_workers_in_which_the_reference_runs(
    assignment: Assignment, reference: Submission
) -> None:
    policy = policy_for(768 * MIB)
    assert policy.memory == 384 * MIB
    with Grader(assignment, isolation=policy) as grader:
        assert grader.grade(reference).score == 84


def test_a_large_machine_allows_no_more_than_elsewhere_and_a_tiny_one_enough_to_run() -> None:
    assert policy_for(64 << 30) == Policy()
    assert policy_for(100 * MIB).memory == 384 * MIB
    assert 0 < memory_here() <= psutil.virtual_memory().total


ON = dict.fromkeys(Layer, "")


@pytest.mark.parametrize(
    ("missing", "privileges", "confined"),
    [
        (None, "user namespace", True),
        (Layer.IPC, "user namespace", True),
        (Layer.FILES, "user 65534", True),
        (Layer.FILES, "user namespace", False),
        (Layer.FILES, "an ordinary user", False),
        (Layer.LIMITS, "user 65534", False),
        (Layer.PRIVILEGES, "", False),
    ],
)
def test_nothing_is_graded_where_student_code_could_read_answers(
    missing: Layer | None, privileges: str, confined: bool
) -> None:
    on = {layer: text for layer, text in {**ON, Layer.PRIVILEGES: privileges}.items() if layer is not missing}
    status = Status(on, {missing: "not here"} if missing else {})
    if confined:
        require_confined(status)
    else:
        with pytest.raises(InternalError, match=f"would not be confined here.*{missing}"):
            require_confined(status)


@on_linux
def test_source_and_submission_are_closed_to_other_users(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradescope_run, "start_server", lambda: None)
    assert gradescope_run.main(["--root", str(container.root)]) == 0  # empty, and so unusable
    assert [(container.root / name).stat().st_mode & 0o777 for name in ("source", "submission")] == [0o700, 0o700]


# --- The zip


def test_the_zip_has_its_files_at_the_root_and_the_scripts_can_be_run(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        modes = {entry.filename: entry.external_attr >> 16 for entry in opened.infolist()}
        scripts = {name: opened.read(name) for name in ("setup.sh", "run_autograder")}
    assert modes["setup.sh"] == modes["run_autograder"] == 0o100755
    assert modes["grader/cli.py"] == 0o100644
    for name, script in scripts.items():
        assert script.startswith(b"#!/usr/bin/env bash\n") and b"\r" not in script and b"OPTIONS" not in script, name
        subprocess.run(["bash", "-n"], input=script, check=True)
    for needed in ("reference/answers.toml", "fixtures/hidden/cases.json", "fixtures/public/mistakes.json",
                   "student_template/resnet20.py", "grader/checks/hidden/lab1.py", "pyproject.toml",
                   "grader/gradebook/gradescope_run.py", "grader/authoring/fixtures.py"):  # fmt: skip
        assert needed in modes, needed
    assert not [name for name in modes if "__pycache__" in name or name.startswith(("tests/", "."))]


def test_the_same_checkout_gives_the_same_zip(tmp_path: Path) -> None:
    term = ROOT / "grader" / "terms" / "sparser.toml"
    built = []
    for seed in ("1", "2"):
        code = (
            "import sys, pathlib; from grader.assignment import load_assignment as load;"
            "from grader.authoring.autograder import build_autograder as build;"
            "print(build(pathlib.Path(sys.argv[1]), load(pathlib.Path(sys.argv[2]))))"
        )
        command = [sys.executable, "-c", code, str(tmp_path / seed), str(term)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        built.append(Path(done.stdout.strip()).read_bytes())
    assert built[0] == built[1]


@pytest.mark.parametrize("path", ["grader/assignment.toml", "grader/terms/sparser.toml"])
def test_the_rubric_in_the_zip_is_the_one_that_was_given(path: str, tmp_path: Path) -> None:
    rubric = load_assignment(ROOT / path)
    with zipfile.ZipFile(build_autograder(tmp_path, rubric)) as opened:
        assert Assignment.model_validate_json(opened.read("rubric.json")) == rubric


@pytest.mark.parametrize("hidden", list(Hidden))
def test_options_reach_the_run(hidden: Hidden, assignment: Assignment, tmp_path: Path) -> None:
    path = build_autograder(tmp_path, assignment, hidden=hidden, leaderboard=hidden is Hidden.HIDDEN)
    with zipfile.ZipFile(path) as opened:
        script = opened.read("run_autograder").decode()
    (line,) = [line for line in script.splitlines() if "gradescope_run" in line]
    options = gradescope_run._options([word for word in line.replace('"', "").split()[3:] if word != "$?"])
    assert options.hidden is hidden and options.leaderboard is (hidden is Hidden.HIDDEN)


def test_an_unknown_choice_is_refused(assignment: Assignment, tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="--hidden is 'never', but must be one of title, after_published, hidden"):
        build_autograder(tmp_path, assignment, hidden="never")
    assert list(tmp_path.iterdir()) == []


def test_the_requirements_are_the_lowest_versions_that_the_project_allows() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    first, *pinned = requirements(project).splitlines()
    assert first == "--extra-index-url https://download.pytorch.org/whl/cpu"
    wanted = tomllib.loads(project)["project"]["dependencies"]
    assert pinned == [text.replace(">=", "==") + ".*" for text in wanted]
    assert {"numpy", "torch"} < {line.partition("==")[0] for line in pinned}


@pytest.mark.parametrize("dependency", ["numpy", "numpy>=1.26,<3", "numpy==1.26"])
def test_a_dependency_without_a_lower_bound_alone_is_refused(dependency: str) -> None:
    with pytest.raises(GraderError, match="has no lower bound alone"):
        requirements(f'[project]\ndependencies = ["{dependency}"]')

"""The commands for a class, from the folder to the files to upload; grading itself is made up."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from grader import class_commands, cli
from grader.assignment import Assignment
from grader.errors import GraderError
from grader.gradebook.grades import Status
from grader.gradebook.profile import QUICK
from grader.worker.sandbox.policy import Layer
from grader.worker.sandbox.policy import Status as Sandbox
from tests.gradebook.fakes import FakeEngine, make_class

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], assignment: Assignment) -> Run:
    """Runs the command line: exit status and what it printed; ``statuses`` says what becomes of whom."""

    def call(*arguments: object, statuses: dict[str, list[Status]] | None = None) -> tuple[int, str]:
        monkeypatch.setattr(class_commands, "_engine", lambda rubric, *_: FakeEngine(rubric, statuses=statuses))
        monkeypatch.setattr("sys.argv", ["grader", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        printed = capfd.readouterr()
        return status, printed.out + printed.err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_class(tmp_path / "class", 4)


def test_a_batch_writes_gradebook_pages_and_exports(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said = run("batch", folder, "--out", out)
    assert status == 0 and "4 graded now, 0 as before" in said
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"gradebook.sqlite", "gradebook.csv", "pages/index.html", "pages/students/student0003.html",
            "exports/canvas.csv", "exports/moodle.csv", "exports/junit.xml",
            "exports/gradescope/student0000.json"} <= written  # fmt: skip
    before = {
        path: (out / path).stat().st_mtime_ns for path in written if not path.startswith((".", "gradebook.sqlite"))
    }
    status, said = run("batch", folder, "--out", out)
    assert status == 0 and "0 graded now, 4 as before" in said
    assert before == {path: (out / path).stat().st_mtime_ns for path in before}


def test_a_fault_of_the_grader_is_first_and_exits_with_3(run: Run, folder: Path, tmp_path: Path) -> None:
    faults = {"student0002": [Status.FAULT, Status.FAULT]}
    status, said = run("batch", folder, "--out", tmp_path / "out", statuses=faults)
    assert status == 3
    assert said.index("Faults of the grader") < said.index("4 students")
    rows = csv.DictReader(io.StringIO((tmp_path / "out" / "gradebook.csv").read_text(encoding="utf-8-sig"), newline=""))
    assert {row["student"]: row["points"] for row in rows}["student0002"] == ""
    status, said = run("batch", folder, "--out", tmp_path / "out")
    assert status == 0 and "1 graded now, 3 as before" in said


def test_points_by_hand_go_round_and_reach_pages_and_exports(run: Run, folder: Path, tmp_path: Path) -> None:
    out, sheet = tmp_path / "out", tmp_path / "manual.csv"
    run("batch", folder, "--out", out)
    status, said = run("manual", "template", out, "--to", sheet)
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"), newline="")))
    assert status == 0 and f"{len(rows)} answers" in said and rows
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "points": "0.25", "comment": "nearly"} for row in rows)
    status, said = run("manual", "import", out, sheet)
    assert status == 0 and f"{len(rows)} scores imported; 0 written answers still wait" in said
    assert "nearly" in (out / "pages" / "students" / f"{rows[0]['student']}.html").read_text()
    status, said = run("export", "csv", out, "--to", tmp_path / "all.csv")
    assert status == 0 and "4 with points" in said


@pytest.mark.parametrize("name", ["canvas", "moodle", "csv", "gradescope", "junit", "html"])
def test_every_export_can_be_written_elsewhere(run: Run, folder: Path, tmp_path: Path, name: str) -> None:
    run("batch", folder, "--out", tmp_path / "out")
    status, said = run("export", name, tmp_path / "out", "--to", tmp_path / "elsewhere")
    assert status == 0 and str(tmp_path / "elsewhere") in said
    assert (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", [("export", "csv"), ("manual", "template")])
def test_without_a_graded_class_there_is_one_sentence(run: Run, tmp_path: Path, command: tuple[str, str]) -> None:
    status, said = run(*command, tmp_path)
    assert status == 2 and "run `grader batch` first" in said
    assert not (tmp_path / ".lock").exists()


def test_another_rubric_is_named(run: Run, folder: Path, tmp_path: Path) -> None:
    run("batch", folder, "--out", tmp_path / "out")
    (tmp_path / "other.toml").write_text('extends = "assignment.toml"\n[limits]\nrestarts = 3\n')
    (tmp_path / "assignment.toml").write_bytes(Path(cli.locations.default_assignment()).read_bytes())
    status, said = run("export", "csv", tmp_path / "out", "--assignment", tmp_path / "other.toml")
    assert status == 2 and "was graded by another rubric" in said


def test_a_cluster_has_no_jobs_here(assignment: Assignment) -> None:
    with pytest.raises(GraderError, match="--jobs is for this machine"):
        class_commands._engine(assignment, 2, "tcp://127.0.0.1:9", class_commands.Isolation.FULL, QUICK)


def test_what_a_sandbox_must_not_lack() -> None:
    whole = dict.fromkeys(Layer, "")
    assert Sandbox(whole).lacking() == []
    for layer in (Layer.FILES, Layer.LIMITS, Layer.PRIVILEGES):
        on = {name: "" for name in Layer if name is not layer}
        assert Sandbox(on, {layer: "not here"}).lacking() == [f"{layer.value} (not here)"]
    without = {name: "" for name in Layer if name not in (Layer.NETWORK, Layer.SYSCALLS)}
    assert Sandbox(without, {Layer.NETWORK: "no"}).lacking() == ["network (no)"]


def test_points_by_hand_of_whom_a_roster_gave_another_name_are_told(run: Run, folder: Path, tmp_path: Path) -> None:
    out, sheet, roster = tmp_path / "out", tmp_path / "manual.csv", tmp_path / "roster.csv"
    run("batch", folder, "--out", out)
    sheet.write_text("student,part,points\nstudent0001,1b,1\n")
    assert run("manual", "import", out, sheet)[0] == 0
    roster.write_text("Name,Email\nstudent0001,ada@school.edu\n")
    status, said = run("batch", folder, "--out", out, "--roster", roster)
    assert status == 0 and "1 students of earlier runs" in said
    assert "1 of them had points by hand" in said


def test_the_folder_itself_is_no_output_by_whatever_path(run: Run, folder: Path) -> None:
    status, said = run("batch", folder, "--out", folder / ".." / folder.name)
    assert status == 2 and "is the folder with the submissions: give another --out" in said
    assert not (folder / "gradebook.sqlite").exists()

"""The command line as a person uses it: exit statuses, one-sentence errors, files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from grader import __version__
from grader.worker.sandbox.policy import Layer
from tests.conftest import ROOT

SAMPLES = ROOT / "fixtures" / "sample_submissions"


def run(*arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """The ``grader`` of this environment."""
    command = [sys.executable, "-c", "from grader.cli import main; main()", *map(str, arguments)]
    env = {**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", cwd=cwd, env=env, timeout=300, check=False
    )


def test_the_reference_as_json() -> None:
    done = run("check", ROOT / "reference", "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["score"], report["max_score"]) == (84, 79)
    assert set(report) >= {"submission", "profile", "score", "max_score", "parts"}
    part = report["parts"][5]
    assert set(part) >= {"id", "title", "score", "max_score", "manual_max", "checks"}
    assert set(part["checks"][0]) >= {"name", "points", "max_points", "outcome", "message", "diagnosis"}


def test_the_template_as_json() -> None:
    done = run("check", ROOT / "student_template", "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["score"] == 0
    checks = [check for part in report["parts"] for check in part["checks"]]
    assert {check["outcome"] for check in checks} == {"failed", "skipped"}
    for check in checks:
        if check["outcome"] == "failed":
            assert "is still to be written" in check["message"], check


def test_files_are_written_and_the_terminal_explains(tmp_path: Path) -> None:
    page, data = tmp_path / "new" / "r.html", tmp_path / "r.json"
    done = run("check", SAMPLES / "mean_loss", "--html", page, "--json", data, "--part", "1a")
    assert done.returncode == 0, done.stderr
    assert "`loss` is the sum of squared errors" in done.stdout.replace("\n", " ")
    assert [part["id"] for part in json.loads(data.read_text())["parts"]] == ["1a"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_hidden_checks_show_their_title_only(tmp_path: Path) -> None:
    arguments = ("check", SAMPLES / "mean_loss", "--part", "1a", "--json", "-")
    silent, open_ = (json.loads(run(*arguments, *extra).stdout) for extra in ((), ("--show-hidden",)))

    def message(report: dict) -> str:
        return next(c for c in report["parts"][0]["checks"] if c["name"] == "loss_on_other_problems")["message"]

    assert message(silent) == ""
    assert "`loss` differs" in message(open_)


@pytest.mark.parametrize(("minimum", "status"), [("1", 0), ("2", 1)])
def test_a_minimum_score(minimum: str, status: int) -> None:
    assert run("check", SAMPLES / "mean_loss", "--part", "1a", "--min-score", minimum).returncode == status


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "nowhere", "does not exist"),
        (lambda p: (p / "empty").mkdir() or p / "empty", "is empty"),
        (lambda p: (p / "x.zip").write_bytes(b"PK\x03\x04 broken") and p / "x.zip", "x.zip"),
        (lambda p: (p / "x.ipynb").write_text("{") and p / "x.ipynb", "x.ipynb"),
        (lambda p: (p / "x.docx").write_text("hello") and p / "x.docx", "x.docx"),
    ],
)
def test_unusable_input_is_one_sentence_and_status_2(tmp_path: Path, make, message: str) -> None:
    done = run("check", make(tmp_path))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("grader: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_minimum_that_is_no_number_is_refused() -> None:
    done = run("check", SAMPLES / "mean_loss", "--min-score", "nan")
    assert done.returncode == 2
    assert "must be a number of points" in done.stderr


def test_an_unknown_part_is_status_2() -> None:
    done = run("check", ROOT / "reference", "--part", "9z")
    assert done.returncode == 2
    assert "there is no part '9z'" in done.stderr


def test_a_wrong_rubric_is_status_2(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("name = 3")
    done = run("check", ROOT / "reference", "--assignment", tmp_path / "a.toml")
    assert done.returncode == 2
    assert "total: is missing" in done.stderr


def test_an_unwritable_page_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("check", SAMPLES / "mean_loss", "--part", "1a", "--html", tmp_path / "file" / "r.html")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_a_zip_scores_what_its_folder_scores(tmp_path: Path) -> None:
    archive = tmp_path / "hand-in.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in (SAMPLES / "forgotten_mask").iterdir():
            zipped.write(path, f"hw4/{path.name}")
    folder, zipped_ = (
        json.loads(run("check", path, "--part", "2c", "--json", "-").stdout)
        for path in (SAMPLES / "forgotten_mask", archive)
    )
    assert folder["parts"] == zipped_["parts"]


def test_what_lies_beside_a_submission_does_not_configure_the_checks(tmp_path: Path) -> None:
    """A conftest.py, a pytest.ini or a module named like ours, in the folder from which the grader is started."""
    for name in ("answers.toml", "lab1_sparse_optimization.py"):
        shutil.copy(ROOT / "student_template" / name, tmp_path)
    (tmp_path / "conftest.py").write_text("raise SystemExit('conftest ran')")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('sitecustomize ran')")
    done = run("check", ".", "--part", "1a", "--json", "-", cwd=tmp_path, PYTEST_ADDOPTS="--collect-only")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parts"][0]["checks"][0]["outcome"] == "failed"


def test_doctor_says_what_confines_student_code() -> None:
    found = json.loads(run("doctor", "--json").stdout)
    assert set(found["versions"]) == {"grader", "python", "torch", "platform"}
    assert set(found["sandbox"]) == {layer.value for layer in Layer}
    assert all(state["on"] or state["detail"] for state in found["sandbox"].values())
    done = run("doctor")
    assert done.returncode == 0, done.stderr
    for layer in Layer:
        assert layer.value in done.stdout


def test_version_and_help() -> None:
    assert run("--version").stdout.strip() == __version__
    done = run("check", "--help")
    named = (
        "--part",
        "--json",
        "--html",
        "--watch",
        "--min-score",
        "--assignment",
        "--show-hidden",
        "--full",
        "--data",
    )
    for option in (*named, "--pretrained", "--rerun"):
        assert option in done.stdout


@pytest.mark.parametrize("command", [("template", "check"), ("mistakes", "check")])
def test_what_is_generated_is_up_to_date(command: tuple[str, str]) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout


def test_verify_prints_a_matrix_and_writes_it(tmp_path: Path) -> None:
    page, data = tmp_path / "verify.html", tmp_path / "verify.json"
    done = run("verify", "--only", "lab1.mean_instead", "--html", page, "--json", data, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "misconceptions: caught 1/1 with exactly the intended checks, named right 1/1" in done.stdout
    assert "lab1.mean_instead_of_sum" in page.read_text(encoding="utf-8")
    rows = json.loads(data.read_text(encoding="utf-8"))["rows"]
    assert [row["subject"] for row in rows if "+" not in row["subject"]] == ["lab1.mean_instead_of_sum"]


def test_verify_prints_json_alone_when_asked_to(tmp_path: Path) -> None:
    done = run("verify", "--only", "reference", "--json", "-", "--jobs", "1", HOME=str(tmp_path))
    assert json.loads(done.stdout)["proven"] is True
    assert "full marks 1/1" in done.stderr


def test_verify_of_nothing_is_refused(tmp_path: Path) -> None:
    done = run("verify", "--only", "lab9", HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, "grader: --only lab9: the catalogue has no such entry\n")


def test_mutants_that_are_noticed_are_clean() -> None:
    done = run("mutants", "--only", "lab1_sparse_optimization.gradient:", "--jobs", "1")
    assert done.returncode == 0, done.stdout
    assert "without: 0" in done.stdout

"""What students get, in an empty virtual environment: install the wheel, grade the template, write two functions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from grader import locations
from grader.authoring.kit import PRETRAINED, build_kit

TIMEOUT = 1200


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked kit."""
    folder = tmp_path_factory.mktemp("kit")
    with zipfile.ZipFile(build_kit(folder)) as archive:
        archive.extractall(folder)
    return folder / "hw4"


@pytest.fixture(scope="module")
def wheel(kit: Path) -> Path:
    (found,) = kit.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(kit: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel: with everything that it requires in CI, elsewhere with what is here."""
    environment = tmp_path_factory.mktemp("venv")
    venv.create(environment, with_pip=True)
    binaries = environment / ("Scripts" if os.name == "nt" else "bin")
    dependencies = [] if os.environ.get("CI") else ["--no-deps"]
    command = [str(binaries / "python"), "-m", "pip", "install", "--quiet", *dependencies, str(wheel)]
    subprocess.run(command, check=True, timeout=TIMEOUT, capture_output=True)
    if dependencies:
        query = [str(binaries / "python"), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
        theirs = subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip()
        Path(theirs, "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return binaries


def _grade(installed: Path, folder: Path, *options: str) -> dict:
    done = _run(installed, folder, "check", ".", "--json", "-", *options)
    assert done.returncode == 0, done.stderr
    report: dict = json.loads(done.stdout)
    return report


def _run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(installed / "grader"), *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False, env=environment
    )


def test_the_zip_holds_the_template_the_page_and_the_wheel(kit: Path, wheel: Path) -> None:
    assert {path.name for path in kit.iterdir()} == {
        "README.md", "answers.toml", "lab1_sparse_optimization.py", "lab2_pruning.py", "FP_layers.py",
        "lab3_quantization.py", "resnet20.py", "train_util.py", "hw4.ipynb", PRETRAINED, wheel.name,
    }  # fmt: skip
    assert f"pip install {wheel.name}" in (kit / "README.md").read_text()


def test_the_wheel_holds_nothing_of_the_instructors(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        texts = {n: archive.read(n) for n in names if n.endswith((".py", ".json", ".toml"))}
    secrets = "reference/ hidden authoring catalogue gradebook terms/ tests/ sample_submissions"
    for secret in secrets.split():
        assert not [name for name in names if secret in name], secret
    for needed in (
        "grader/_data/fixtures/public/cases.json",
        "grader/_data/fixtures/public/arrays.safetensors",
        "grader/_data/student_template/resnet20.py",
        "grader/assignment.toml",
        "grader/checks/lab1.py",
        "grader/render/report.html.j2",
    ):
        assert needed in names, needed
    for name, text in texts.items():
        assert b"BEGIN SOLUTION" not in text, name
        assert b"problem1/verdicts" not in text, name


def test_the_network_is_the_one_that_the_judge_measures_by(kit: Path) -> None:
    given, own = torch.load(kit / PRETRAINED, weights_only=True), load_file(locations.pretrained())
    assert given.keys() == own.keys() and all(torch.equal(given[name], own[name]) for name in own)


def test_the_same_checkout_gives_the_same_kit(tmp_path: Path) -> None:
    first, second = build_kit(tmp_path / "a"), build_kit(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def test_a_student_starts_at_zero_and_earns_points(kit: Path, installed: Path) -> None:
    report = _grade(installed, kit)
    assert report["score"] == 0
    assert {c["outcome"] for part in report["parts"] for c in part["checks"]} == {"failed", "skipped"}
    assert any("Only your instructor's checks see: 1.1" in note for note in report["notes"])
    assert report["max_score"] == 74  # problem 1 waits for the instructor

    lab1 = kit / "lab1_sparse_optimization.py"
    source = lab1.read_text()
    for function, solution in (
        ("loss", "return float(((X @ w - y) ** 2).sum())"),
        ("gradient", "return 2 * X.T @ (X @ w - y)"),
    ):
        stub = f'raise NotImplementedError("Lab 1(a): `{function}` is still to be written")'
        assert stub in source
        source = source.replace(stub, solution)
    lab1.write_text(source)
    report = _grade(installed, kit)
    by_name = {c["name"]: c for part in report["parts"] for c in part["checks"]}
    assert by_name["loss_is_exact"]["outcome"] == by_name["gradient_is_exact"]["outcome"] == "passed"
    assert by_name["gradient_step_is_exact"]["outcome"] == "failed"
    assert report["score"] == pytest.approx(4 / 3, abs=1e-3)


@pytest.mark.parametrize(
    "command", [("template", "check"), ("fixtures", "build"), ("kit", "build"), ("autograder", "build"), ("demo",)]
)
def test_the_instructors_commands_say_that_they_need_the_checkout(
    installed: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = _run(installed, tmp_path, *command)
    assert done.returncode == 2
    assert "needs the instructor's checkout" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_clean_interpreter_finds_no_reference(installed: Path) -> None:
    code = "import grader.grade, sys; print([m for m in sys.modules if 'authoring' in m or 'catalogue' in m])"
    done = subprocess.run([str(installed / "python"), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert sys.prefix not in done.stdout

"""Cleaning up removes folders of runs that cannot be asked for again, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.errors import GraderError
from grader.runs.cleaning import removable
from grader.runs.execute import Executor
from grader.runs.plan import Run
from tests.runs.conftest import Silence

KEY = "0123456789abcdef"


def run_folder(root: Path, name: str = "float", key: str = KEY, code: str | None = None) -> Path:
    folder = root / name / key
    folder.mkdir(parents=True)
    (folder / "outcome.json").write_text("{}")
    if code is not None:
        (folder / "inputs.json").write_text(json.dumps({"code": code}))
    return folder


def test_without_all_only_runs_of_other_modules_go(tmp_path: Path) -> None:
    run_folder(tmp_path, key="0" * 16, code="mine")
    run_folder(tmp_path, key="2" * 16)
    for number, damaged in enumerate(["", "[]", '{"code": 3}', "\0"]):
        (run_folder(tmp_path, key=f"{number:x}" + "3" * 15) / "inputs.json").write_text(damaged)
    old = run_folder(tmp_path, key="1" * 16, code="old")
    another = run_folder(tmp_path, "qat-7", code="old")  # of another term
    assert list(removable(tmp_path, {"float"}, "mine")) == [old, another]


def test_all_is_all_runs_and_nothing_else(tmp_path: Path) -> None:
    """Whatever no run writes stays, and so does every folder that holds such a thing."""
    root = tmp_path / "out"
    kept = [run_folder(root, "photos"), run_folder(root, key="notes"), run_folder(root, key="A" * 16)]
    (root / "float" / ("1" * 16)).mkdir()
    (root / "float" / ("2" * 16)).write_text("a file")
    for number, name in enumerate(["thesis.tex", ".precision.txt", "net.safetensors.bak"], 3):
        (run_folder(root, key=str(number) * 16) / name).write_text("mine")
    (run_folder(root, key="6" * 16) / "net.safetensors").mkdir()
    elsewhere = run_folder(tmp_path / "elsewhere", code="old")
    (root / "float" / ("7" * 16)).symlink_to(elsewhere)
    (root / "ptq-4").symlink_to(elsewhere.parent)
    (run_folder(root, key="8" * 16) / "net.safetensors").symlink_to(elsewhere / "outcome.json")
    gone = [run_folder(root), run_folder(root, "qat-7", code="mine")]
    (gone[0] / f".net.safetensors.{KEY}").write_text("half")
    assert list(removable(root, {"float", "ptq-4"}, None)) == gone
    assert all(folder.is_dir() for folder in kept)


def test_runs_of_other_options_are_kept(executor: Executor, runs: dict[str, Run], short_rubric: Path) -> None:
    executor.carry_out(runs["pretrain"], runs, Silence())
    folder = executor.folder(runs["pretrain"], runs)
    assert json.loads((folder / "inputs.json").read_text()) == executor.inputs(runs["pretrain"], runs)
    given = ["runs", "clean", "--out", str(executor.root), "--device", "cpu"]
    for options in (["--precision", "bfloat16"], ["--assignment", str(short_rubric), "--epochs", "1"]):
        assert (
            CliRunner().invoke(app, [*given, *options], catch_exceptions=False).output.startswith("nothing to remove")
        )
    inputs = json.loads((folder / "inputs.json").read_text())
    (folder / "inputs.json").write_text(json.dumps({**inputs, "code": "of last year"}))
    assert CliRunner().invoke(app, given, catch_exceptions=False).output == f"removed {folder}\n"
    assert not folder.exists()


@pytest.mark.parametrize("command", [["clean", "--all", "--out", ""], ["table", "--data", ""], ["figures", ""]])
def test_an_empty_name_is_not_the_current_folder(command: list[str]) -> None:
    with pytest.raises(GraderError, match="the name of a folder is empty"):
        CliRunner().invoke(app, ["runs", *command], catch_exceptions=False)

"""The workflow for GitHub Actions, and the gate that it runs: what they name is there."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.documents import commands_in, make_targets

WORKFLOW = ROOT / ".github" / "workflows" / "grader.yml"
GATE = ROOT / ".ci" / "run"
SCRIPT = re.compile(r"(?<![\w./])\.ci/[\w.-]+")


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    (job,) = workflow["jobs"].values()
    return list(job["steps"])


def targets(script: str) -> set[str]:
    """What a script makes."""
    return {word for command in commands_in(script) if command.words[0] == "make" for word in command.words[1:]}


def action(steps: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """What the one step with this action is told."""
    (step,) = [step for step in steps if step.get("uses", "").partition("@")[0] == name]
    return dict(step.get("with", {}))


def test_it_runs_for_every_push_and_pull_request(workflow: dict[str, Any]) -> None:
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as a truth value
    assert workflow["permissions"] == {"contents": "read"}


def test_every_step_does_one_thing_and_says_which_version(steps: list[dict[str, Any]]) -> None:
    for step in steps:
        assert ("run" in step) != ("uses" in step), step
        assert "run" in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]), step


def test_it_runs_the_gate(steps: list[dict[str, Any]]) -> None:
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]


def test_the_gate_makes_and_calls_what_exists() -> None:
    script = GATE.read_text(encoding="utf-8")
    assert {"demo", "lint", "test", "verify"} <= targets(script) <= make_targets()
    assert all((ROOT / path).is_file() for path in SCRIPT.findall(script))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission to execute")
def test_the_gate_may_be_executed() -> None:
    assert os.access(GATE, os.X_OK)


def test_the_oldest_python_that_we_promise_is_tested(workflow: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    (job,) = workflow["jobs"].values()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={job['strategy']['matrix']['python'][0]}"
    assert action(steps, "actions/setup-python")["python-version"] == "${{ matrix.python }}"


def test_the_cache_follows_a_file_that_exists(steps: list[dict[str, Any]]) -> None:
    assert (ROOT / action(steps, "actions/setup-python")["cache-dependency-path"]).is_file()


def test_the_page_that_is_kept_is_the_one_that_is_made(steps: list[dict[str, Any]]) -> None:
    kept = action(steps, "actions/upload-artifact")["path"]
    recipe = re.search(r"^verify:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    assert f"--html {kept}" in recipe[1]
    assert Path(kept).parts[0] in {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}

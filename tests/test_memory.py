"""The interview that remembers: asked once while the code that can be reached is the same, and never otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grader.assignment import Assignment
from grader.cases import Arrays
from grader.errors import CheckFailed
from grader.interview import Interview
from grader.memory import Memory
from tests.conftest import ROOT

QUESTION = {"name": "loss", "scalars": {}, "returns": "number"}
INPUTS = {"X": np.eye(2), "y": np.ones(2), "w": np.zeros(2)}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The probes that really reached a worker."""
    found: list[str] = []
    plain = Interview.ask

    def ask(self: Interview, probe: str, params: dict[str, object], arrays: Arrays) -> object:
        found.append(probe)
        return plain(self, probe, params, arrays)

    monkeypatch.setattr(Interview, "ask", ask)
    return found


def scratch(folder: Path, name: str, **appended: str) -> Path:
    """A copy of the reference with code appended to some modules."""
    made = folder / name
    made.mkdir()
    for path in (ROOT / "reference").glob("*.py"):
        made.joinpath(path.name).write_text(path.read_text() + appended.get(path.stem, ""))
    return made


def loss(memory: Memory, folder: Path, assignment: Assignment, inputs: Arrays = INPUTS) -> float:
    """The value of ``loss``."""
    with memory.interview(folder, assignment.limits) as interview:
        return float(interview.ask("lab1.function", QUESTION, inputs)[1]["value"])


def test_the_same_question_is_asked_once(tmp_path: Path, assignment: Assignment, asked: list[str]) -> None:
    memory, folder = Memory(), scratch(tmp_path, "a")
    assert loss(memory, folder, assignment) == loss(memory, folder, assignment) == 2.0
    assert asked == ["lab1.function"]
    loss(memory, folder, assignment, INPUTS | {"w": np.ones(2)})
    assert len(asked) == 2


def test_other_code_is_asked_again_and_unreachable_code_is_not(
    tmp_path: Path, assignment: Assignment, asked: list[str]
) -> None:
    memory = Memory()
    loss(memory, scratch(tmp_path, "a"), assignment)
    loss(memory, scratch(tmp_path, "b", lab2_pruning="\nx = 1\n"), assignment)
    assert len(asked) == 1
    changed = scratch(tmp_path, "c", lab1_sparse_optimization="\ndef loss(X, y, w):\n    return 5.0\n")
    assert loss(memory, changed, assignment) == 5.0
    assert len(asked) == 2


def test_code_reached_through_an_import_counts(tmp_path: Path, assignment: Assignment, asked: list[str]) -> None:
    memory = Memory()
    reaching = "\ndef loss(X, y, w):\n    import lab2_pruning\n    return lab2_pruning.ANSWER\n"
    for name, answer in (("a", 1), ("b", 2)):
        extra = {"lab1_sparse_optimization": reaching, "lab2_pruning": f"\nANSWER = {answer}\n"}
        assert loss(memory, scratch(tmp_path, name, **extra), assignment) == answer
    assert len(asked) == 2


def test_failures_are_remembered_too(tmp_path: Path, assignment: Assignment, asked: list[str]) -> None:
    memory = Memory()
    folder = scratch(tmp_path, "a", lab1_sparse_optimization="\ndef loss(X, y, w):\n    return 1 / 0\n")
    for _ in range(2):
        with pytest.raises(CheckFailed, match="division by zero"):
            loss(memory, folder, assignment)
    assert len(asked) == 1


def test_what_does_not_fit_is_forgotten(tmp_path: Path, assignment: Assignment, asked: list[str]) -> None:
    memory, folder = Memory(most_bytes=1500), scratch(tmp_path, "a")
    others = [INPUTS | {"w": np.full(2, float(i))} for i in range(3)]
    for inputs in (*others, others[0]):
        loss(memory, folder, assignment, inputs)
    assert len(asked) == 4


def test_a_refusal_to_try_is_not_remembered(tmp_path: Path, assignment: Assignment) -> None:
    """A function whose processes keep dying does not answer for what was never asked of it."""
    memory = Memory()
    source = "\nimport os\ndef loss(X, y, w):\n    return 7.0 if w[0] == -1 else os._exit(1)\n"
    dying, last = scratch(tmp_path, "a", lab1_sparse_optimization=source), INPUTS | {"w": -np.ones(2)}
    with memory.interview(dying, assignment.limits) as interview:
        for i in range(assignment.limits.restarts + 1):
            with pytest.raises(CheckFailed, match="exited with status 1"):
                interview.ask("lab1.function", QUESTION, INPUTS | {"w": np.full(2, float(i))})
        with pytest.raises(CheckFailed, match="was not tried"):
            interview.ask("lab1.function", QUESTION, last)
        question = {"epochs": [1], "options": {"target": 70.0, "ramp_epochs": 10}}
        assert interview.ask("lab2.ramp", question, {})[1]["percentages"].tolist() == [7.0]
    assert loss(memory, dying, assignment, last) == 7.0

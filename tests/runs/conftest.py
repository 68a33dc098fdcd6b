"""A rubric whose experiments take seconds, on forty random images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.runs.code import Code, load_code
from grader.runs.execute import Executor
from grader.runs.plan import Run, plan
from tests.conftest import ROOT
from tests.images import write_folder

_SHORT = """
extends = "{rubric}"
[term]
epochs = 3
ramp_epochs = 2
one_shot_sparsities = [50]
bits = [3, 2]
finetuned_bits = [3, 2]
[training]
num_layers = 8
batch_size = 8
[training.pretrain]
epochs = 2
batch_size = 8
"""


@pytest.fixture(scope="session")
def short_rubric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rubric") / "short.toml"
    path.write_text(_SHORT.format(rubric=locations.default_assignment().as_posix()))
    return path


@pytest.fixture(scope="session")
def short(short_rubric: Path) -> Assignment:
    return load_assignment(short_rubric)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_folder(folder, per_class=4)
    return folder


@pytest.fixture(scope="session")
def code() -> Code:
    return load_code(ROOT / "reference")


class Silence:
    """Tells nobody; ``epochs`` counts those that were trained."""

    def __init__(self) -> None:
        self.epochs = 0

    def epoch(self, number: int, images: int) -> None:
        self.epochs += 1

    def images(self, count: int) -> None:
        pass

    def ended(self, metrics: dict[str, object]) -> None:
        pass


@pytest.fixture
def executor(tmp_path: Path, short: Assignment, images: Path, code: Code) -> Executor:
    return Executor(code, short, tmp_path / "runs", images, torch.device("cpu"), "float32")


@pytest.fixture(scope="session")
def runs(short: Assignment) -> dict[str, Run]:
    return plan(short)

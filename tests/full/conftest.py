"""What the tests of the full profile share: 40 images, a ResNet-20 with weights from a seed, what measures them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from resnet20 import ResNetCIFAR
from safetensors.torch import save as save_safetensors

from grader import locations
from grader.assignment import Assignment
from grader.cases import CaseSet
from grader.checkpoints import HandedIn
from grader.full.exam import Exam
from grader.full.standard import FullOptions, Standard, empty_interview, load_standard
from grader.interview import Interview
from grader.session import Session
from grader.written import read_written
from tests.images import write_folder

PER_CLASS = 4

State = dict[str, torch.Tensor]
MakeSession = Callable[..., Session]


def random_network(seed: int) -> State:
    """The state dict of a new network, with BatchNorm statistics that are not those of a new one."""
    torch.manual_seed(seed)
    state = ResNetCIFAR().state_dict()
    for name, tensor in state.items():
        if name.endswith(("running_mean", "running_var")):
            state[name] = torch.rand_like(tensor) + 0.5
    return state


def plain(state: State) -> dict[str, np.ndarray]:
    """A state dict as arrays."""
    return {name: tensor.numpy() for name, tensor in state.items()}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder with 4 random images for each class, to test and to train on."""
    root = tmp_path_factory.mktemp("cifar")
    write_folder(root, PER_CLASS)
    return root


@pytest.fixture(scope="session")
def pretrained() -> State:
    """The pre-trained network of these tests; it has never been trained."""
    return random_network(0)


@pytest.fixture(scope="session")
def pretrained_file(pretrained: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pretrained") / "resnet20.safetensors"
    path.write_bytes(save_safetensors(pretrained))
    return path


@pytest.fixture(scope="session")
def standard(assignment: Assignment, data: Path, pretrained_file: Path) -> Iterator[Standard]:
    """The images and the network that handed-in networks are held against."""
    made = load_standard(assignment, FullOptions(data, pretrained_file), locations.pristine())
    yield made
    made.evaluator.close()


@pytest.fixture(scope="session")
def opener(assignment: Assignment) -> Iterator[Interview]:
    """A worker that opens checkpoints."""
    with empty_interview(Interview, assignment, None) as interview:
        yield interview


@pytest.fixture
def session(assignment: Assignment, standard: Standard, opener: Interview) -> MakeSession:
    """What the checks see of handed-in files, of answers (the text of answers.toml), and under other thresholds.

    ``template`` is the text of the template's answers.toml, ``one_shot`` the percentages that the term asks for.
    """

    def make(
        *handed_in: HandedIn,
        answers: str = "",
        template: str = "",
        one_shot: tuple[float, ...] = assignment.term.one_shot_sparsities,
        **thresholds: object,
    ) -> Session:
        full = assignment.full.model_copy(update=thresholds)
        term = assignment.term.model_copy(update={"one_shot_sparsities": one_shot})
        changed = assignment.model_copy(update={"full": full, "term": term})
        written = read_written(answers.encode())
        exam = Exam(changed, standard, handed_in, opener, written, template=read_written(template.encode()))
        return Session(changed, opener, CaseSet({}, {}), None, standard.evaluator, written, exam)

    return make

"""``--rerun``: a submission's own training functions on CIFAR-10, in the sandbox, measured by the judge."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from resnet20 import ResNetCIFAR

from grader import grade
from grader.assignment import Assignment
from grader.cases import Arrays, CaseSet
from grader.checks.rerun import check_rerun_of_quantized_training
from grader.errors import CheckFailed, GraderError, InternalError
from grader.evaluator import Evaluator
from grader.full import measures
from grader.full import standard as standards
from grader.full.exam import Exam
from grader.full.rerun import Rerun as Rerunning
from grader.full.rerun import rerun_policy
from grader.full.standard import FullOptions, Images, Standard, empty_interview
from grader.grade import Grader
from grader.interview import BROKEN, Interview
from grader.probes.networks import state_arrays
from grader.report import CheckReport, Outcome, Report
from grader.session import Session
from grader.submission import Submission
from grader.worker.sandbox import places
from grader.written import read_written
from tests.conftest import checks_of
from tests.full.conftest import State, plain

RERUNS = {"2c": "rerun_of_finetuning", "2d": "rerun_of_iterative_pruning", "3c": "rerun_of_quantized_training"}

Rerun = Callable[..., Report]


@pytest.fixture(scope="module")
def graders(assignment: Assignment, data: Path, pretrained_file: Path) -> Iterator[Callable[..., Grader]]:
    """Graders that run again, by epochs and minutes, on images that cross in several parts."""
    made: dict[tuple[int, float], Grader] = {}
    patch = pytest.MonkeyPatch()
    patch.setattr(standards, "_PART", 15)

    def grader(epochs: int, minutes: float = 5) -> Grader:
        if (epochs, minutes) not in made:
            # 40 images that nothing can be learned from: only the checks that need no accuracy are of interest.
            full = assignment.full.model_copy(update={"rerun_max_drop": 100})
            options = FullOptions(data, pretrained_file, epochs, minutes)
            made[epochs, minutes] = Grader(assignment.model_copy(update={"full": full}), full=options)
        return made[epochs, minutes]

    yield grader
    patch.undo()
    for one in made.values():
        one.__exit__(None, None, None)


@pytest.fixture
def rerun(graders: Callable[..., Grader], reference: Submission) -> Rerun:
    """Grade parts of the reference, with code appended to its modules."""

    def grade(*parts: str, epochs: int = 1, minutes: float = 5, **appended: str) -> Report:
        files = dict(reference.files)
        for module, code in appended.items():
            files[f"{module}.py"] += f"\n\n{code}\n".encode()
        return graders(epochs, minutes).grade(Submission("changed", files, ()), parts)

    return grade


def check(report: Report, part: str) -> CheckReport:
    return checks_of(report)[RERUNS[part]]


def test_the_reference_passes_and_is_measured(rerun: Rerun) -> None:
    report = rerun("2c", "2d", "3c", epochs=2)
    for part in RERUNS:
        assert check(report, part).outcome is Outcome.PASSED, check(report, part)
        assert check(report, part).points > 0
    rows = {row.part: row for row in report.measurements}
    assert rows["2c"].network == "re-run of finetune_after_prune, 2 epochs"
    assert rows["3c"].bits == 2  # 100 points are accepted here, which no number of bits costs
    assert not report.has_error()


TELLING = """
_right = finetune_after_prune
def finetune_after_prune(net, trainloader, criterion, optimizer, prune=True):
    told = {name: optimizer.defaults[name] for name in ("lr", "momentum", "weight_decay")}
    raise ValueError(f"{trainloader.batch_size} {told}")
"""


def test_the_recipe_is_the_rubrics(assignment: Assignment, standard: Standard) -> None:
    training = assignment.training.model_copy(update={"batch_size": 8, "lr": 0.25, "momentum": 0.5, "reg": 0.125})
    asked: list[dict[str, object]] = []

    def ask(_probe: str, params: dict[str, object], _arrays: Arrays) -> tuple[object, Arrays]:
        asked.append(params)
        return {}, {}

    interview = cast(Interview, SimpleNamespace(ask=ask))
    rerunning = Rerunning(standard, FullOptions(rerun=2), training, lambda _: nullcontext(interview))
    rerunning.trained("rerun.iterative_prune", {"target": 70}, {})
    recipe = {"batch_size": 8, "lr": 0.25, "momentum": 0.5, "reg": 0.125}
    assert asked == [{"target": 70, "recipe": recipe, "epochs": 2, "device": "cpu"}]


def test_students_code_trains_by_the_recipe(rerun: Rerun, assignment: Assignment) -> None:
    training = assignment.training
    told = {"lr": training.lr, "momentum": training.momentum, "weight_decay": training.reg}
    assert f"{training.batch_size} {told}" in check(rerun("2c", lab2_pruning=TELLING), "2c").message


FORGOTTEN_MASK = """
_right = finetune_after_prune
def finetune_after_prune(net, trainloader, criterion, optimizer, prune=True):
    _right(net, trainloader, criterion, optimizer, prune=False)
"""
ENDLESS = """
_right = finetune_after_prune
def finetune_after_prune(net, trainloader, criterion, optimizer, prune=True):
    while type(trainloader).__name__ == "Loader":  # on CIFAR-10 only: the quick checks would wait as well
        pass
    _right(net, trainloader, criterion, optimizer, prune)
"""
NANS = """
def finetune_after_prune(net, trainloader, criterion, optimizer, prune=True):
    net.final_fc.linear.weight.data.fill_(float("nan"))
"""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_converted_as_in_a_checkpoint(dtype: torch.dtype, pretrained: State) -> None:
    net = ResNetCIFAR()
    net.load_state_dict(pretrained)
    found = state_arrays(net.to(dtype))
    assert {array.dtype for name, array in found.items() if "num_batches" not in name} == {np.dtype(np.float32)}
    rounded = pretrained["final_fc.linear.weight"].to(dtype).float().numpy()
    assert (found["net.final_fc.linear.weight"] == rounded).all()


def test_a_worker_that_is_lost_before_student_code_runs_is_the_graders_fault(
    standard: Standard, assignment: Assignment
) -> None:
    def lost(*_: object) -> None:
        raise CheckFailed(f"{BROKEN}: it ended with signal 9")

    ready = replace(standard, train=Images(({},)))
    interview = cast(Interview, SimpleNamespace(ask=lost))
    asked = Rerunning(ready, FullOptions(rerun=1), assignment.training, lambda _: nullcontext(interview))
    with pytest.raises(InternalError, match="did not reach the worker of a re-run"):
        asked.trained("rerun.finetune", {}, {})


def test_a_forgotten_mask_is_noticed(rerun: Rerun) -> None:
    found = check(rerun("2c", lab2_pruning=FORGOTTEN_MASK), "2c")
    assert found.outcome is Outcome.FAILED
    assert "after the training has the wrong number of zeros" in found.message


def test_a_network_that_is_none_any_more_is_told(rerun: Rerun) -> None:
    assert "holds NaN or infinite values" in check(rerun("2c", lab2_pruning=NANS), "2c").message


def test_what_never_ends_is_ended(rerun: Rerun) -> None:
    found = check(rerun("2c", minutes=0.02, lab2_pruning=ENDLESS), "2c")
    assert found.outcome is Outcome.TIMEOUT
    assert found.message == "your code did not finish 1 epoch within 0.02 minutes"


def test_a_low_accuracy_fails(assignment: Assignment, data: Path, pretrained_file: Path, reference: Submission) -> None:
    full = assignment.full.model_copy(update={"rerun_max_drop": -100})
    with Grader(assignment.model_copy(update={"full": full}), full=FullOptions(data, pretrained_file, 1)) as grader:
        report = grader.grade(reference, ["2d", "3c"])
    for part in ("2d", "3c"):
        assert "classifies the grader's 40 test images too badly: re-run of" in check(report, part).message


class _Accuracies:
    """An evaluator of networks that lose 3 points at 4 bits, 20 at 3 and 70 at 2, unless they are trained."""

    baseline = 0.8

    def accuracy(self, state: Arrays) -> float:
        levels = max(measures.levels_by_layer(state).values())
        lost = next(points for most, points in ((4, 70), (8, 20), (16, 3)) if levels <= most)
        return self.baseline - (1 if state["final_fc.linear.bias"].all() else lost) / 100


@pytest.mark.parametrize("trains", [False, True])
def test_a_quantized_training_that_trains_nothing_fails(
    trains: bool, assignment: Assignment, standard: Standard, pretrained: State
) -> None:
    untrained = {**plain(pretrained), "final_fc.linear.bias": np.zeros(10, np.float32)}
    trained = {**untrained, "final_fc.linear.bias": np.ones(10, np.float32)}

    class Function(Rerunning):
        def trained(self, *_: object) -> Arrays:
            return trained if trains else untrained

    measured = replace(standard, pretrained=untrained, evaluator=cast(Evaluator, _Accuracies()))
    written = read_written(b"")
    with empty_interview(Interview, assignment, None) as interview:
        rerun = Function(measured, FullOptions(rerun=1), assignment.training, lambda _: nullcontext(interview))
        exam = Exam(assignment, measured, (), interview, written, rerun)
        asked = Session(assignment, interview, CaseSet({}, {}), None, measured.evaluator, written, exam)
        with nullcontext() if trains else pytest.raises(CheckFailed, match="`finetune_quantized` makes a network that"):
            check_rerun_of_quantized_training(asked)
    (row,) = exam.measurements(["3c"])
    assert row.bits == 3  # 4 bits cost less than is accepted even without training


def test_without_rerun_nothing_is_run_again(
    assignment: Assignment, data: Path, pretrained_file: Path, reference: Submission
) -> None:
    with Grader(assignment, full=FullOptions(data, pretrained_file)) as grader:
        assert RERUNS["2c"] not in checks_of(grader.grade(reference, ["2c"]))


# --- on a GPU


def test_without_cuda_a_gpu_is_refused_in_one_sentence(
    assignment: Assignment, data: Path, pretrained_file: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    options = FullOptions(data, pretrained_file, 1, rerun_device="cuda")
    with pytest.raises(
        GraderError, match=r"^--rerun-device cuda: no GPU can be used here \([^\n]+\): leave it out"
    ) as e:
        Grader(assignment, full=options)
    assert "\n" not in str(e.value) and "did not finish" not in str(e.value)


def test_what_fails_on_the_gpu_is_run_on_the_cpu(
    assignment: Assignment, data: Path, pretrained_file: Path, reference: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here every computation on a GPU fails; the report says so, and the CPU's result counts."""
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    monkeypatch.setattr(grade, "require_device", lambda *_: None)
    full = assignment.full.model_copy(update={"rerun_max_drop": 100})
    options = FullOptions(data, pretrained_file, 1, rerun_device="cuda")
    with Grader(assignment.model_copy(update={"full": full}), full=options) as grader:
        report = grader.grade(reference, ["2c"])
    assert check(report, "2c").outcome is Outcome.PASSED, check(report, "2c")
    told = [note for note in report.notes if "re-run" in note or "run again" in note]
    assert told[0].startswith("The training functions were run again for 1 epoch on a GPU, each for at most 60 minutes")
    assert told[1].startswith("The re-run finetune failed on the GPU (") and told[1].endswith("was run on the CPU.")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_a_gpu_trains_as_the_cpu_does(
    assignment: Assignment, data: Path, pretrained_file: Path, reference: Submission
) -> None:
    full = assignment.full.model_copy(update={"rerun_max_drop": 100})
    options = FullOptions(data, pretrained_file, 1, rerun_device="cuda")
    with Grader(assignment.model_copy(update={"full": full}), full=options) as grader:
        report = grader.grade(reference, ["2c", "2d", "3c"])
    assert {check(report, part).outcome for part in RERUNS} == {Outcome.PASSED}
    assert not [note for note in report.notes if "failed on the GPU" in note]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the layers")
def test_a_worker_with_a_gpu_is_confined_like_any_other(
    assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    policy = rerun_policy(None, "cuda")
    assert policy.gpu == "3" and rerun_policy(None).gpu == ""
    source = "import os, torch\ndef loss(X, y, w): return float(os.environ['CUDA_VISIBLE_DEVICES'])\n"
    (tmp_path / "lab1_sparse_optimization.py").write_text(source)
    found = []
    for isolation in (policy, rerun_policy(None)):
        with Interview(tmp_path, assignment.limits, isolation=isolation) as interview:
            found.append(interview.begin())
            if isolation.gpu:
                asked = {"name": "loss", "scalars": {}, "returns": "number"}
                arrays = {"X": np.eye(2), "y": np.zeros(2), "w": np.zeros(2)}
                assert float(interview.ask("lab1.function", asked, arrays)[1]["value"]) == 3
    assert found[0].on.keys() == found[1].on.keys() and found[0].missing == found[1].missing
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,1"


def test_only_a_worker_with_a_gpu_may_touch_its_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [Path("/dev/nvidiactl"), Path("/dev/nvidia-uvm"), Path("/dev/nvidia0")]
    monkeypatch.setattr(Path, "glob", lambda *_: iter(devices))
    with_one, without = places.rules("/scratch", gpu=True), places.rules("/scratch")
    assert all(with_one[device] for device in devices) and not set(devices) & without.keys()
    more = with_one.keys() - without.keys() - set(devices)
    assert more and not any(with_one[path] for path in more)
    assert all(path.parts[1] in ("proc", "sys") for path in more) and Path("/proc") not in more

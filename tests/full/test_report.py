"""The full profile from end to end: the grader, its reports, the command line, and real checkpoints where they are."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.numpy import save_file

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.cases import CaseSet
from grader.checks import full
from grader.errors import CheckFailed, GraderError
from grader.full import measures
from grader.full.exam import Exam
from grader.full.standard import FullOptions, empty_interview, load_standard, pretrained_content
from grader.grade import Grader
from grader.interview import Interview
from grader.render.html import render_html
from grader.render.terminal import print_report
from grader.report import Outcome, Report
from grader.session import Session
from grader.submission import load_submission
from grader.written import Written
from tests.conftest import ROOT, SHARED_DATA, checks_of
from tests.full.conftest import State, plain
from tests.images import CLASSES
from tests.test_cli import run


@pytest.fixture(scope="module")
def folder(pretrained: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission: the reference, a sparse network of 2(c), a float64 one of 2(e), and one that no name places."""
    made = tmp_path_factory.mktemp("submission")
    shutil.copytree(ROOT / "reference", made, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    network = plain(pretrained)
    sparse = {name: torch.from_numpy(a) for name, a in measures.pruned_by_layer(network, 70).items()}
    torch.save({"net": sparse}, made / "net_after_finetune.pt")
    wide = {n: a.astype(np.float64) for n, a in measures.pruned_globally(network, 80).items()}
    save_file(wide, made / "net_after_global_iterative_prune.safetensors")
    torch.save(sparse, made / "final.pt")
    return made


@pytest.fixture(scope="module")
def report(assignment: Assignment, folder: Path, data: Path, pretrained_file: Path) -> Iterator[Report]:
    with Grader(assignment, full=FullOptions(data, pretrained_file)) as grader:
        submission = load_submission(folder, locations.pristine(), full=grader.is_full)
        yield grader.grade(submission, ["2a", "2c", "2e"])


def test_points_are_shared_among_quick_and_full_checks(report: Report, assignment: Assignment) -> None:
    assert report.profile == "full"
    for part in report.parts:
        assert sum(check.max_points for check in part.checks) == pytest.approx(part.max_score, abs=1e-3)
        assert {check.name for check in part.checks} == set(
            assignment.parts[part.id].weights_with(full=True, rerun=False)
        )
    found = checks_of(report)
    assert found["finetune_keeps_zeros"].outcome is Outcome.PASSED
    assert found["finetuned_network_is_sparse"].points == pytest.approx(6 * 2 / 16.5, abs=1e-4)
    assert found["global_network_is_sparse"].outcome is Outcome.FAILED
    assert found["global_network_is_accurate"].outcome is Outcome.SKIPPED
    assert not report.has_error()


def test_a_report_says_what_was_measured(report: Report) -> None:
    rows = {row.part: row for row in report.measurements}
    assert rows["2c"].network == "net_after_finetune.pt" and rows["2c"].sparsity == pytest.approx(0.7, abs=1e-3)
    assert rows["2e"].sparsity == pytest.approx(0.8, abs=1e-3)
    told = " ".join(report.notes)
    assert "the network was taken from its key 'net'" in told
    assert "holds torch.float64, which was converted to float32" in told
    assert "does not say which network it is" in told and "final.pt" in told
    assert Report.model_validate_json(json.dumps(report.to_json())).measurements == report.measurements


def test_pages_and_terminals_show_it(report: Report) -> None:
    page = render_html(report)
    assert "Measured on CIFAR-10" in page and "net_after_finetune.pt" in page
    assert "body_op.8.conv2.0.conv" in page
    console = Console(file=io.StringIO(), width=80)
    print_report(report, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    (row,) = [row for row in report.measurements if row.part == "2c"]
    assert "Measured on the test images of CIFAR-10, in %" in printed
    assert f"{row.accuracy:.2f}" in printed and "70.00" in printed
    assert all(len(line) <= 80 for line in printed.splitlines())
    quick = report.model_copy(update={"measurements": ()})
    assert "Measured on" not in render_html(quick)


def test_a_part_that_is_graded_again_replaces_its_measurements(report: Report) -> None:
    newer = report.model_copy(
        update={"parts": tuple(p for p in report.parts if p.id == "2c"), "measurements": report.measurements[:1]}
    )
    assert len(report.replaced(newer).measurements) == len(report.measurements)


# --- what must be there


def test_a_missing_network_or_data_set_is_one_sentence(
    assignment: Assignment, data: Path, pretrained_file: Path, tmp_path: Path
) -> None:
    for options, message in (
        (
            FullOptions(data, tmp_path / "a.pt"),
            r"a\.pt is not there: name the class's checkpoint with --pretrained FILE$",
        ),
        (
            FullOptions(tmp_path / "b", pretrained_file),
            r"the test images cannot be read: CIFAR-10 is not in .*b; name the folder .* with --data DIR",
        ),
    ):
        with pytest.raises(GraderError, match=message):
            load_standard(assignment, options, locations.pristine())
    wrong = tmp_path / "wrong.pt"
    wrong.write_bytes(b"no checkpoint")
    with pytest.raises(GraderError, match=r"the pre-trained network cannot be used: `wrong\.pt` is not a checkpoint"):
        load_standard(assignment, FullOptions(data, wrong), locations.pristine())
    other = tmp_path / "other"
    shutil.copytree(data / "test" / "cat", other / "test" / "cat")
    with pytest.raises(GraderError, match="are not CIFAR-10's, but of classes cat"):
        load_standard(assignment, FullOptions(other, pretrained_file), locations.pristine())


def test_a_pretrained_network_is_a_regular_file_of_some_size(tmp_path: Path) -> None:
    """A pipe would be waited for, and a device has no end."""
    pipe, large = tmp_path / "pipe", tmp_path / "large.pt"
    os.mkfifo(pipe)
    with large.open("wb") as file:
        file.truncate(2**26 + 1)
    whole = "the pre-trained network {} {}: name the class's checkpoint with --pretrained FILE"
    for path, what in (
        (pipe, "is no regular file"),
        (Path("/dev/zero"), "is no regular file"),
        (tmp_path, "is no regular file"),
        (large, "is larger than 64 MiB"),
        (large / "net.pt", "cannot be read (Not a directory)"),
    ):
        with pytest.raises(GraderError, match=f"^{re.escape(whole.format(path, what))}$"):
            pretrained_content(path)


def test_images_that_are_missing_are_told(
    assignment: Assignment, data: Path, pretrained_file: Path, tmp_path: Path
) -> None:
    """A class that lacks some, or all, is a folder that was not wholly unpacked; a smaller set is told as one."""
    whole = load_standard(assignment, FullOptions(data, pretrained_file, rerun=1), locations.pristine())
    assert whole.shortfall == (
        "CIFAR-10 is not whole: only 40 of 10,000 test images and 40 of 50,000 train images are there, "
        "and these are used"
    )
    whole.evaluator.close()
    copy = shutil.copytree(data, tmp_path / "copy")
    for name, count in (("0000.png", 3), ("*", 0)):
        for path in (copy / "test" / "truck").glob(name):
            path.unlink()
        message = (
            f"the test images in {copy} are incomplete: {count} of truck, but 4 of airplane; unpack CIFAR-10 again"
        )
        with pytest.raises(GraderError, match=f"^{re.escape(message)}$"):
            load_standard(assignment, FullOptions(copy, pretrained_file), locations.pristine())


def test_the_variable_names_the_data_set(
    assignment: Assignment, data: Path, pretrained_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(data.parent))
    for named in (data, Path("~", data.name)):
        monkeypatch.setenv("CIFAR10_DIR", str(named))
        made = load_standard(assignment, FullOptions(None, pretrained_file), locations.pristine())
        assert made.images == 40
        made.evaluator.close()


def test_the_command_line(folder: Path, data: Path, pretrained_file: Path) -> None:
    done = run(
        "check", folder, "--part", "2a", "--full", "--data", data, "--pretrained", pretrained_file, "--json", "-"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["profile"] == "full"
    done = run("check", folder, "--data", data)
    assert (done.returncode, done.stderr) == (2, "grader: --data is for the full profile: add --full\n")


# --- real checkpoints: the course's, and those that a student handed in


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FullOptions]:
    """The student's files under the names of the labs, and 200 real images."""
    checkpoints = SHARED_DATA / "checkpoints"
    if not checkpoints.is_dir():
        pytest.skip(f"the real checkpoints are not at {checkpoints}")
    root = tmp_path_factory.mktemp("real")
    for path in checkpoints.glob("student_a_*.pt"):
        (root / "in").mkdir(exist_ok=True)
        shutil.copy(path, root / "in" / path.name.removeprefix("student_a_"))
    with zipfile.ZipFile(SHARED_DATA / "cifar10-jpeg.zip") as archive:
        for name in CLASSES:
            archive.extractall(root, [f"test/{name}/{i:04d}.jpg" for i in range(20)])
    return root / "in", FullOptions(root, checkpoints / "course_pretrained.pt")


def exam_of(real: tuple[Path, FullOptions], assignment: Assignment) -> Iterator[Session]:
    path, options = real
    standard = load_standard(assignment, options, locations.pristine())
    submission = load_submission(path, locations.pristine(), full=True)
    with empty_interview(Interview, assignment, None) as interview:
        exam = Exam(assignment, standard, submission.checkpoints, interview, Written())
        yield Session(assignment, interview, CaseSet({}, {}), None, standard.evaluator, Written(), exam)
    standard.evaluator.close()


@pytest.fixture(scope="module")
def at_70(real: tuple[Path, FullOptions], assignment: Assignment) -> Iterator[Session]:
    yield from exam_of(real, assignment)


@pytest.fixture(scope="module")
def at_80(real: tuple[Path, FullOptions]) -> Iterator[Session]:
    yield from exam_of(real, load_assignment(ROOT / "grader" / "terms" / "sparser.toml"))


@pytest.mark.parametrize("name", ["finetuned", "iterative", "global"])
def test_a_real_network_of_80_percent_passes_in_its_own_term_only(name: str, at_70: Session, at_80: Session) -> None:
    assert 75 < at_70.exam.baseline < 87
    with pytest.raises(CheckFailed, match=r"has 80\.0 % zeros, but this term asks for 70 %"):
        getattr(full, f"check_{name}_network_is_sparse")(at_70)
    for check in ("is_sparse", "is_accurate", "is_a_descendant"):
        getattr(full, f"check_{name}_network_{check}")(at_80)


def test_a_real_network_that_lost_its_sparsity_is_diagnosed(at_70: Session) -> None:
    with pytest.raises(CheckFailed, match=r"has 0\.0 % zeros, though it descends from a pruned network") as caught:
        full.check_sparse_quantized_networks_are_sparse(at_70)
    assert "straight-through gradient reaches pruned weights too" in (caught.value.advice or "")
    full.check_sparse_quantized_networks_are_descendants(at_70)
    with pytest.raises(CheckFailed, match=r"was taken as that of 3\(d\): it descends from a pruned network"):
        full.check_quantized_networks_are_accurate(at_70)

"""What networks come out of the experiments, and that each is made once for its inputs."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from grader import locations
from grader.assignment import Assignment
from grader.errors import GraderError
from grader.runs import submission
from grader.runs.execute import Executor, Outcome
from grader.runs.figures import draw
from grader.runs.plan import Run, chosen, plan
from grader.runs.rounds import read_metrics
from grader.runs.submission import write_submission
from grader.runs.table import as_markdown, as_rich, rows
from grader.submission import EDITABLE, load_submission
from grader.written import read_written
from tests.conftest import ROOT
from tests.images import write_folder
from tests.runs.conftest import Silence


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Executor:
    """All runs, carried out once."""
    given = [request.getfixturevalue(name) for name in ("code", "short", "images")]
    out = tmp_path_factory.mktemp("finished")
    made = Executor(given[0], given[1], out, given[2], torch.device("cpu"), "float32")
    runs = plan(given[1])
    for run in chosen(runs, [], extras=True):
        made.carry_out(run, runs, Silence())
    return made


@pytest.fixture
def outcomes(finished: Executor, runs: dict[str, Run]) -> dict[str, Outcome]:
    found = {name: finished.outcome(run, runs) for name, run in runs.items()}
    return {name: outcome for name, outcome in found.items() if outcome is not None}


def test_every_network_has_the_sparsity_that_it_should(outcomes: dict[str, Outcome], runs: dict[str, Run]) -> None:
    assert outcomes.keys() == runs.keys()
    sparsity = {name: outcome.sparsity for name, outcome in outcomes.items()}
    assert sparsity["one-shot-50"] == pytest.approx(0.5, abs=0.001)
    for name in ("finetuned", "iterative", "global-iterative", "sparse-qat-3", "sparse-qat-2", "sparse-ptq-2"):
        assert sparsity[name] == pytest.approx(0.7, abs=0.001), name
    for name in ("pretrain", "qat-3", "regrown-2", "symmetric-2"):
        assert sparsity[name] < 0.01, name


def test_one_threshold_makes_layers_differ(outcomes: dict[str, Outcome]) -> None:
    assert set(map(round, (100 * v for v in outcomes["finetuned"].sparsity_by_layer.values()))) == {70}
    assert len(set(map(round, (100 * v for v in outcomes["global-iterative"].sparsity_by_layer.values())))) > 2


def test_what_has_ended_is_not_done_again(finished: Executor, runs: dict[str, Run]) -> None:
    watch = Silence()
    for run in runs.values():
        finished.carry_out(run, runs, watch)
    assert watch.epochs == 0


def test_changed_inputs_are_another_run(finished: Executor, runs: dict[str, Run]) -> None:
    """Of the run itself, and of what it starts from; what does not depend on the change stays."""

    def changed_by(assignment: Assignment) -> set[str]:
        other = replace(finished, assignment=assignment)
        return {name for name, run in runs.items() if other.key(run, runs) != finished.key(run, runs)}

    course = finished.assignment
    pruned = {"finetuned", "iterative", "global-iterative"} | {name for name in runs if name.startswith("sparse-")}
    regrown = {name for name in runs if name.startswith("regrown-")}
    tuned = {name for name, run in runs.items() if run.experiment.trains and name != "pretrain"}
    steeper = course.training.model_copy(update={"lr": 0.01})
    assert changed_by(course.model_copy(update={"training": steeper})) == tuned | pruned | regrown
    sparser = course.term.model_copy(update={"target_sparsity": 80.0})
    assert changed_by(course.model_copy(update={"term": sparser})) == pruned | regrown
    slower = course.term.model_copy(update={"ramp_epochs": 1})
    assert "pretrain" not in (ramped := changed_by(course.model_copy(update={"term": slower})))
    assert "iterative" in ramped and "finetuned" not in ramped and "qat-3" not in ramped
    longer = course.training.pretrain.model_copy(update={"lr": 0.3})
    again = course.training.model_copy(update={"pretrain": longer})
    assert changed_by(course.model_copy(update={"training": again})) == set(runs)
    other = replace(finished, code=replace(finished.code, digest="other"))
    assert other.key(runs["float"], runs) != finished.key(runs["float"], runs)
    renamed = {**runs, "qat-3": replace(runs["qat-3"], experiment=runs["qat-3"].experiment.model_copy(
        update={"title": "another"}))}  # fmt: skip
    assert finished.key(renamed["qat-3"], renamed) == finished.key(runs["qat-3"], runs)


def test_the_best_of_a_ramp_is_pruned_as_far_as_it_should_be(finished: Executor, runs: dict[str, Run]) -> None:
    folder = finished.folder(runs["iterative"], runs)
    best = load_file(folder / "best.safetensors")
    weight = best["body_op.0.conv1.0.conv.weight"]
    assert (weight == 0).float().mean().item() == pytest.approx(0.7, abs=0.001)
    assert [metrics["epoch"] for metrics in read_metrics(folder)] == [1, 2, 3]


def test_a_checkpoint_takes_the_place_of_the_pretraining(
    executor: Executor, finished: Executor, runs: dict[str, Run], tmp_path: Path
) -> None:
    """As safetensors and as torch.save, by the rules for networks that are handed in."""
    checkpoint = finished.folder(runs["pretrain"], runs) / "net.safetensors"
    expected = finished.outcome(runs["float"], runs)
    assert expected is not None
    wrapped = {f"module.{name}": value for name, value in load_file(checkpoint).items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "net.pt")
    for path in (checkpoint, tmp_path / "net.pt"):
        given, watch = replace(executor, pretrained=path, root=tmp_path / path.suffix), Silence()
        given.carry_out(runs["pretrain"], runs, watch)
        assert given.carry_out(runs["float"], runs, watch).accuracy == expected.accuracy
        assert watch.epochs == 0
    others = replace(executor, pretrained=checkpoint)
    others.__dict__["test_set"] = executor.train_set  # other images
    assert others.key(runs["pretrain"], runs) != replace(executor, pretrained=checkpoint).key(runs["pretrain"], runs)


def test_what_is_no_network_takes_no_place(finished: Executor, runs: dict[str, Run], tmp_path: Path) -> None:
    """One sentence each, of what torch says nothing but what matters."""
    state = load_file(finished.folder(runs["pretrain"], runs) / "net.safetensors")
    bias = "final_fc.linear.bias"
    path = tmp_path / "net.pt"
    for content, message in (
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        ({"weight": torch.zeros(2)}, "holds none of the network's 47 tensors"),
        ({**state, bias: state[bias] * torch.nan}, "holds NaN or infinite values"),
        ({**state, bias: state[bias].int()}, "is torch.int32, but should be floating point"),
        (torch.nn.Linear(1, 1), "holds a whole object"),
    ):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(GraderError, match=f"^the pre-trained network cannot be used: .*`net.pt` {message}") as told:
            replace(finished, pretrained=path).key(runs["pretrain"], runs)
        assert not {"\n", "\x1b"} & set(str(told.value))


def test_images_of_other_classes_are_refused(executor: Executor, images: Path, tmp_path: Path) -> None:
    shutil.copytree(images, tmp_path / "more")
    (tmp_path / "more" / "train" / "stray").mkdir()
    with pytest.raises(GraderError, match=r"more are not CIFAR-10's alone: remove the folders of stray$"):
        _ = replace(executor, data=tmp_path / "more").train_set
    write_folder(tmp_path / "others", classes=tuple("abcdefghij"))
    with pytest.raises(GraderError, match="others are not CIFAR-10's, but of classes a, b"):
        _ = replace(executor, data=tmp_path / "others").train_set
    (tmp_path / "broken" / "cifar-10-batches-py").mkdir(parents=True)
    for data in (tmp_path / "none", tmp_path / "broken"):
        with pytest.raises(GraderError, match=r"the test images cannot be read: .*with --data DIR") as told:
            _ = replace(executor, data=data).test_set
        assert "download" not in str(told.value)


def test_what_auto_means_is_measured_once_for_each_run(
    executor: Executor, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another start, on a busier machine, might choose otherwise and end with other numbers."""
    auto = replace(executor, precision="auto")
    folder = auto.folder(runs["pretrain"], runs)
    for measured in ("bfloat16", "float32"):
        monkeypatch.setattr(auto.code.train_util, "fastest_precision", lambda device, measured=measured: measured)
        assert auto._precision(folder) == "bfloat16"


def test_mixed_precision_ends_with_the_training(executor: Executor, runs: dict[str, Run]) -> None:
    """What was left switched on would compute everything after it in bfloat16, with weights that it remembers."""
    replace(executor, precision="bfloat16").carry_out(runs["pretrain"], runs, Silence())
    assert not torch.is_autocast_enabled("cpu")


def test_no_number_is_made_of_float64_on_the_device(
    executor: Executor, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apple's MPS has none."""

    def refuse(_: torch.Tensor) -> None:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    monkeypatch.setattr(torch.Tensor, "double", refuse)
    assert executor.carry_out(runs["pretrain"], runs, Silence()).sparsity == 0


def test_the_table_marks_what_was_not_measured_as_planned(
    short: Assignment, outcomes: dict[str, Outcome], runs: dict[str, Run]
) -> None:
    del outcomes["qat-2"]
    outcomes["qat-3"] = replace(outcomes["qat-3"], epochs=1)
    shown = {row.run: row for row in rows(runs.values(), outcomes, short.full)}
    assert "pretrain" not in shown
    assert shown["qat-2"].accuracy == "not measured"
    assert shown["qat-3"].epochs == "1 of 3"
    assert shown["float"].drop == "0.00"
    assert shown["finetuned"].published == "89.43"
    text = as_markdown(shown.values())
    assert "| 3c | quantized and fine-tuned, 2 bits | not measured |" in text


def test_the_table_shows_the_drops_that_are_accepted(
    short: Assignment, outcomes: dict[str, Outcome], runs: dict[str, Run]
) -> None:
    """Of what a student hands in, and of nothing else; at the threshold of its own part and number of bits."""
    accepted = {row.run: row.accepted for row in rows(runs.values(), outcomes, short.full)}
    thresholds = short.full
    expected = {
        "finetuned": thresholds.finetuned_max_drop,
        "iterative": thresholds.iterative_max_drop,
        "global-iterative": thresholds.global_max_drop,
        **{f"qat-{bits}": thresholds.quantized_max_drop[bits] for bits in (3, 2)},
        **{f"sparse-qat-{bits}": thresholds.sparse_quantized_max_drop[bits] for bits in (3, 2)},
    }
    assert {name: float(told) for name, told in accepted.items() if told} == expected


def test_the_table_marks_what_starts_from_a_shortened_run(
    short: Assignment, outcomes: dict[str, Outcome], runs: dict[str, Run]
) -> None:
    """But not what starts from a checkpoint that was given, which counts no epoch."""
    outcomes["global-iterative"] = replace(outcomes["global-iterative"], epochs=1)
    outcomes["pretrain"] = replace(outcomes["pretrain"], epochs=0)
    shown = {row.run: row.epochs for row in rows(runs.values(), outcomes, short.full)}
    assert shown["global-iterative"] == "1 of 3"
    assert shown["sparse-ptq-3"] == "from a run of 1 of 3"
    assert shown["sparse-qat-3"] == "3 from a run of 1 of 3"
    assert (shown["ptq-3"], shown["qat-3"]) == ("", "3")


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_table_has_whole_names(
    short: Assignment, outcomes: dict[str, Outcome], runs: dict[str, Run], width: int
) -> None:
    outcomes["global-iterative"] = replace(outcomes["global-iterative"], epochs=1)
    del outcomes["finetuned"]
    stream = io.StringIO()
    Console(file=stream, width=width).print(as_rich(rows(runs.values(), outcomes, short.full)))
    names = {run.name for run in runs.values() if run.experiment.method != "pretrain"}
    assert names <= set(stream.getvalue().split())


def test_figures_are_drawn_of_what_there_is(
    finished: Executor, outcomes: dict[str, Outcome], runs: dict[str, Run], tmp_path: Path
) -> None:
    folders = {name: finished.folder(run, runs) for name, run in runs.items()}
    drawn = [draw(finished.code, runs, outcomes, folders, tmp_path / name) for name in ("once", "again")]
    names = ["accuracy-by-sparsity.svg", "accuracy-by-bits.svg", "sparsity-by-layer.svg", "training-curves.svg",
             "weights-and-levels.svg"]  # fmt: skip
    assert [path.name for path in drawn[0]] == names
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*drawn, strict=True))
    assert "<!-- 2.2 -->" not in (tmp_path / "once" / "accuracy-by-bits.svg").read_text()  # what a tick is called
    assert draw(finished.code, runs, {"float": outcomes["float"]}, folders, tmp_path / "few") == []


def test_figures_into_a_file_are_refused(
    finished: Executor, outcomes: dict[str, Outcome], runs: dict[str, Run], tmp_path: Path
) -> None:
    folders = {name: finished.folder(run, runs) for name, run in runs.items()}
    (tmp_path / "file").write_text("mine")
    with pytest.raises(GraderError, match=r"file/[\w-]+\.svg cannot be written: "):
        draw(finished.code, runs, outcomes, folders, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("is_there", [False, True])
def test_a_submission_that_fails_leaves_the_folder_as_it_was(
    finished: Executor, outcomes: dict[str, Outcome], runs: dict[str, Run], tmp_path: Path, is_there: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folders = {name: finished.folder(run, runs) for name, run in runs.items()}
    target, write = tmp_path / "mine", submission.write_atomically
    if is_there:
        target.mkdir()

    def until_full(path: Path, chunks: Iterable[bytes]) -> None:
        if path.name == "net_after_iterative_prune.pt":
            raise GraderError("the disk is full")
        write(path, chunks)

    monkeypatch.setattr(submission, "write_atomically", until_full)
    with pytest.raises(GraderError, match="the disk is full"):
        write_submission(runs, outcomes, folders, ROOT / "reference", target)
    assert target.exists() == is_there and not list(tmp_path.rglob("*.*"))
    monkeypatch.undo()
    write_submission(runs, outcomes, folders, ROOT / "reference", target)


def test_a_submission_has_the_networks_and_the_numbers(
    finished: Executor, outcomes: dict[str, Outcome], runs: dict[str, Run], tmp_path: Path
) -> None:
    folders = {name: finished.folder(run, runs) for name, run in runs.items()}
    assert write_submission(runs, outcomes, folders, ROOT / "reference", tmp_path / "mine") == ([], [])
    found = load_submission(tmp_path / "mine", locations.pristine(), full=True)
    assert found.files.keys() == set(EDITABLE)
    assert {(item.part, item.bits) for item in found.checkpoints} == {
        ("2c", None), ("2d", None), ("2e", None), ("3c", 3), ("3c", 2), ("3d", 3), ("3d", 2)}  # fmt: skip
    given = torch.load(tmp_path / "mine" / "quantized_sparse_net_after_finetune_2bit.pt", weights_only=True)
    kept = load_file(folders["sparse-qat-2"] / "net.safetensors")
    assert given.keys() == kept.keys()
    assert all(torch.equal(given[name], kept[name]) for name in kept)
    written = read_written(found.files["answers.toml"])
    for run, path in (
        ("float", ("2a", "accuracy")), ("one-shot-50", ("2b", "q50")), ("iterative", ("2d", "numbers", "accuracy")),
        ("qat-2", ("3c", "numbers", "after_2")), ("sparse-ptq-3", ("3d", "numbers", "before_3")),
        ("ptq-2", ("bonus", "asymmetric_2")), ("symmetric-2", ("bonus", "symmetric_2")),
    ):  # fmt: skip
        assert written.number(*path) == pytest.approx(100 * outcomes[run].accuracy, abs=0.005)
    layer, share = next(iter(outcomes["global-iterative"].sparsity_by_layer.items()))
    assert written.number("2e", "zeros", layer) == pytest.approx(100 * share, abs=0.005)
    assert written.number("2b", "q30") is None  # this term does not ask for it


def test_numbers_without_a_field_are_told(
    finished: Executor, outcomes: dict[str, Outcome], runs: dict[str, Run], tmp_path: Path
) -> None:
    """As those of another term."""
    other = {**runs, "one-shot-50": replace(runs["one-shot-50"], value=40.0)}
    folders = {name: finished.folder(run, runs) for name, run in runs.items()}
    lacking, homeless = write_submission(other, outcomes, folders, ROOT / "reference", tmp_path / "mine")
    assert (lacking, homeless) == ([], ["one-shot-50"])


def test_a_submission_leaves_empty_what_was_not_measured(
    finished: Executor, outcomes: dict[str, Outcome], runs: dict[str, Run], tmp_path: Path
) -> None:
    folders = {name: finished.folder(run, runs) for name, run in runs.items()}
    some = {name: outcome for name, outcome in outcomes.items() if name not in ("finetuned", "qat-3")}
    assert write_submission(runs, some, folders, ROOT / "reference", tmp_path / "mine") == (["finetuned", "qat-3"], [])
    assert not (tmp_path / "mine" / "net_after_finetune.pt").exists()
    assert read_written((tmp_path / "mine" / "answers.toml").read_bytes()).number("2c", "accuracy") is None
    with pytest.raises(GraderError, match="is not empty: name a new folder"):
        write_submission(runs, some, folders, ROOT / "reference", tmp_path / "mine")

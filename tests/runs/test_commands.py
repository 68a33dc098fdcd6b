"""The commands of the full experiments, as a person calls them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from resnet20 import ResNetCIFAR
from safetensors.torch import save_file
from typer.testing import CliRunner

from grader import locations
from grader.cli import app
from grader.errors import GraderError
from grader.runs.class_cost import ClassCost
from grader.runs.estimate import Speed


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["runs", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_list_names_runs_epochs_and_starts() -> None:
    lines = call("list").splitlines()
    assert "pretrain: part 2a, pre-training, 90 epochs" in lines
    assert "sparse-qat-2: part 3d, sparse, quantized and fine-tuned, 20 epochs, from global-iterative" in lines
    assert any(line.startswith("regrown-4: ") and line.endswith("only with --extras") for line in lines)


def test_a_run_its_table_and_cleaning_up(short_rubric: Path, images: Path, tmp_path: Path) -> None:
    options = ["--assignment", short_rubric, "--data", images, "--out", tmp_path / "out", "--device", "cpu",
               "--precision", "float32"]  # fmt: skip
    told = call("run", "float", *options)
    assert "pretrain epoch 2: train loss" in told
    assert "float: accuracy" in told
    shown = call("table", "--markdown", *options)
    assert "| 2a | float | " in shown
    assert "| 3b | quantized, 3 bits | not measured |" in shown
    nothing = f"nothing to remove in {tmp_path / 'out'}\n"
    assert call("clean", *options) == nothing
    assert call("clean", "--epochs", "1", *options) == nothing  # neither of the two trains by this number
    assert len(call("clean", "--all", *options).splitlines()) == 2
    assert not list((tmp_path / "out").iterdir())


def test_the_pre_trained_network_is_kept_with_how_it_came_to_be(
    short_rubric: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept" / "net.safetensors"
    kept.parent.mkdir()
    monkeypatch.setattr(locations, "pretrained", lambda: kept)
    options = ["--assignment", short_rubric, "--data", images, "--out", tmp_path / "out", "--device", "cpu"]
    net, told = map(Path, call("pretrain", *options, "--keep", "jpeg").splitlines()[-2:])
    assert told == kept and kept.read_bytes() == net.read_bytes()
    record = json.loads(kept.with_suffix(".json").read_text())
    assert record["sha256"] == hashlib.sha256(kept.read_bytes()).hexdigest()
    assert record["recipe"]["epochs"] == len(record["curve"]["test_accuracy"]) == 2
    assert record["accuracy"] == {"jpeg": record["curve"]["test_accuracy"][-1], "lossless": None}


def test_estimate_predicts_each_run(short_rubric: Path, images: Path) -> None:
    told = call("estimate", "--assignment", short_rubric, "--data", images, "--device", "cpu").splitlines()
    assert "images/s" in told[0]
    assert told[-1].startswith("together: ")
    assert any(line.startswith("qat-2: ") for line in told)


def test_estimate_counts_what_all_carries_out(
    short_rubric: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither optional runs, nor a pre-training whose result is given."""
    monkeypatch.setattr("grader.runs.estimate.measure_speed", lambda _: Speed(0.1, 0.1, "float32"))
    options = ["--assignment", short_rubric, "--data", images, "--device", "cpu"]
    minutes = [_minutes(call("estimate", *options, *more)) for more in ([], ["--pretrained", tmp_path / "net.pt"])]
    for told in minutes:
        summed = sum(value for name, value in told.items() if not name.startswith(("together", "regrown")))
        assert told["together"] == pytest.approx(summed / 60, abs=0.1)
    assert minutes[0]["pretrain"] > minutes[1]["pretrain"] == minutes[1]["float"]


def _minutes(told: str) -> dict[str, float]:
    """What is predicted for each run, and together, in hours."""
    lines = (line.partition(": ") for line in told.splitlines()[1:])
    return {name: float(value.split()[0]) for name, _, value in lines}


def test_estimate_predicts_a_class(images: Path, tmp_path: Path) -> None:
    """With the numbers of the course's term, whose goldens are here: those of another would have to be made first."""
    rubric = tmp_path / "small.toml"
    extended = locations.default_assignment().as_posix()
    rubric.write_text(f'extends = "{extended}"\n[training]\nnum_layers = 8\nbatch_size = 8\n')
    options = ["--assignment", rubric, "--data", images, "--students", "30", "--jobs", "2", "--rerun", "2"]
    told = call("estimate", *options).splitlines()
    assert told[0].startswith("checks of one submission: ")
    assert told[1].endswith("; a submission has 9")  # three of Lab 2, and three numbers of bits twice
    assert told[2].startswith("3 trainings with --rerun 2: ")
    assert told[-1].startswith("30 students, 2 judges: ")


def test_a_class_costs_what_its_parts_cost() -> None:
    cost = ClassCost(grading=5, measurement=10, epoch=60, networks=9, standards=19, trainings=3)
    assert cost.submission(0) == 5 + 90
    assert cost.submission(2) == 5 + 90 + 120 + 30
    assert cost.whole(4, 2, 0) == 190 + 2 * 95
    assert cost.whole(5, 2, 0) == cost.whole(6, 2, 0)
    assert cost.whole(100, 50, 2) == 190 + 2 * 245
    assert cost.whole(100, 50, 2, one_gpu=True) == 100 * 120


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--rerun", "1"], "add --students N"), (["--students", "3", "--epochs", "1"], "are for experiments")],
)
def test_options_of_a_class_and_of_experiments_do_not_mix(options: list[str], message: str) -> None:
    with pytest.raises(GraderError, match=message):
        call("estimate", *options)


def test_missing_images_and_unknown_devices_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GraderError, match=r"CIFAR-10 is not in [^:]*; name the folder of CIFAR-10 .* with --data"):
        call("run", "float", "--data", tmp_path, "--device", "cpu")
    with pytest.raises(GraderError, match="--device toaster: "):
        call("run", "float", "--data", tmp_path, "--device", "toaster")
    with pytest.raises(GraderError, match=r"--device meta: [^\n]*$"):
        call("run", "float", "--data", tmp_path, "--device", "meta")


def test_figures_of_nothing_are_none(short_rubric: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="no run has ended of which there is a figure"):
        call("figures", tmp_path / "figures", "--assignment", short_rubric, "--data", images, "--out", tmp_path)
    assert not (tmp_path / "figures").exists()


def test_what_was_carried_out_with_other_options_is_told(short_rubric: Path, images: Path, tmp_path: Path) -> None:
    options = ["--assignment", short_rubric, "--data", images, "--out", tmp_path / "out", "--device", "cpu",
               "--pretrained", _shallow(tmp_path / "net.safetensors")]  # fmt: skip
    told = call("run", "finetuned", "--epochs", "1", *options)
    assert "pretrain (a checkpoint that is given): accuracy " in told
    assert "other options" not in call("table", "--epochs", "1", *options)
    assert "carried out with other options than these: finetuned; look at --epochs" in call("table", *options)


def test_how_a_submission_is_measured_is_told(short_rubric: Path, images: Path, tmp_path: Path) -> None:
    net = _shallow(tmp_path / "net.safetensors")
    options = ["--assignment", short_rubric, "--data", images, "--out", tmp_path / "out", "--device", "cpu"]
    told = call("submission", tmp_path / "mine", *options, "--pretrained", net)
    assert (
        f"grader check {tmp_path / 'mine'} --full --pretrained {net} --data {images} --assignment {short_rubric}"
        in told
    )


def _shallow(path: Path) -> Path:
    """A network of the depth that these rubrics have."""
    save_file(ResNetCIFAR(num_layers=8).state_dict(), path)
    return path
